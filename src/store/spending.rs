//! What was spent, as entries beside the events they come from; and what finished threads cost.

use rusqlite::{Connection, params};

use super::{Reader, Store, StoreError};
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

/// The entries behind a row that are not older than that moment, in order, and the last row.
fn after(connection: &Connection, row: i64, since: Millis) -> Result<(i64, Spent), StoreError> {
    let sql = "SELECT rowid, thread, at, entry FROM spending WHERE rowid > ?1 AND at >= ?2 ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([row, since.0])?;
    let (mut last, mut entries) = (row, Vec::new());
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        let (thread, at, entry): (String, i64, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let entry = serde_json::from_str(&entry)?;
        entries.extend(ThreadKey::parse(&thread).map(|thread| (thread, Millis(at), entry)));
    }
    Ok((last, entries))
}

/// What was spent, when, in which thread.
type Spent = Vec<(ThreadKey, Millis, Entry)>;

impl Reader {
    /// What was spent behind that row and since that moment, in order, and the last row: the next time begins there.
    pub fn spending_after(&self, row: i64, since: Millis) -> Result<(i64, Spent), StoreError> {
        // A program from before this was noted made no such table.
        let noted = self.has_table("spending")?;
        if noted { after(&self.connection, row, since) } else { Ok((row, Vec::new())) }
    }
}

impl Store {
    /// What was spent since that moment, in order.
    pub async fn spending_since(&self, since: Millis) -> Result<Vec<(ThreadKey, Millis, Entry)>, StoreError> {
        self.read(move |connection| Ok(after(connection, 0, since)?.1)).await
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
