//! What of the outbox may be sent next: of each lane some rows, of as many threads as possible. Threads take turns: first
//! comes the one that has waited longest since it was served or, if nothing of it was waiting then, since it has
//! something to say.
//!
//! A look costs some steps in an index for each thread that waits, never one for each row: a flood lies in few threads.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Params, params};

use super::{DuePost, Lane};
use crate::ids::{ChannelId, MessageTs, ThreadKey};
use crate::render::cards;
use crate::render::post::Post;
use crate::store::StoreError;

/// How many rows of a lane are shown at most: some more than the sender has places for.
const POSTS: usize = 8;
const REACTIONS: usize = 16;
const EDITS: usize = 500;
/// How many reactions of one thread.
const REACTIONS_OF_A_THREAD: usize = 8;

const NEXT_LANE: &str = "SELECT lane FROM outbox WHERE revision > sent AND lane > ?1 ORDER BY lane LIMIT 1";
const NEXT_THREAD: &str =
    "SELECT thread FROM outbox WHERE revision > sent AND lane = ?1 AND thread > ?2 ORDER BY thread LIMIT 1";
const FIRST: &str = "SELECT id FROM outbox WHERE revision > sent AND lane = ?1 AND thread = ?2 ORDER BY id LIMIT ?3";

/// What the sender holds back, and whose turn it is.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Lanes of which nothing can be sent now.
    pub shut: HashSet<Lane>,
    /// Threads whose posts wait, for a call under way or after trouble.
    pub threads: HashSet<ThreadKey>,
    /// Edits and reactions that wait so.
    pub rows: HashSet<i64>,
    /// When threads were served last that had more to post.
    pub posted: HashMap<ThreadKey, Turn>,
    /// The same of reactions.
    pub reacted: HashMap<ThreadKey, Turn>,
}

/// When a thread was served: after this row was made, and then as the nth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// The newest row at that time.
    pub newest: i64,
    /// Counts what was served; 0 for what was not.
    pub number: u64,
}

/// What may be sent next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Posts first, then reactions, then edits, of which progress messages come last because they may lag behind.
    pub posts: Vec<DuePost>,
    /// The number of the newest row of all.
    pub newest: i64,
}

/// Looks what may be sent next.
pub(super) fn look(connection: &Connection, ask: &Ask) -> Result<Due, StoreError> {
    let newest = connection.prepare_cached("SELECT max(id) FROM outbox")?.query_row([], |row| row.get(0));
    let newest = newest.map(Option::unwrap_or_default)?;
    let (mut found, mut reactions, mut edits) = (Vec::new(), Vec::new(), Vec::new());
    for (name, lane) in lanes(connection)? {
        if ask.shut.contains(&lane) {
            continue;
        }
        match lane {
            Lane::Posts(_) => found.extend(posts(connection, &name, ask)?),
            Lane::Reactions(_) => reactions.extend(in_turn(connection, &name, ask)?),
            Lane::Edits(_) => edits.extend(edits_of(connection, &name, ask)?),
        }
    }
    edits.sort_by_key(|row| (row.key.starts_with("progress/"), row.id));
    found.extend(reactions);
    found.extend(edits);
    Ok(Due { posts: found, newest })
}

/// The lanes in which something waits.
fn lanes(connection: &Connection) -> Result<Vec<(String, Lane)>, StoreError> {
    let mut statement = connection.prepare_cached(NEXT_LANE)?;
    let mut found = Vec::new();
    // Behind all of `done/CHANNEL`, which may not be sent yet.
    let mut last = "done0".to_owned();
    loop {
        let mut rows = statement.query([&last])?;
        let Some(row) = rows.next()? else { return Ok(found) };
        last = row.get(0)?;
        let lane = match last.split_once('/') {
            Some(("post", channel)) => Lane::Posts(ChannelId::new(channel)),
            Some(("edit", channel)) => Lane::Edits(ChannelId::new(channel)),
            Some(("reaction", channel)) => Lane::Reactions(ChannelId::new(channel)),
            Some(_) | None => continue,
        };
        found.push((last.clone(), lane));
    }
}

/// The threads that have something in a lane.
fn threads(connection: &Connection, lane: &str) -> Result<Vec<(String, ThreadKey)>, StoreError> {
    let mut statement = connection.prepare_cached(NEXT_THREAD)?;
    let mut found = Vec::new();
    let mut last = String::new();
    loop {
        let mut rows = statement.query([lane, &last])?;
        let Some(row) = rows.next()? else { return Ok(found) };
        last = row.get(0)?;
        found.extend(ThreadKey::parse(&last).map(|thread| (last.clone(), thread)));
    }
}

