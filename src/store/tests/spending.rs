//! What was spent is stored with the events it comes from or not at all, is there after a restart, and is taken over from a
//! store that did not know of it.

use rusqlite::{Connection, params};

use super::{append, json, key, open, opened, reopen};
use crate::agent::estimate::Past;
use crate::agent::{Role, Usage};
use crate::ids::{Epoch, Millis, UserId};
use crate::store::{Append, Session, Store};
use crate::thread::Event;
use crate::thread::event::Reply;
use crate::thread::spending::Entry;

fn usage(usd: f64) -> Usage {
    Usage { calls: 1, prompt_tokens: 7, cost_usd: usd, ..Usage::default() }
}

fn call(usd: f64) -> Entry {
    Entry::Call { role: Some(Role::Pm), user: Some(UserId::new("ANA")), model: "m".into(), usage: usage(usd) }
}

#[tokio::test]
async fn entries_come_and_go_with_their_events_and_outlive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let first = Append { spent: vec![call(0.5), call(0.25)], ..append(0, vec![opened()], &[], vec![]) };
    store.append(first).await.expect("appended");
    let late = Append { spent: vec![call(9.0)], epoch: Epoch(0), ..append(1, vec![opened()], &[], vec![]) };
    store.append(late).await.expect_err("another has the thread");
    drop(store);
    let store = reopen(&folder.path().join("store.db"));
    let expected = [(key("1.0"), Millis(5), call(0.5)), (key("1.0"), Millis(5), call(0.25))];
    assert_eq!(store.spending_since(Millis(5)).await.expect("read"), expected);
    assert_eq!(store.spending_since(Millis(6)).await.expect("read"), []);
}

#[tokio::test]
async fn finished_threads_of_a_workflow_tell_what_they_took() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let threads = [
        ("1.0", "closed", "bugfix", Some(0.5), 60_000),
        ("2.0", "closed", "bugfix", None, 30_000),
        ("3.0", "closed", "feature", Some(2.0), 60_000),
        ("4.0", "coder", "bugfix", Some(3.0), 60_000),
        ("5.0", "closed", "bugfix", Some(0.1), 0),
    ];
    for (ts, phase, workflow, cost_usd, worked_ms) in threads {
        let thread = key(ts);
        let epoch = if ts == "1.0" { Epoch(1) } else { store.lease(&thread).await.expect("leased") };
        let (workflow, past) = (Some(workflow.to_owned()), Past { cost_usd, worked_ms });
        let session = Session { phase: phase.into(), workflow, past, ..Session::default() };
        let row = Append { thread, epoch, session, ..append(0, vec![opened()], &[], vec![]) };
        store.append(row).await.expect("appended");
    }
    let mut found = store.finished("bugfix").await.expect("read");
    found.sort_by_key(|past| past.worked_ms);
    let expected = [Past { cost_usd: None, worked_ms: 30_000 }, Past { cost_usd: Some(0.5), worked_ms: 60_000 }];
    assert_eq!(found, expected);
    assert_eq!(store.finished("other").await.expect("read"), []);
}

#[tokio::test]
async fn what_was_spent_before_it_was_noted_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    drop(Store::open(&path).expect("opens"));
    let connection = Connection::open(&path).expect("opens");
    let undo = "DROP TABLE spending; DROP INDEX sessions_finished; ALTER TABLE sessions DROP COLUMN workflow; \
                ALTER TABLE sessions DROP COLUMN cost_usd; ALTER TABLE sessions DROP COLUMN worked_ms";
    connection.execute_batch(undo).expect("as it was");
    connection.pragma_update(None, "user_version", 4).expect("set");
    let reply = Reply { model: "m".into(), usage: usage(0.75), ..Reply::default() };
    let reply = Event::ReplyReceived { run: crate::ids::RunId(1), turn: 1, reply };
    let sql = "INSERT INTO events VALUES (?1, 1, 5, 'reply_received', ?2)";
    connection.execute(sql, params![key("1.0").to_text(), json(&reply)]).expect("inserted");
    drop(connection);
    let store = reopen(&path);
    let entry = Entry::Call { role: None, user: None, model: "m".into(), usage: usage(0.75) };
    assert_eq!(store.spending_since(Millis(0)).await.expect("read"), [(key("1.0"), Millis(5), entry)]);
}
