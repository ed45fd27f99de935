//! The results of calls, to be read again: long ones as blobs of their own, which no event carries and no start loads;
//! all others as their events have them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::queue::Operation;
use super::{Store, StoreError, blobs};
use crate::agent::Role;
use crate::ids::{CallId, ThreadKey};

const KEEP: Operation = Operation { label: "keep", durable: false, first: false };

impl Store {
    /// Keeps a text under the name that it gives; the same text always has the same name. Whoever names it in an event
    /// keeps it first.
    pub async fn keep(&self, text: String) -> Result<String, StoreError> {
        let hash = blobs::hash(text.as_bytes());
        let name = hash.clone();
        self.write(KEEP, move |connection| {
            connection
                .prepare_cached("INSERT OR IGNORE INTO blobs (hash, content) VALUES (?1, ?2)")?
                .execute(params![hash, text.as_bytes()])?;
            Ok(())
        })
        .await?;
        Ok(name)
    }

    /// The whole result of a call in a role's conversation; `None` when it has none.
    pub async fn output(&self, thread: &ThreadKey, role: Role, call: &CallId) -> Result<Option<String>, StoreError> {
        let (thread, call) = (thread.to_text(), call.as_str().to_owned());
        self.read(move |connection| {
            let runs = runs_of(connection, &thread, role)?;
            let sql = "SELECT body FROM events WHERE thread = ?1 AND type IN ('context_changed', 'tool_finished') \
                       AND ?2 IN (json_extract(body, '$.call'), json_extract(body, '$.change.call')) ORDER BY seq";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([&thread, &call], |row| row.get::<_, String>(0))?;
            let mut shown = None;
            for row in rows {
                let body: Value = serde_json::from_str(&row?)?;
                if !body["run"].as_u64().is_some_and(|run| runs.contains(&run)) {
                    continue;
                }
                if let Some(blob) = body["change"]["blob"].as_str() {
                    if let Some(text) = content(connection, blob)? {
                        return Ok(Some(text));
                    }
                } else if let Some(text) = blobs::text(connection, &body["result"]["text"])? {
                    shown = Some(text);
                }
            }
            Ok(shown)
        })
        .await
    }
}

/// The numbers of a role's runs. Ids of calls are unique within a role's conversation, not within a thread.
fn runs_of(connection: &Connection, thread: &str, role: Role) -> Result<BTreeSet<u64>, StoreError> {
    let sql = "SELECT json_extract(body, '$.run') FROM events \
               WHERE thread = ?1 AND type = 'run_started' AND json_extract(body, '$.role') = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let runs = statement.query_map([thread, role.key()], |row| row.get::<_, i64>(0))?;
    let runs: Result<Vec<i64>, _> = runs.collect();
    Ok(runs?.into_iter().filter_map(|run| u64::try_from(run).ok()).collect())
}

fn content(connection: &Connection, hash: &str) -> Result<Option<String>, StoreError> {
    let content: Option<Vec<u8>> = connection
        .prepare_cached("SELECT content FROM blobs WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    Ok(content.and_then(|content| String::from_utf8(content).ok()))
}
