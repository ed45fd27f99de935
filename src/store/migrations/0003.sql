-- What was changed or deleted of a message is looked up when the message comes after it.
CREATE INDEX IF NOT EXISTS messages_changed ON messages (channel_id, timestamp) WHERE said = 0;
