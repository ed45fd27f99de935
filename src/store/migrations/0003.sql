-- What was changed or deleted of a message is looked up when the message comes after it.
CREATE INDEX messages_changed ON messages (channel_id, timestamp) WHERE said = 0;
