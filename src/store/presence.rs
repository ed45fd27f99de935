//! In which threads a chat was told that we are at work and may show it for long after we are gone: a mark, so that the
//! next life can take it back. No more than that is known of it, and a power failure may lose it.

use rusqlite::params;

use super::queue::Operation;
use super::{Store, StoreError};
use crate::ids::ThreadKey;

const NOTE: Operation = Operation { label: "note_presence", durable: false, first: false };

/// What the marks' names in the settings begin with.
const PREFIX: &str = "presence/";

impl Store {
    /// Notes whether the chat may show us at work in a thread.
    pub async fn note_presence(&self, thread: &ThreadKey, shown: bool) -> Result<(), StoreError> {
        let key = format!("{PREFIX}{}", thread.to_text());
        self.write(NOTE, move |connection| {
            let sql = if shown {
                "INSERT OR IGNORE INTO settings (key, value) VALUES (?1, '')"
            } else {
                "DELETE FROM settings WHERE key = ?1"
            };
            connection.prepare_cached(sql)?.execute(params![key])?;
            Ok(())
        })
        .await
    }

    /// The threads that carry that mark.
    pub async fn presences(&self) -> Result<Vec<ThreadKey>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare("SELECT key FROM settings WHERE key >= ?1 AND key < ?1 || x'FF' ORDER BY key")?;
            let rows = statement.query_map([PREFIX], |row| row.get::<_, String>(0))?;
            let mut threads = Vec::new();
            for row in rows {
                threads.extend(row?.strip_prefix(PREFIX).and_then(ThreadKey::parse));
            }
            Ok(threads)
        })
        .await
    }
}
