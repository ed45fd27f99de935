//! The inbox: what people did, stored once under all the keys by which it may come again.

use rusqlite::{Connection, params};

use super::queue::Operation;
use super::{Store, StoreError, outbox};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{MessageTs, Millis, ThreadKey};
use crate::render::post::Post;

/// How many dedupe keys are kept, the newest. Counted and not timed, so that a clock that jumps forgets none. Slack
/// delivers at most 30,000 events an hour, each with up to three keys, and what it delivers again comes within minutes.
/// A message that comes later than that, from the history, is known by its channel and ts for ever.
const KEEP_KEYS: i64 = 100_000;

const ACCEPT: Operation = Operation { label: "accept", durable: true, first: true };

/// An inbox row that no decision has dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number; rows are dealt with in this order.
    pub id: i64,
    /// What was done.
    pub incoming: Incoming,
}

impl Store {
    /// Stores what a person did, durably, with what the chat should show at once; `at` is the time now. `false`: it was
    /// there already.
    pub async fn accept(&self, incoming: Incoming, posts: Vec<(String, Post)>, at: Millis) -> Result<bool, StoreError> {
        let row = Row::of(&incoming, at)?;
        let posts = outbox::prepare(&posts)?;
        self.write(ACCEPT, move |connection| {
            if !row.is_new(connection, &incoming.dedupe)? {
                return Ok(false);
            }
            let changes = match incoming.what {
                IncomingKind::Message { .. } | IncomingKind::Edited { .. } => row.changes(connection)?,
                IncomingKind::Deleted { .. } | IncomingKind::Pressed { .. } | IncomingKind::PullChanged { .. } => {
                    vec![]
                }
            };
            let Some(what) = settle(&incoming, &changes) else { return Ok(false) };
            let gone = matches!(what, IncomingKind::Deleted { .. });
            if what == incoming.what {
                row.insert(connection)?;
            } else {
                let said = row.said;
                Row { said, ..Row::of(&Incoming { what, ..incoming.clone() }, at)? }.insert(connection)?;
            }
            if !gone {
                posts.iter().try_for_each(|post| outbox::put(connection, &incoming.thread, post))?;
            }
            Ok(true)
        })
        .await
    }

    /// The rows of a thread that wait, oldest first.
    pub async fn waiting(&self, thread: &ThreadKey) -> Result<Vec<Waiting>, StoreError> {
        let thread = thread.to_text();
        self.read(move |connection| {
            let sql = "SELECT id, incoming FROM messages WHERE thread = ?1 AND acked = 0 ORDER BY id LIMIT 100";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([&thread], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            let mut waiting = Vec::new();
            for row in rows {
                let (id, incoming) = row?;
                waiting.push(Waiting { id, incoming: serde_json::from_str(&incoming)? });
            }
            Ok(waiting)
        })
        .await
    }

    /// Everything that people wrote, oldest first: what the local chat shows after a restart.
    pub async fn written(&self) -> Result<Vec<Incoming>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT incoming FROM messages ORDER BY id")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            let mut written = Vec::new();
            for row in rows {
                written.push(serde_json::from_str(&row?)?);
            }
            Ok(written)
        })
        .await
    }
}

/// What is to be stored, given what is stored of changes to the same message by the same person: they may have come
/// before the message, and in any order. `None`: it is out of date.
fn settle(incoming: &Incoming, changes: &[Incoming]) -> Option<IncomingKind> {
    let changes = || changes.iter().filter(|change| change.from == incoming.from).map(|change| &change.what);
    let gone = changes().find(|what| matches!(what, IncomingKind::Deleted { .. }));
    let newest = changes()
        .filter_map(|what| match what {
            IncomingKind::Edited { text, at, .. } => Some((at, text)),
            _ => None,
        })
        .max_by_key(|(at, _)| *at);
    match (&incoming.what, gone, newest) {
        (IncomingKind::Message { .. }, Some(gone), _) => Some(gone.clone()),
        (IncomingKind::Message { ts, to_bot, files, .. }, None, Some((_, text))) => {
            let (ts, text, files) = (ts.clone(), text.clone(), files.clone());
            Some(IncomingKind::Message { ts, text, to_bot: *to_bot, files })
        }
        (IncomingKind::Edited { .. }, Some(_), _) => None,
        (IncomingKind::Edited { at, .. }, None, Some((newest, _))) if at < newest => None,
        (what, _, _) => Some(what.clone()),
    }
}

