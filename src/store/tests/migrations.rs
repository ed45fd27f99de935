//! A store from the program before this one: everything in it is kept, a copy of it too.

use std::os::unix::fs::PermissionsExt as _;

use rusqlite::{Connection, params};

use super::{NOW, append, incoming, json, key, opened, said};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{Epoch, MessageTs, Millis};
use crate::render::post::Post;
use crate::store::{Append, Lane, Store, StoreError};

const FIRST: &str = include_str!("../migrations/0001.sql");
const SECOND: &str = include_str!("../migrations/0002.sql");

fn eyes() -> Post {
    Post::Reaction { ts: MessageTs::new("1.0"), name: "eyes".into() }
}

/// A store as the first release left it: a thread at work, a message that waits, posts in every state.
fn write_old(path: &std::path::Path) {
    let connection = Connection::open(path).expect("opens");
    connection.pragma_update(None, "journal_mode", "WAL").expect("set");
    connection.execute_batch(FIRST).expect("made");
    connection.pragma_update(None, "user_version", 1).expect("set");
    let thread = key("1.0").to_text();
    connection
        .execute("INSERT INTO events VALUES (?1, 1, 5, 'thread_opened', ?2)", params![thread, json(&opened())])
        .expect("inserted");
    for (ts, acked) in [("1.0", 1), ("2.0", 0)] {
        let sql = "INSERT INTO messages (thread_ts, channel_id, from_user, content, timestamp, acked, thread, incoming) \
                   VALUES ('1.0', 'C1', 'ANA', '', ?1, ?2, ?3, ?4)";
        connection.execute(sql, params![ts, acked, thread, json(&incoming(ts, &["event:1"]))]).expect("inserted");
    }
    connection.execute("INSERT INTO seen VALUES ('press:1', 5)", []).expect("inserted");
    let sql = "INSERT INTO sessions VALUES ('1.0', 'C1', ?1, 5, 'pm', 't', 1)";
    connection.execute(sql, [&thread]).expect("inserted");
    for (key, post, revision, sent, tried, ts) in [
        ("sent", said("sent"), 1, 1, 1, Some("1.1")),
        ("edited", said("edited"), 2, 1, 1, Some("1.2")),
        ("tried", said("tried"), 1, 0, 1, None),
        ("new", said("new"), 1, 0, 0, None),
        ("eyes/1.0", eyes(), 1, 0, 0, None),
    ] {
        let sql =
            "INSERT INTO outbox (thread, key, post, revision, sent, tried, ts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        connection.execute(sql, params![thread, key, json(&post), revision, sent, tried, ts]).expect("inserted");
    }
    connection.execute("INSERT INTO settings VALUES ('pm', 'claude')", []).expect("inserted");
}

#[tokio::test]
async fn a_store_of_the_first_release_keeps_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    write_old(&path);
    std::fs::write(folder.path().join("store.db.before-0005.part"), "cut short").expect("written");
    let store = Store::open(&path).expect("opens");
    assert_eq!(store.load(&key("1.0")).await.expect("read"), [(Millis(5), opened())]);
    assert_eq!(store.threads_at_work().await.expect("read"), [key("1.0")]);
    let waiting = store.waiting(&key("1.0")).await.expect("read");
    assert_eq!(
        waiting.iter().map(|row| (row.id, &row.incoming)).collect::<Vec<_>>(),
        [(2, &incoming("2.0", &["event:1"]))]
    );
    assert_eq!(store.setting("pm").await.expect("read").as_deref(), Some("claude"));
    let due = store.due_posts().await.expect("read");
    let due: Vec<_> = due.iter().map(|row| (row.key.as_str(), row.lane(), row.tried)).collect();
    let channel = key("1.0").channel;
    let (posts, reactions, edits) =
        (Lane::Posts(channel.clone()), Lane::Reactions(channel.clone()), Lane::Edits(channel));
    let expected = [("tried", posts.clone(), true), ("eyes/1.0", reactions, false), ("edited", edits, true)];
    assert_eq!(due, expected);
    store.mark_sent(3, 1, Some(MessageTs::new("1.3")), None).await.expect("noted");
    let due = store.due_posts().await.expect("read");
    assert_eq!((due[0].key.as_str(), due[0].lane()), ("new", posts));
    assert_eq!(store.sent_posts().await.expect("read").len(), 3);

    assert!(!store.accept(incoming("1.0", &["event:9"]), vec![], NOW).await.expect("its place is known"));
    let what = IncomingKind::Pressed { action: "a".into(), value: "v".into() };
    let pressed = Incoming { what, ..incoming("1.0", &["press:1"]) };
    assert!(!store.accept(pressed, vec![], NOW).await.expect("its key is known"));
    let early = store.append(append(1, vec![opened()], &[], vec![])).await;
    assert!(matches!(early, Err(StoreError::Superseded { .. })), "{early:?}");
    assert_eq!(store.lease(&key("1.0")).await.expect("leased"), Epoch(1));
    store.append(Append { acked: vec![2], ..append(1, vec![opened()], &[], vec![]) }).await.expect("appended");
}

#[tokio::test]
async fn a_store_of_the_second_schema_ends_as_a_fresh_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = |path: &std::path::Path| {
        let connection = Connection::open(path).expect("opens");
        let sql = "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema ORDER BY type, name)";
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
        (version, connection.query_one(sql, [], |row| row.get::<_, String>(0)).expect("read"))
    };
    let (second, fresh) = (folder.path().join("second.db"), folder.path().join("fresh.db"));
    write_old(&second);
    let connection = Connection::open(&second).expect("opens");
    connection.execute_batch(SECOND).expect("made");
    connection.pragma_update(None, "user_version", 2).expect("set");
    drop(connection);
    let store = Store::open(&second).expect("opens");
    assert_eq!(store.load(&key("1.0")).await.expect("read"), [(Millis(5), opened())]);
    drop(Store::open(&fresh).expect("opens"));
    assert_eq!(schema(&second), schema(&fresh));
    let (version, kept) = schema(&folder.path().join("second.db.before-0005"));
    assert!(version == 2 && !kept.contains("messages_changed"), "{kept}");
}

#[tokio::test]
async fn a_copy_is_kept_before_an_old_store_is_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    write_old(&path);
    drop(Store::open(&path).expect("opens"));
    let copy = folder.path().join("store.db.before-0005");
    assert_eq!(std::fs::metadata(&copy).expect("it is there").permissions().mode() & 0o777, 0o600);
    let old = Connection::open(&copy).expect("opens");
    let version: i64 = old.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
    let due: i64 =
        old.query_one("SELECT count(*) FROM outbox WHERE revision > sent", [], |row| row.get(0)).expect("read");
    let seen: i64 = old.query_one("SELECT count(*) FROM seen WHERE at = 5", [], |row| row.get(0)).expect("read");
    assert_eq!((version, due, seen), (1, 4, 1), "the older program finds what it knew");
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("read")
        .map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("before"))
        .collect();
    names.sort();
    assert_eq!(names, ["store.db.before-0005"]);

    let fresh = tempfile::tempdir().expect("a folder");
    drop(Store::open(&fresh.path().join("store.db")).expect("opens"));
    assert!(!fresh.path().join("store.db.before-0005").exists(), "there was nothing to copy");
}
