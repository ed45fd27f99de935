//! The inbox: what people did, stored once under all the keys by which it may come again.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::params;

use super::{Store, StoreError, outbox};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{MessageTs, ThreadKey};
use crate::render::post::Post;

/// How long dedupe keys are kept: Slack's last redelivery comes after five minutes, and a day is safe.
const KEEP_KEYS_MS: i64 = 24 * 60 * 60 * 1000;

/// An inbox row that no decision has dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number; rows are dealt with in this order.
    pub id: i64,
    /// What was done.
    pub incoming: Incoming,
}

impl Store {
    /// Stores what a person did, durably, with what the chat should show at once. `false`: it was there already.
    pub async fn accept(&self, incoming: Incoming, posts: Vec<(String, Post)>) -> Result<bool, StoreError> {
        self.run(move |database| {
            database.durable(true)?;
            let transaction = database.connection.transaction()?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            let mut fresh = true;
            for key in &incoming.dedupe {
                let sql = "INSERT OR IGNORE INTO seen (key, at) VALUES (?1, ?2)";
                fresh &= transaction.prepare_cached(sql)?.execute(params![key, now])? == 1;
            }
            if fresh {
                transaction.prepare_cached("DELETE FROM seen WHERE at < ?1")?.execute([now - KEEP_KEYS_MS])?;
                insert(&transaction, &incoming)?;
                let thread = incoming.thread.to_text();
                for (key, post) in &posts {
                    outbox::put(&transaction, &thread, key, post)?;
                }
            }
            transaction.commit()?;
            Ok(fresh)
        })
        .await
    }

    /// The rows of a thread that wait, oldest first.
    pub async fn waiting(&self, thread: &ThreadKey) -> Result<Vec<Waiting>, StoreError> {
        let thread = thread.to_text();
        self.run(move |database| {
            let sql = "SELECT id, incoming FROM messages WHERE thread = ?1 AND acked = 0 ORDER BY id LIMIT 100";
            let mut statement = database.connection.prepare_cached(sql)?;
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
        self.run(|database| {
            let mut statement = database.connection.prepare("SELECT incoming FROM messages ORDER BY id")?;
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

fn insert(connection: &rusqlite::Connection, incoming: &Incoming) -> Result<(), StoreError> {
    let (ts, content): (Option<&MessageTs>, &str) = match &incoming.what {
        IncomingKind::Message { ts, text, .. } | IncomingKind::Edited { ts, text } => (Some(ts), text),
        IncomingKind::Deleted { ts } => (Some(ts), ""),
        IncomingKind::Pressed { action, .. } => (None, action),
        IncomingKind::PullChanged { .. } => (None, ""),
    };
    let ThreadKey { channel, ts: thread_ts, .. } = &incoming.thread;
    connection
        .prepare_cached(
            "INSERT INTO messages (thread_ts, channel_id, from_user, content, timestamp, thread, incoming) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            thread_ts.as_str(),
            channel.as_str(),
            incoming.from.as_str(),
            content,
            ts.unwrap_or(thread_ts).as_str(),
            incoming.thread.to_text(),
            serde_json::to_string(incoming)?
        ])?;
    Ok(())
}
