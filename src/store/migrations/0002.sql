-- Who may write a thread: whoever loads it takes the next epoch, and what an older one still wants to write is refused.
CREATE TABLE leases (
    thread TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;

-- By which of the sender's lanes a row goes: post/CHANNEL, edit, reaction. A post becomes an edit when it has a ts.
ALTER TABLE outbox ADD COLUMN lane TEXT NOT NULL DEFAULT '';
UPDATE outbox SET lane = CASE
    WHEN json_extract(post, '$.kind') = 'reaction' THEN 'reaction'
    WHEN ts IS NOT NULL THEN 'edit'
    -- thread is WORKSPACE/CHANNEL/TS.
    ELSE 'post/' || substr(
        substr(thread, instr(thread, '/') + 1), 1, instr(substr(thread, instr(thread, '/') + 1), '/') - 1)
END;
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (lane, id) WHERE revision > sent;

-- The number of the open pull request.
ALTER TABLE sessions ADD COLUMN pull INTEGER;
UPDATE sessions SET pull = (
    SELECT json_extract(body, '$.pull.number') FROM events
    WHERE thread = session_id AND type = 'pull_request_opened' ORDER BY seq DESC LIMIT 1)
WHERE phase IN ('coder', 'review');
CREATE INDEX sessions_pull ON sessions (session_id) WHERE pull IS NOT NULL;
CREATE INDEX sessions_at_work ON sessions (session_id) WHERE works = 1;

-- When we stored it, by our clock (unknown for what is older), and whether it is a message: one is stored once under its
-- channel and ts, however long ago that was.
ALTER TABLE messages ADD COLUMN at INTEGER;
ALTER TABLE messages ADD COLUMN said INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET said = 1 WHERE json_extract(incoming, '$.what.kind') = 'message';
CREATE INDEX messages_said ON messages (channel_id, timestamp) WHERE said = 1;

-- The other keys, numbered as they came, so that no clock decides which of them is old.
CREATE TABLE seen_in_order (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
);
INSERT INTO seen_in_order (key) SELECT key FROM seen ORDER BY at;
DROP TABLE seen;
ALTER TABLE seen_in_order RENAME TO seen;
