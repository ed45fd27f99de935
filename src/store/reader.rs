//! Looks into a store without driving it: no lock, no migration, no write, beside a running daemon or without one.
//!
//! What an older program wrote is read as far as it goes; what a newer one wrote is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::{StoreError, blobs, schema};
use crate::ids::{Millis, ThreadKey};

/// A store that is only read.
pub struct Reader {
    pub(super) connection: Connection,
    /// Whether its tables are there: an older program may have died before it made them.
    made: bool,
}

/// A thread as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRow {
    /// Which thread.
    pub key: ThreadKey,
    /// When it last changed.
    pub updated: Millis,
    /// The plan's title, or how the first message began; may be empty.
    pub title: String,
    /// Whether it is closed.
    pub closed: bool,
    /// Messages that the daemon has not dealt with.
    pub unread: u64,
}

/// An event as it is stored, its blobs put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the thread, from 1.
    pub seq: u64,
    /// When it happened.
    pub at: Millis,
    /// The event as JSON text.
    pub body: String,
}

impl Reader {
    /// Opens the store; `None` when there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.try_exists().map_err(|source| StoreError::Io { path: path.to_owned(), source: source.into() })? {
            return Ok(None);
        }
        let (connection, found) = connect(path)?;
        let known = schema::newest();
        if found > known {
            return Err(StoreError::Newer { path: path.to_owned(), found, known });
        }
        Ok(Some(Self { connection, made: found > 0 }))
    }

    /// All threads, the one that changed last first.
    pub fn threads(&self) -> Result<Vec<ThreadRow>, StoreError> {
        if !self.made {
            return Ok(Vec::new());
        }
        let mut unread = self.unread()?;
        let sql = "SELECT session_id, updated_at, title, phase = 'closed' FROM sessions";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut threads = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(key) = ThreadKey::parse(&row.get::<_, String>(0)?) else { continue };
            let unread = unread.remove(&key).unwrap_or_default();
            threads.push(ThreadRow {
                key,
                updated: Millis(row.get(1)?),
                title: row.get(2)?,
                closed: row.get(3)?,
                unread,
            });
        }
        // What was just stored and no worker has looked at yet.
        threads.extend(unread.into_iter().map(|(key, unread)| ThreadRow {
            updated: begun(&key),
            key,
            title: String::new(),
            closed: false,
            unread,
        }));
        threads.sort_by(|a, b| b.updated.cmp(&a.updated).then_with(|| b.key.cmp(&a.key)));
        Ok(threads)
    }

    /// Whether the program that made the store knew of this table.
    pub(super) fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        Ok(self.connection.query_row(sql, [name], |row| row.get::<_, i64>(0))? > 0)
    }

    /// The events of a thread, in order.
    pub fn events(&self, thread: &ThreadKey) -> Result<Vec<StoredEvent>, StoreError> {
        if !self.made {
            return Ok(Vec::new());
        }
        let sql = "SELECT seq, at, body FROM events WHERE thread = ?1 ORDER BY seq";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(params![thread.to_text()])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            let body = blobs::inline(&self.connection, row.get(2)?)?;
            events.push(StoredEvent { seq: u64::try_from(seq).unwrap_or_default(), at: Millis(row.get(1)?), body });
        }
        Ok(events)
    }

    fn unread(&self) -> Result<BTreeMap<ThreadKey, u64>, StoreError> {
        let sql = "SELECT thread, count(*) FROM messages WHERE acked = 0 GROUP BY thread";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut unread = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let count: i64 = row.get(1)?;
            let key = ThreadKey::parse(&row.get::<_, String>(0)?);
            unread.extend(key.map(|key| (key, u64::try_from(count).unwrap_or_default())));
        }
        Ok(unread)
    }
}

/// The connection, and the number of its schema.
fn connect(path: &Path) -> Result<(Connection, i64), StoreError> {
    let version = |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let open = |path: &Path, more: OpenFlags| -> Result<(Connection, i64), rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let found = version(&connection)?;
        Ok((connection, found))
    };
    match open(path, OpenFlags::empty()) {
        Ok(opened) => Ok(opened),
        // Where nothing can be written, SQLite cannot make the files that readers share with a writer. When nobody
        // left any either, there is no writer, and the file may be read as one that does not change.
        Err(_) if !beside(path, "-wal").exists() => Ok(open(&unchanging(path), OpenFlags::SQLITE_OPEN_URI)?),
        Err(error) => Err(error.into()),
    }
}

fn beside(path: &Path, ending: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The path as an address that SQLite takes, with the promise that nobody changes the file.
fn unchanging(path: &Path) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let mut address = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => address.push(char::from(*byte)),
            byte => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address.push_str("?immutable=1");
    address.into()
}

