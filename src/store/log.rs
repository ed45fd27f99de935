//! The events: appended with an expected sequence, together with everything else that one decision changes.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::blobs::{self, Outlined};
use super::queue::Operation;
use super::{Store, StoreError, outbox, spending};
use crate::agent::estimate::Past;
use crate::ids::{Epoch, MessageTs, Millis, ThreadKey};
use crate::render::post::Post;
use crate::thread::Event;
use crate::thread::spending::Entry;

const LEASE: Operation = Operation { label: "lease", durable: false, first: false };
const SET_SETTING: Operation = Operation { label: "set_setting", durable: true, first: false };

/// Everything that one decision commits.
#[derive(Debug)]
pub struct Append {
    /// The thread.
    pub thread: ThreadKey,
    /// What [`Store::lease`] gave the writer.
    pub epoch: Epoch,
    /// How many events it had.
    pub expected: u64,
    /// When it was decided.
    pub at: Millis,
    /// What happened; may be empty.
    pub events: Vec<Event>,
    /// What the chat should show now.
    pub posts: Vec<(String, Post)>,
    /// Inbox rows that are dealt with.
    pub acked: Vec<i64>,
    /// What it adds to what was spent.
    pub spent: Vec<Entry>,
    /// The thread's row afterwards.
    pub session: Session,
    /// Whether it must survive a power failure, not only a crash.
    pub durable: bool,
}

/// The projection of a thread for listings and for the start of the daemon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// The phase as text.
    pub phase: String,
    /// The plan's title, or how the first message began.
    pub title: String,
    /// Whether effects are pending, so that a start must wake the thread.
    pub works: bool,
    /// The number of its pull request while that is open.
    pub pull: Option<u64>,
    /// The workflow of its plan that was approved.
    pub workflow: Option<String>,
    /// What it took so far.
    pub past: Past,
}

impl Store {
    /// Takes a thread over: from now on nobody who took it before can append to it. Call it before [`Store::load`].
    pub async fn lease(&self, thread: &ThreadKey) -> Result<Epoch, StoreError> {
        let thread = thread.to_text();
        self.write(LEASE, move |connection| {
            let sql = "INSERT INTO leases (thread, epoch) VALUES (?1, 1) \
                       ON CONFLICT (thread) DO UPDATE SET epoch = epoch + 1 RETURNING epoch";
            let epoch: i64 = connection.prepare_cached(sql)?.query_row([&thread], |row| row.get(0))?;
            Ok(Epoch(u64::try_from(epoch).unwrap_or_default()))
        })
        .await
    }

    /// Commits a decision, all of it or nothing.
    pub async fn append(&self, append: Append) -> Result<(), StoreError> {
        let operation = Operation { label: "append", durable: append.durable, first: false };
        let mut events = Vec::with_capacity(append.events.len());
        for event in &append.events {
            events.push(blobs::outline(serde_json::to_string(event)?)?);
        }
        let (posts, spent) = (outbox::prepare(&append.posts)?, spending::prepare(&append.spent)?);
        self.write(operation, move |connection| {
            commit(connection, &append, &events, &posts)?;
            spending::put(connection, &append.thread.to_text(), append.at, &spent)
        })
        .await
    }

