//! What was spent, as entries beside the events they come from; and what finished threads cost.

use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::agent::estimate::Past;
use crate::ids::{Millis, ThreadKey};
use crate::thread::spending::Entry;

/// How many finished threads an estimate is made of: the newest.
const NEWEST: u32 = 50;

/// Adds the entries of a decision.
pub(super) fn put(connection: &Connection, thread: &str, at: Millis, entries: &[String]) -> Result<(), StoreError> {
    for entry in entries {
        connection
            .prepare_cached("INSERT INTO spending (thread, at, entry) VALUES (?1, ?2, ?3)")?
            .execute(params![thread, at.0, entry])?;
    }
    Ok(())
}

/// The entries as they are stored.
pub(super) fn prepare(entries: &[Entry]) -> Result<Vec<String>, StoreError> {
    entries.iter().map(|entry| Ok(serde_json::to_string(entry)?)).collect()
}

impl Store {
    /// What was spent since that moment, in order.
    pub async fn spending_since(&self, since: Millis) -> Result<Vec<(ThreadKey, Millis, Entry)>, StoreError> {
        self.read(move |connection| {
            let sql = "SELECT thread, at, entry FROM spending WHERE at >= ?1 ORDER BY rowid";
            let mut statement = connection.prepare_cached(sql)?;
            let row =
                |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, Millis(row.get(1)?), row.get::<_, String>(2)?));
            let mut entries = Vec::new();
            for row in statement.query_map([since.0], row)? {
                let (thread, at, entry) = row?;
                let entry = serde_json::from_str(&entry)?;
                entries.extend(ThreadKey::parse(&thread).map(|thread| (thread, at, entry)));
            }
            Ok(entries)
        })
        .await
    }

    /// The newest finished threads of a workflow in which a Coder worked.
    pub async fn finished(&self, workflow: &str) -> Result<Vec<Past>, StoreError> {
        let workflow = workflow.to_owned();
        self.read(move |connection| {
            let sql = "SELECT cost_usd, worked_ms FROM sessions WHERE workflow = ?1 AND phase = 'closed' \
                       AND worked_ms > 0 ORDER BY updated_at DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let past = statement.query_map(params![workflow, NEWEST], |row| {
                Ok(Past { cost_usd: row.get(0)?, worked_ms: row.get(1)? })
            })?;
            Ok(past.collect::<Result<_, _>>()?)
        })
        .await
    }
}