/// An inbox row as it is stored.
struct Row {
    thread: ThreadKey,
    from: String,
    content: String,
    ts: MessageTs,
    /// Whether it is a message, which is stored once under its channel and ts.
    said: bool,
    incoming: String,
    at: Millis,
}

impl Row {
    fn of(incoming: &Incoming, at: Millis) -> Result<Self, StoreError> {
        let (ts, content) = match &incoming.what {
            IncomingKind::Message { ts, text, .. } | IncomingKind::Edited { ts, text, .. } => (Some(ts), text.as_str()),
            IncomingKind::Deleted { ts } => (Some(ts), ""),
            IncomingKind::Pressed { action, .. } => (None, action.as_str()),
            IncomingKind::PullChanged { .. } => (None, ""),
        };
        Ok(Self {
            thread: incoming.thread.clone(),
            from: incoming.from.to_string(),
            content: content.to_owned(),
            ts: ts.unwrap_or(&incoming.thread.ts).clone(),
            said: matches!(incoming.what, IncomingKind::Message { .. }),
            incoming: serde_json::to_string(incoming)?,
            at,
        })
    }

    /// Whether neither one of its keys nor, for a message, its place in the channel is known; notes all keys.
    fn is_new(&self, connection: &Connection, keys: &[String]) -> Result<bool, StoreError> {
        let mut fresh = true;
        for key in keys {
            let sql = "INSERT OR IGNORE INTO seen (key) VALUES (?1)";
            fresh &= connection.prepare_cached(sql)?.execute([key])? == 1;
        }
        if fresh && !keys.is_empty() {
            let sql = "DELETE FROM seen WHERE number <= ?1";
            connection.prepare_cached(sql)?.execute([connection.last_insert_rowid().saturating_sub(KEEP_KEYS)])?;
        }
        let sql = "SELECT 1 FROM messages WHERE channel_id = ?1 AND timestamp = ?2 AND said = 1";
        let place = params![self.thread.channel.as_str(), self.ts.as_str()];
        Ok(fresh && !(self.said && connection.prepare_cached(sql)?.exists(place)?))
    }

    /// Edits and the deletion of this message that came before, the oldest first. One that cannot be read is left out:
    /// it must not keep out what is said now.
    fn changes(&self, connection: &Connection) -> Result<Vec<Incoming>, StoreError> {
        let sql = "SELECT id, incoming FROM messages WHERE channel_id = ?1 AND timestamp = ?2 AND said = 0 ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.thread.channel.as_str(), self.ts.as_str()])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            let read = row.get_ref(1)?.as_bytes().map(serde_json::from_slice);
            match read {
                Ok(Ok(change)) => changes.push(change),
                Ok(Err(error)) => tracing::error!(row = number, %error, "a change in the inbox cannot be read"),
                Err(error) => tracing::error!(row = number, %error, "a change in the inbox cannot be read"),
            }
        }
        Ok(changes)
    }

    fn insert(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT INTO messages \
                   (thread_ts, channel_id, from_user, content, timestamp, thread, incoming, at, said) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        connection.prepare_cached(sql)?.execute(params![
            self.thread.ts.as_str(),
            self.thread.channel.as_str(),
            self.from,
            self.content,
            self.ts.as_str(),
            self.thread.to_text(),
            self.incoming,
            self.at.0,
            self.said,
        ])?;
        Ok(())
    }
}
