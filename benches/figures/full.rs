//! The section `full`: the start with a store that years of work have filled, made of one finished story and one that
//! waits, copied under other threads' keys.

use std::path::Path;
use std::time::{Duration, Instant};

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use rusqlite::{Connection, params};

use crate::script::{Trouble, standard};
use crate::support::fake_slack::{ANA, BEN, SHOP};
use crate::world::World;
use crate::{Figure, median, ms, process};

/// Threads in the store, and about how many events of all of them.
const THREADS: u32 = 10_000;
const EVENTS: u64 = 1_000_000;
/// One thread of so many waits for people; the others are closed.
const OPEN_EVERY: u32 = 100;
/// Threads of those with a message that nobody has read.
const PENDING: u32 = 30;
const STARTS: usize = 9;

/// From exec to `ready`, and what is loaded.
pub async fn full() -> Vec<Figure> {
    let world = World::with_script(script()).await;
    world.slack.be_quiet();
    let (closed, open) = two_stories(&world).await;
    let path = world.checkout().join(".codebutler/store.db");
    let (events, bytes) = fill(&path, &closed, &open);
    let mut times = Vec::new();
    let mut first = None;
    let mut resident = 0.0;
    for _ in 0..=STARTS {
        leave_pending(&path);
        let asked = world.model.times().len();
        let begun = Instant::now();
        let daemon = world.start();
        let took = begun.elapsed();
        match first {
            None => first = Some(took),
            Some(_) => times.push(took),
        }
        world.until("the pending threads", || world.model.times().len() >= asked + PENDING as usize).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(world.model.times().len(), asked + PENDING as usize, "only what is pending is woken");
        resident = process::resident(daemon.pid());
        daemon.kill();
    }
    let what = format!("{THREADS} threads, {events} events, {} MiB, {PENDING} threads pending", bytes >> 20);
    vec![
        Figure::new(format!("start to `ready`, {what}: median of {STARTS}"), ms(median(&times))),
        Figure::new("… the first, just filled", ms(first.unwrap_or_default())),
        Figure::new("… resident 2 s after the pending ones were answered", format!("{resident:.1} MiB")),
    ]
}

fn script() -> impl FnMut(&ScriptedRequest) -> ScriptedReply + Send {
    standard(Trouble::default())
}

/// A thread that is merged and one that waits for an approval, both after much talk.
async fn two_stories(world: &World) -> (String, String) {
    let daemon = world.start();
    let mut stories = Vec::new();
    for wish in ["let `greeting.txt` say \"one\"", "let `other.txt` say \"two\""] {
        let root = world.slack.say(BEN, SHOP, "hello", None);
        world.is_done(&root).await;
        for number in 0..12 {
            let ts = world.slack.say(BEN, SHOP, &format!("question {number}?"), Some(&root));
            world.is_done(&ts).await;
        }
        world.slack.say(BEN, SHOP, wish, Some(&root));
        world.card(&root, "plan_approve").await;
        let last = world.slack.say(BEN, SHOP, "is that safe?", Some(&root));
        world.is_done(&last).await;
        stories.push(root);
    }
    let [closed, open] = <[String; 2]>::try_from(stories).expect("two");
    world.press(&closed, "plan_approve").await;
    world.card(&closed, "pr_merge").await;
    let merge = world.slack.say(ANA, SHOP, "merge", Some(&closed));
    world.says(&closed, "Merged as").await;
    world.is_done(&merge).await;
    daemon.stop();
    (closed, open)
}

/// Copies both under other keys; how many events and bytes there are then.
fn fill(path: &Path, closed: &str, open: &str) -> (u64, u64) {
    let store = Connection::open(path).expect("the store is there");
    store.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN").expect("settings");
    // Older than what was just said, so that nothing looks new.
    let copies = "CREATE TEMP TABLE copies AS WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number \
                  WHERE n < ?1) SELECT n, printf('%d.%06d', 1600000000 + n * 60, n % 1000000) AS ts, \
                  CASE WHEN n % ?2 = 0 THEN ?3 ELSE ?4 END AS model FROM number";
    store.execute(copies, params![THREADS, OPEN_EVERY, open, closed]).expect("keys");
    let per_thread: u64 = count(&store, "SELECT count(*) FROM events") / 2;
    assert!(per_thread * u64::from(THREADS) > EVENTS * 9 / 10, "{per_thread} events in a story");
    for statement in [
        "INSERT INTO events (thread, seq, at, type, body) SELECT 'T0TEAM/C0SHOP/' || copies.ts, seq, at, type, body \
         FROM copies JOIN events ON events.thread = 'T0TEAM/C0SHOP/' || copies.model",
        // A thread's messages lie a few seconds after its first.
        "INSERT INTO messages (thread_ts, channel_id, from_user, content, timestamp, acked, thread, incoming, at, said) \
         SELECT copies.ts, channel_id, from_user, content, copies.ts || '-' || id, 1, 'T0TEAM/C0SHOP/' || copies.ts, \
         incoming, at, said FROM copies JOIN messages ON messages.thread = 'T0TEAM/C0SHOP/' || copies.model \
         ORDER BY n, messages.id",
        "INSERT INTO sessions (thread_ts, channel_id, session_id, updated_at, phase, title, works, pull) \
         SELECT copies.ts, channel_id, 'T0TEAM/C0SHOP/' || copies.ts, updated_at, phase, title, works, pull \
         FROM copies JOIN sessions ON sessions.thread_ts = copies.model",
        "INSERT INTO outbox (thread, key, post, revision, sent, tried, ts, fault, lane) \
         SELECT 'T0TEAM/C0SHOP/' || copies.ts, key, post, revision, revision, 1, outbox.ts, fault, lane \
         FROM copies JOIN outbox ON outbox.thread = 'T0TEAM/C0SHOP/' || copies.model",
        "INSERT INTO leases (thread, epoch) SELECT 'T0TEAM/C0SHOP/' || ts, 1 FROM copies",
        "INSERT INTO seen (key) SELECT 'copy:' || copies.n || ':' || key FROM copies JOIN seen LIMIT 100000",
        "COMMIT",
    ] {
        store.execute_batch(statement).expect("the schema is known");
    }
    store.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
    (count(&store, "SELECT count(*) FROM events"), std::fs::metadata(path).expect("it is there").len())
}

/// Lets some of the open threads have a message that nobody has read.
fn leave_pending(path: &Path) {
    let store = Connection::open(path).expect("the store is there");
    store.busy_timeout(Duration::from_secs(10)).expect("a setting");
    let sql = "UPDATE messages SET acked = 0 WHERE id IN (SELECT max(messages.id) FROM messages JOIN sessions \
               ON session_id = thread WHERE phase = 'pm' AND messages.thread_ts < '1700000000' GROUP BY thread \
               ORDER BY thread LIMIT ?1)";
    assert_eq!(store.execute(sql, [PENDING]).expect("the schema is known"), PENDING as usize);
}

fn count(store: &Connection, sql: &str) -> u64 {
    store.query_row(sql, [], |row| row.get::<_, i64>(0)).ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}