/// When a thread's first message was written, which its key says.
fn begun(key: &ThreadKey) -> Millis {
    let seconds: i64 = key.ts.as_str().split('.').next().and_then(|text| text.parse().ok()).unwrap_or_default();
    Millis(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::Reader;
    use crate::chat::{Incoming, IncomingKind};
    use crate::ids::{CallId, ChannelId, Epoch, MessageTs, Millis, RunId, ThreadKey, UserId};
    use crate::store::tests::reopen;
    use crate::store::{Append, Session, Store, StoreError};
    use crate::thread::Event;
    use crate::thread::event::ToolResult;

    fn key(ts: &str) -> ThreadKey {
        ThreadKey { workspace: "T1".into(), channel: ChannelId::new("C1"), ts: MessageTs::new(ts) }
    }

    fn append(ts: &str, epoch: Epoch, at: i64, phase: &str, events: Vec<Event>) -> Append {
        let session = Session {
            phase: phase.into(),
            title: format!("title {ts}"),
            works: false,
            pull: None,
            ..Session::default()
        };
        let (posts, acked) = (vec![], vec![]);
        Append {
            thread: key(ts),
            epoch,
            expected: 0,
            at: Millis(at),
            events,
            posts,
            acked,
            session,
            spent: vec![],
            durable: true,
        }
    }

    fn big() -> Vec<Event> {
        let result = ToolResult { text: "é".repeat(20_000), error: false, wrote: vec![], exit: None };
        vec![
            Event::ThreadOpened { by: UserId::new("ANA") },
            Event::ToolFinished { run: RunId(1), call: CallId::new("c"), result },
        ]
    }

    async fn fill(store: &Store) {
        let one = store.lease(&key("1.0")).await.expect("leased");
        store.append(append("1.0", one, 7, "closed", big())).await.expect("appended");
        let two = store.lease(&key("2.0")).await.expect("leased");
        store.append(append("2.0", two, 9, "pm", vec![])).await.expect("appended");
        let what = IncomingKind::Pressed { action: "a".into(), value: "v".into() };
        let incoming = |ts, key_| Incoming {
            thread: key(ts),
            from: UserId::new("ANA"),
            name: "Ana".into(),
            what: what.clone(),
            dedupe: vec![key_],
        };
        store.accept(incoming("2.0", "a".to_owned()), vec![], Millis(1)).await.expect("stored");
        store.accept(incoming("3.0", "b".to_owned()), vec![], Millis(1)).await.expect("stored");
    }

    fn check(reader: &Reader) {
        let threads = reader.threads().expect("read");
        let shown: Vec<_> =
            threads.iter().map(|row| (row.key.ts.as_str(), row.updated.0, row.closed, row.unread)).collect();
        assert_eq!(shown, [("3.0", 3000, false, 1), ("2.0", 9, false, 1), ("1.0", 7, true, 0)]);
        let events = reader.events(&key("1.0")).expect("read");
        let read: Vec<Event> =
            events.iter().map(|event| serde_json::from_str(&event.body).expect("an event")).collect();
        assert_eq!(read, big(), "big texts are put back");
        assert_eq!((events[1].seq, events[1].at), (2, Millis(7)));
        assert_eq!(reader.events(&key("9.0")).expect("read"), []);
    }

    #[tokio::test]
    async fn it_reads_beside_the_one_that_drives_the_store_and_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        assert!(Reader::open(&path).expect("no error").is_none());
        let store = Store::open(&path).expect("opens");
        fill(&store).await;
        check(&Reader::open(&path).expect("opens").expect("is there"));
        drop(store);
        check(&Reader::open(&path).expect("opens").expect("is there"));
        reopen(&path);
    }

    #[tokio::test]
    async fn it_reads_where_it_may_not_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a b?#%.db");
        let store = Store::open(&path).expect("opens");
        fill(&store).await;
        drop(store);
        // Who closes the file last takes away what is beside it. When the store's two threads do so at the same moment,
        // each sees the other and neither does: then this one is the last.
        while super::beside(&path, "-wal").exists() {
            let last = rusqlite::Connection::open(&path).expect("opens");
            last.query_row("SELECT count(*) FROM events", [], |_| Ok(())).expect("read");
        }
        check(&Reader {
            connection: rusqlite::Connection::open_with_flags(
                super::unchanging(&path),
                rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI,
            )
            .expect("opens"),
            made: true,
        });
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).expect("set");
        let read = Reader::open(&path).expect("opens").expect("is there");
        check(&read);
        drop(read);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("set");
    }

    #[test]
    fn an_empty_store_has_no_thread_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let connection = rusqlite::Connection::open(&path).expect("opens");
        connection.execute_batch("PRAGMA user_version = 0; CREATE TABLE x (y)").expect("made");
        assert_eq!(Reader::open(&path).expect("opens").expect("is there").threads().expect("read"), []);
        connection.execute_batch("PRAGMA user_version = 99").expect("set");
        assert!(matches!(Reader::open(&path), Err(StoreError::Newer { found: 99, .. })));
        std::fs::write(&path, "no database at all, but long enough to be looked at as one").expect("written");
        assert!(matches!(Reader::open(&path), Err(StoreError::Sqlite(_))));
    }
}