    /// All events of a thread, in order.
    pub async fn load(&self, thread: &ThreadKey) -> Result<Vec<(Millis, Event)>, StoreError> {
        let thread = thread.to_text();
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT at, body FROM events WHERE thread = ?1 ORDER BY seq")?;
            let rows = statement.query_map([&thread], |row| Ok((Millis(row.get(0)?), row.get::<_, String>(1)?)))?;
            let mut events = Vec::new();
            for row in rows {
                let (at, body) = row?;
                let body = blobs::inline(connection, body)?;
                events.push((at, serde_json::from_str(&body)?));
            }
            Ok(events)
        })
        .await
    }

    /// The threads that have something to do: messages to read or effects pending.
    pub async fn threads_at_work(&self) -> Result<Vec<ThreadKey>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT session_id FROM sessions WHERE works = 1 \
                 UNION SELECT thread FROM messages WHERE acked = 0",
            )?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            let mut threads = Vec::new();
            for row in rows {
                threads.extend(ThreadKey::parse(&row?));
            }
            Ok(threads)
        })
        .await
    }

    /// A value kept under a name.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.read(move |connection| {
            let sql = "SELECT value FROM settings WHERE key = ?1";
            Ok(connection.prepare_cached(sql)?.query_row([&key], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Keeps a value under a name.
    pub async fn set_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(SET_SETTING, move |connection| {
            let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2) \
                       ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            connection.execute(sql, params![key, value])?;
            Ok(())
        })
        .await
    }
}

fn commit(
    connection: &Connection,
    append: &Append,
    events: &[Outlined],
    posts: &[outbox::Prepared],
) -> Result<(), StoreError> {
    let thread = append.thread.to_text();
    check_epoch(connection, &thread, append.epoch)?;
    check_sequence(connection, &thread, append.expected)?;
    let sql = "INSERT INTO events (thread, seq, at, type, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut insert = connection.prepare_cached(sql)?;
    for (seq, event) in (append.expected + 1..).zip(events) {
        blobs::put(connection, event)?;
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        insert.execute(params![thread, seq, append.at.0, kind(&event.body), event.body])?;
    }
    posts.iter().try_for_each(|post| outbox::put(connection, &append.thread, post))?;
    for id in &append.acked {
        connection.prepare_cached("UPDATE messages SET acked = 1 WHERE id = ?1")?.execute([id])?;
    }
    write_session(connection, append, &thread)
}

fn check_epoch(connection: &Connection, thread: &str, epoch: Epoch) -> Result<(), StoreError> {
    let current: Option<i64> = connection
        .prepare_cached("SELECT epoch FROM leases WHERE thread = ?1")?
        .query_row([thread], |row| row.get(0))
        .optional()?;
    let current = current.and_then(|current| u64::try_from(current).ok());
    if current == Some(epoch.0) { Ok(()) } else { Err(StoreError::Superseded { thread: thread.to_owned() }) }
}

fn check_sequence(connection: &Connection, thread: &str, expected: u64) -> Result<(), StoreError> {
    let found: i64 = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE thread = ?1")?
        .query_row([thread], |row| row.get(0))?;
    let found = u64::try_from(found).unwrap_or_default();
    if found == expected { Ok(()) } else { Err(StoreError::Conflict { thread: thread.to_owned(), expected, found }) }
}

fn write_session(connection: &Connection, append: &Append, thread: &str) -> Result<(), StoreError> {
    let ThreadKey { channel, ts, .. } = &append.thread;
    let Session { phase, title, works, pull, workflow, past } = &append.session;
    connection
        .prepare_cached(
            "INSERT INTO sessions (thread_ts, channel_id, session_id, updated_at, phase, title, works, pull, \
             workflow, cost_usd, worked_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             ON CONFLICT (channel_id, thread_ts) DO UPDATE SET session_id = excluded.session_id, \
             updated_at = excluded.updated_at, phase = excluded.phase, title = excluded.title, works = excluded.works, \
             pull = excluded.pull, workflow = excluded.workflow, cost_usd = excluded.cost_usd, \
             worked_ms = excluded.worked_ms",
        )?
        .execute(params![
            MessageTs::as_str(ts),
            channel.as_str(),
            thread,
            append.at.0,
            phase,
            title,
            works,
            pull.and_then(|number| i64::try_from(number).ok()),
            workflow,
            past.cost_usd,
            past.worked_ms
        ])?;
    Ok(())
}

/// The `type` of a stored event: serde writes the tag first.
fn kind(body: &str) -> &str {
    body.strip_prefix("{\"type\":\"").and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}
