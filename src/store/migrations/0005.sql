-- What each event added to what was spent: model calls, runs that people started, limits that were raised. Written with the
-- events, read when the daemon starts, so that limits per day and hour hold over restarts.
CREATE TABLE spending (
    thread TEXT NOT NULL,
    at INTEGER NOT NULL,
    entry TEXT NOT NULL
);
CREATE INDEX spending_at ON spending (at);
INSERT INTO spending (thread, at, entry) SELECT thread, at, json_object(
    'kind', 'call', 'model', coalesce(json_extract(body, '$.reply.model'), ''),
    'usage', json(coalesce(json_extract(body, '$.reply.usage'), '{}')))
FROM events WHERE type = 'reply_received' ORDER BY at;

-- What a finished thread tells the next one like it: its workflow, its cost where all of it is known, and for how long
-- the Coder worked.
ALTER TABLE sessions ADD COLUMN workflow TEXT;
ALTER TABLE sessions ADD COLUMN cost_usd REAL;
ALTER TABLE sessions ADD COLUMN worked_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_finished ON sessions (workflow, updated_at) WHERE phase = 'closed';
