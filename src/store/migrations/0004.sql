-- By which of the sender's lanes a row goes: post/CHANNEL, edit/CHANNEL, reaction/CHANNEL; done/CHANNEL as long as a
-- reaction waits for what its thread is told before it. A post becomes an edit when it has a ts.
UPDATE outbox SET lane = lane || '/' ||
    -- thread is WORKSPACE/CHANNEL/TS.
    substr(substr(thread, instr(thread, '/') + 1), 1, instr(substr(thread, instr(thread, '/') + 1), '/') - 1)
WHERE lane IN ('edit', 'reaction');

-- By thread, so that the first of each thread is found without a look at those behind it.
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (lane, thread, id) WHERE revision > sent;

UPDATE outbox SET lane = 'done' || substr(lane, instr(lane, '/'))
WHERE revision > sent AND lane GLOB 'reaction/*' AND key GLOB 'done/*' AND EXISTS (
    SELECT 1 FROM outbox AS post WHERE post.revision > post.sent
    AND post.lane = 'post' || substr(outbox.lane, instr(outbox.lane, '/'))
    AND post.thread = outbox.thread AND post.id < outbox.id);