/// The first rows of a thread in a lane.
fn first(connection: &Connection, lane: &str, thread: &str, limit: usize) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(FIRST)?;
    let ids = statement.query_map(params![lane, thread, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The first post of each thread, by turns.
fn posts(connection: &Connection, lane: &str, ask: &Ask) -> Result<Vec<DuePost>, StoreError> {
    let mut heads = Vec::new();
    for (name, thread) in threads(connection, lane)? {
        if ask.threads.contains(&thread) {
            continue;
        }
        let ids = first(connection, lane, &name, 2)?;
        heads.extend(ids.first().map(|id| (turn(&ask.posted, &thread, *id), *id, ids.len() > 1)));
    }
    heads.sort_unstable();
    heads.truncate(POSTS);
    load(connection, heads.into_iter().map(|(_, id, more)| (id, more)))
}

/// Reactions by turns of their threads: the first of each, then the second of each.
fn in_turn(connection: &Connection, lane: &str, ask: &Ask) -> Result<Vec<DuePost>, StoreError> {
    let mut found = Vec::new();
    for (name, thread) in threads(connection, lane)? {
        let mut ids = first(connection, lane, &name, REACTIONS_OF_A_THREAD + ask.rows.len() + 1)?;
        ids.retain(|id| !ask.rows.contains(id));
        let of_thread = ids.iter().enumerate().take(REACTIONS_OF_A_THREAD);
        found
            .extend(of_thread.map(|(place, id)| (place, turn(&ask.reacted, &thread, *id), *id, place + 1 < ids.len())));
    }
    found.sort_unstable();
    found.truncate(REACTIONS);
    load(connection, found.into_iter().map(|(_, _, id, more)| (id, more)))
}

fn edits_of(connection: &Connection, lane: &str, ask: &Ask) -> Result<Vec<DuePost>, StoreError> {
    let condition = "WHERE revision > sent AND lane = ?1 ORDER BY key GLOB 'progress/*', id LIMIT ?2";
    let limit = i64::try_from(EDITS + ask.rows.len()).unwrap_or(i64::MAX);
    let mut found = rows(connection, condition, params![lane, limit])?;
    found.retain(|row| !ask.rows.contains(&row.id));
    Ok(found)
}

/// Since when a thread waits whose first row is this.
fn turn(turns: &HashMap<ThreadKey, Turn>, thread: &ThreadKey, id: i64) -> Turn {
    let made = Turn { newest: id, number: 0 };
    turns.get(thread).map_or(made, |served| made.max(*served))
}

fn load(connection: &Connection, heads: impl Iterator<Item = (i64, bool)>) -> Result<Vec<DuePost>, StoreError> {
    let mut found = Vec::new();
    for (id, more) in heads {
        let loaded = rows(connection, "WHERE id = ?1", [id])?;
        found.extend(loaded.into_iter().map(|row| DuePost { more, ..row }));
    }
    Ok(found)
}

/// The rows that meet a condition.
pub(super) fn rows(connection: &Connection, condition: &str, values: impl Params) -> Result<Vec<DuePost>, StoreError> {
    let sql = format!("SELECT id, thread, key, post, revision, ts, tried FROM outbox {condition}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(due_post(row)?);
    }
    Ok(found)
}

fn due_post(row: &rusqlite::Row<'_>) -> Result<Option<DuePost>, StoreError> {
    let Some(thread) = ThreadKey::parse(&row.get::<_, String>(1)?) else { return Ok(None) };
    Ok(Some(DuePost {
        id: row.get(0)?,
        key: row.get(2)?,
        post: post(row.get(0)?, &thread, &row.get::<_, String>(3)?),
        thread,
        revision: row.get(4)?,
        ts: row.get::<_, Option<String>>(5)?.map(MessageTs::new),
        tried: row.get(6)?,
        more: false,
    }))
}

/// One that cannot be read would hold back its whole thread for ever: it is said instead that something is missing.
fn post(id: i64, thread: &ThreadKey, stored: &str) -> Post {
    serde_json::from_str(stored).unwrap_or_else(|error| {
        tracing::error!(thread.ts = %thread, post.id = id, %error, "a post in the store cannot be read; it is left out");
        cards::missing(&thread.ts)
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::store::schema;

    #[test]
    fn a_look_costs_no_more_for_ten_thousand_rows_of_a_thread_than_for_ten() {
        let steps = |rows: i64| {
            let folder = tempfile::tempdir().expect("a folder");
            let connection = schema::open(&folder.path().join("store.db")).expect("opens");
            let post = r#"{"kind":"reaction","ts":"1.0","name":"eyes"}"#;
            let sql = "INSERT INTO outbox (thread, key, post, lane) VALUES (?1, ?2, ?3, ?4)";
            for lane in ["post/C1", "reaction/C1", "done/C1"] {
                for row in 0..rows {
                    connection.execute(sql, params!["T1/C1/1.0", format!("{lane}/{row}"), post, lane]).expect("put");
                }
                connection.execute(sql, params!["T1/C1/2.0", lane, post, lane]).expect("put");
            }
            let due = look(&connection, &Ask::default()).expect("looks");
            assert_eq!(due.posts.len(), 2 + 9);
            let steps = |sql| connection.prepare_cached(sql).expect("is there").get_status(StatementStatus::VmStep);
            [NEXT_LANE, NEXT_THREAD, FIRST].map(steps)
        };
        assert_eq!(steps(10), steps(10_000));
    }
}
