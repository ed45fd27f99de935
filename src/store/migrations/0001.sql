-- The log: the one truth of every thread. Values over 16 KB stand in `blobs` by hash.
CREATE TABLE events (
    thread TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (thread, seq)
);

CREATE TABLE blobs (
    hash TEXT PRIMARY KEY,
    content BLOB NOT NULL
) WITHOUT ROWID;

-- The inbox: what people did, durable before the chat is told that we have it.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_ts TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    from_user TEXT NOT NULL,
    content TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    acked INTEGER NOT NULL DEFAULT 0,
    thread TEXT NOT NULL,
    incoming TEXT NOT NULL
);
CREATE INDEX messages_waiting ON messages (thread, id) WHERE acked = 0;

-- Under which keys something may arrive again.
CREATE TABLE seen (
    key TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at);

-- One row per thread, a projection of its events.
CREATE TABLE sessions (
    thread_ts TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    phase TEXT NOT NULL,
    title TEXT NOT NULL,
    works INTEGER NOT NULL,
    PRIMARY KEY (channel_id, thread_ts)
);

-- What the chat should show, one row per key; the sender brings the chat in line with it.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    thread TEXT NOT NULL,
    key TEXT NOT NULL,
    post TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1,
    sent INTEGER NOT NULL DEFAULT 0,
    tried INTEGER NOT NULL DEFAULT 0,
    ts TEXT,
    fault TEXT,
    UNIQUE (thread, key)
);
CREATE INDEX outbox_due ON outbox (id) WHERE revision > sent;

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
