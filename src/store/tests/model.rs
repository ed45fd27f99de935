//! The store against a model of it that fits on two pages: random commands, the store closed, killed or copied at any
//! moment, and after each of them everything that can be read is what the model says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::poll;
use proptest::prelude::*;

use super::{NOW, incoming, key, reopen, said};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{Epoch, MessageTs, Millis, RunId, ThreadKey, UserId};
use crate::render::post::Post;
use crate::store::{Append, Session, Store, StoreError};
use crate::thread::Event;
use crate::thread::event::ToolResult;

const THREADS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// A message or, without a place, a button, in a thread, with keys.
    Accept {
        thread: usize,
        place: Option<u8>,
        keys: Vec<u8>,
    },
    Lease {
        thread: usize,
    },
    Append(Change),
    /// Begins an append and is killed before it hears what became of it.
    Cut(Change),
    PostOnce {
        thread: usize,
        post: u8,
    },
    /// The sender tries the nth row that is due.
    Try {
        row: usize,
    },
    /// The sender brings the nth row that is due to the chat, or gives it up.
    Send {
        row: usize,
        shown: bool,
    },
    Set {
        key: u8,
        value: u8,
    },
    /// Closed and opened again.
    Reopen,
    /// Killed: the files as they are, without a goodbye, are what the next process finds.
    Kill,
}

#[derive(Clone, Debug)]
struct Change {
    thread: usize,
    /// By how much the epoch and the sequence are wrong.
    stale: u64,
    ahead: u64,
    events: Vec<u8>,
    posts: Vec<(u8, u8)>,
    /// How many rows are dealt with.
    acked: usize,
    durable: bool,
}

fn change() -> impl Strategy<Value = Change> {
    let wrong = || prop_oneof![4 => Just(0_u64), 1 => Just(1_u64)];
    let events = prop::collection::vec(any::<u8>(), 0..3);
    let posts = prop::collection::vec((0..4_u8, 0..3_u8), 0..3);
    (0..THREADS, wrong(), wrong(), events, posts, 0..3_usize, any::<bool>()).prop_map(
        |(thread, stale, ahead, events, posts, acked, durable)| Change {
            thread,
            stale,
            ahead,
            events,
            posts,
            acked,
            durable,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::collection::vec(0..12_u8, 0..3);
    prop_oneof![
        4 => (0..THREADS, prop::option::of(0..8_u8), keys)
            .prop_map(|(thread, place, keys)| Step::Accept { thread, place, keys }),
        2 => (0..THREADS).prop_map(|thread| Step::Lease { thread }),
        5 => change().prop_map(Step::Append),
        1 => change().prop_map(Step::Cut),
        1 => (0..THREADS, 0..6_u8).prop_map(|(thread, post)| Step::PostOnce { thread, post }),
        1 => (0..4_usize).prop_map(|row| Step::Try { row }),
        3 => (0..4_usize, prop::bool::weighted(0.8)).prop_map(|(row, shown)| Step::Send { row, shown }),
        1 => (0..3_u8, any::<u8>()).prop_map(|(key, value)| Step::Set { key, value }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    epochs: [u64; THREADS],
    events: [Vec<Event>; THREADS],
    works: [bool; THREADS],
    inbox: Vec<Row>,
    keys: BTreeSet<u8>,
    places: BTreeSet<u8>,
    outbox: Vec<Shown>,
    settings: BTreeMap<u8, u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    thread: usize,
    incoming: Incoming,
    acked: bool,
}

/// A row of the outbox; two of a number are the same row.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    thread: usize,
    key: String,
    post: Post,
    revision: i64,
    sent: i64,
    tried: bool,
    ts: Option<MessageTs>,
    /// Whether it waits for what its thread is told before it.
    blocked: bool,
}

fn thread(number: usize) -> ThreadKey {
    key(["1.0", "2.0"][number])
}

fn event(number: u8) -> Event {
    if !number.is_multiple_of(4) {
        return Event::ThreadOpened { by: UserId::new(format!("U{number}")) };
    }
    // Big enough for a blob, and often the same one.
    let result = ToolResult { text: format!("{} ", number % 16).repeat(9000), error: false, wrote: vec![], exit: None };
    Event::ToolFinished { run: RunId(1), call: crate::ids::CallId::new("c"), result }
}

/// What the chat should show under one of six keys: messages, a file, two kinds of reactions.
fn post(number: u8, version: u8) -> (String, Post) {
    let ts = MessageTs::new("1.0");
    match number {
        0 => ("done/1.0".into(), Post::Reaction { ts, name: "white_check_mark".into() }),
        1 => ("progress/1".into(), said(&format!("progress {version}"))),
        _ => (format!("say/{number}"), said(&format!("text {version}"))),
    }
}

fn message(thread_number: usize, place: Option<u8>, keys: &[u8]) -> Incoming {
    let keys: Vec<String> = keys.iter().map(|key| format!("key:{key}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let incoming = Incoming { thread: thread(thread_number), ..incoming(&format!("{}.5", place.unwrap_or(0)), &keys) };
    match place {
        Some(_) => incoming,
        None => Incoming { what: IncomingKind::Pressed { action: "a".into(), value: "v".into() }, ..incoming },
    }
}

impl Model {
    fn accept(&mut self, thread: usize, place: Option<u8>, keys: &[u8]) -> bool {
        let known = keys.iter().filter(|key| !self.keys.insert(**key)).count() > 0;
        if known || place.is_some_and(|place| self.places.contains(&place)) {
            return false;
        }
        self.places.extend(place);
        self.inbox.push(Row { thread, incoming: message(thread, place, keys), acked: false });
        self.put(thread, "eyes".to_owned() + &self.inbox.len().to_string(), said("seen"));
        true
    }

    fn put(&mut self, thread: usize, key: String, post: Post) {
        match self.outbox.iter_mut().find(|shown| shown.thread == thread && shown.key == key) {
            Some(shown) if shown.post == post => {}
            Some(shown) => {
                shown.post = post;
                shown.revision += 1;
            }
            None => {
                let blocked = key.starts_with("done/") && self.head(thread).is_some();
                self.outbox.push(Shown { thread, key, post, revision: 1, sent: 0, tried: false, ts: None, blocked });
            }
        }
    }

    /// Whether it may be, and then it is done.
    fn append(&mut self, change: &Change) -> Result<(), &'static str> {
        if self.epochs[change.thread] == 0 || change.stale > 0 {
            return Err("superseded");
        }
        if change.ahead > 0 {
            return Err("conflict");
        }
        self.events[change.thread].extend(change.events.iter().map(|number| event(*number)));
        for (number, version) in &change.posts {
            let (key, post) = post(*number, *version);
            self.put(change.thread, key, post);
        }
        let waiting = self.inbox.iter_mut().filter(|row| row.thread == change.thread && !row.acked);
        waiting.take(change.acked).for_each(|row| row.acked = true);
        self.works[change.thread] = change.durable;
        Ok(())
    }

    /// The first of a thread that is to be posted.
    fn head(&self, thread: usize) -> Option<usize> {
        let new = |shown: &Shown| shown.revision > shown.sent && shown.ts.is_none() && !is_reaction(shown);
        self.outbox.iter().position(|shown| shown.thread == thread && new(shown))
    }

    /// What was sent may let those go that waited for it.
    fn release(&mut self, thread: usize) {
        let head = self.head(thread).unwrap_or(usize::MAX);
        for (number, shown) in self.outbox.iter_mut().enumerate() {
            shown.blocked &= shown.thread != thread || number > head;
        }
    }

    /// What may be sent next.
    fn due(&self) -> Vec<&Shown> {
        let due = |shown: &&Shown| shown.revision > shown.sent;
        let mut heads: Vec<usize> = (0..THREADS).filter_map(|thread| self.head(thread)).collect();
        heads.sort_unstable();
        let heads = heads.into_iter().map(|number| &self.outbox[number]);
        // There is one in each thread.
        let reactions = self.outbox.iter().filter(|shown| due(shown) && is_reaction(shown) && !shown.blocked);
        let edits = || self.outbox.iter().filter(|shown| due(shown) && shown.ts.is_some());
        let lags = |shown: &&Shown| shown.key.starts_with("progress/");
        let edits = edits().filter(|shown| !lags(shown)).chain(edits().filter(lags));
        heads.chain(reactions).chain(edits).collect()
    }
}

fn is_reaction(shown: &Shown) -> bool {
    matches!(shown.post, Post::Reaction { .. })
}

/// A store in a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn path(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("store.db")
    }

    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Self::path(&folder)).expect("opens");
        Self { folder, store }
    }

    /// The files as a process that is killed now leaves them. The old store goes on with its own.
    fn kill(&mut self) {
        let next = tempfile::tempdir().expect("a folder");
        for name in ["store.db", "store.db-wal", "store.db-shm"] {
            let from = self.folder.path().join(name);
            if Path::exists(&from) {
                std::fs::copy(from, next.path().join(name)).expect("copied");
            }
        }
        self.store = Store::open(&Self::path(&next)).expect("opens");
        self.folder = next;
    }

    fn reopen(self) -> Self {
        let Self { folder, store } = self;
        drop(store);
        let store = reopen(&Self::path(&folder));
        Self { folder, store }
    }
}

async fn to_append(store: &Store, model: &Model, change: &Change) -> Append {
    let waiting = store.waiting(&thread(change.thread)).await.expect("read");
    Append {
        thread: thread(change.thread),
        epoch: Epoch(model.epochs[change.thread].saturating_sub(change.stale)),
        expected: model.events[change.thread].len() as u64 + change.ahead,
        at: NOW,
        events: change.events.iter().map(|number| event(*number)).collect(),
        posts: change.posts.iter().map(|(number, version)| post(*number, *version)).collect(),
        acked: waiting.iter().take(change.acked).map(|row| row.id).collect(),
        session: Session {
            phase: "pm".into(),
            title: "t".into(),
            works: change.durable,
            pull: None,
            ..Session::default()
        },
        spent: vec![],
        durable: change.durable,
    }
}

async fn take(bench: &mut Bench, model: &mut Model, step: Step) {
    let store = bench.store.clone();
    match step {
        Step::Accept { thread, place, keys } => {
            let name = "eyes".to_owned() + &(model.inbox.len() + 1).to_string();
            let fresh = store.accept(message(thread, place, &keys), vec![(name, said("seen"))], NOW).await;
            assert_eq!(fresh.expect("stored"), model.accept(thread, place, &keys));
        }
        Step::Lease { thread: number } => {
            model.epochs[number] += 1;
            assert_eq!(store.lease(&thread(number)).await.expect("leased"), Epoch(model.epochs[number]));
        }
        Step::Append(change) => {
            let done = store.append(to_append(&store, model, &change).await).await;
            let done = done.map_err(|error| match error {
                StoreError::Superseded { .. } => "superseded",
                StoreError::Conflict { .. } => "conflict",
                other => panic!("{other}"),
            });
            assert_eq!(done, model.append(&change));
        }
        Step::PostOnce { thread: number, post: name } => {
            let (key, post) = post(name, 9);
            store.post_once(&thread(number), &key, &post).await.expect("put");
            if !model.outbox.iter().any(|shown| shown.thread == number && shown.key == key) {
                model.put(number, key, post);
            }
        }
        Step::Try { row } => send(&store, model, row, None).await,
        Step::Send { row, shown } => send(&store, model, row, Some(shown)).await,
        Step::Set { key, value } => {
            store.set_setting(&key.to_string(), &value.to_string()).await.expect("kept");
            model.settings.insert(key, value);
        }
        Step::Cut(_) | Step::Reopen | Step::Kill => unreachable!("they need the bench"),
    }
}

/// The sender's part: `None` tries, `Some(true)` shows, `Some(false)` gives up.
async fn send(store: &Store, model: &mut Model, row: usize, shown: Option<bool>) {
    let due = store.due_posts().await.expect("read");
    let Some(row) = due.get(row) else { return };
    let position = (model.outbox.iter())
        .position(|shown| thread(shown.thread) == row.thread && shown.key == row.key)
        .expect("the model has the row");
    let known = &mut model.outbox[position];
    known.tried = true;
    let Some(shown) = shown else { return store.mark_tried(row.id).await.expect("noted") };
    let reaction = matches!(row.post, Post::Reaction { .. });
    let ts = (shown && !reaction).then(|| MessageTs::new(format!("9.{}", row.id)));
    known.sent = row.revision;
    known.ts = ts.clone().or(known.ts.take());
    let number = known.thread;
    model.release(number);
    store.mark_sent(row.id, row.revision, ts, (!shown).then(|| "refused".into())).await.expect("noted");
}

async fn check(store: &Store, model: &Model) {
    for number in 0..THREADS {
        let events = store.load(&thread(number)).await.expect("read");
        let expected: Vec<(Millis, Event)> = model.events[number].iter().map(|event| (NOW, event.clone())).collect();
        assert_eq!(events, expected);
        let waiting = store.waiting(&thread(number)).await.expect("read");
        let waiting: Vec<&Incoming> = waiting.iter().map(|row| &row.incoming).collect();
        let rows = model.inbox.iter().filter(|row| row.thread == number && !row.acked);
        assert_eq!(waiting, rows.map(|row| &row.incoming).collect::<Vec<_>>());
    }
    let written = store.written().await.expect("read");
    assert_eq!(written, model.inbox.iter().map(|row| row.incoming.clone()).collect::<Vec<_>>());
    let at_work =
        |number: &usize| model.works[*number] || model.inbox.iter().any(|row| row.thread == *number && !row.acked);
    let at_work: Vec<ThreadKey> = (0..THREADS).filter(at_work).map(thread).collect();
    assert_eq!(store.threads_at_work().await.expect("read"), at_work);
    let due = store.due_posts().await.expect("read");
    let found: Vec<_> =
        due.iter().map(|row| (&row.thread, &row.key, &row.post, row.revision, row.tried, &row.ts)).collect();
    let threads: Vec<ThreadKey> = (0..THREADS).map(thread).collect();
    let expected: Vec<_> = (model.due().into_iter())
        .map(|row| (&threads[row.thread], &row.key, &row.post, row.revision, row.tried, &row.ts))
        .collect();
    assert_eq!(found, expected);
    let sent = store.sent_posts().await.expect("read").len();
    assert_eq!(sent, model.outbox.iter().filter(|shown| shown.sent > 0).count());
    for (key, value) in &model.settings {
        let found = store.setting(&key.to_string()).await.expect("read");
        assert_eq!(found, Some(value.to_string()));
    }
}

/// Whether the store is as the model says, without ending the test.
async fn events_and_inbox(store: &Store, change: &Change) -> (usize, usize) {
    let events = store.load(&thread(change.thread)).await.expect("read").len();
    (events, store.waiting(&thread(change.thread)).await.expect("read").len())
}

/// Begins an append, is killed, and looks which of the two it was: all of it or nothing.
async fn cut(mut bench: Bench, model: &mut Model, change: &Change, kill: bool) -> Bench {
    let append = to_append(&bench.store, model, change).await;
    {
        let mut pending = pin!(bench.store.append(append));
        let _ = poll!(&mut pending);
    }
    if kill {
        // A copy of files that are being written is no state of a disk: wait until the writer is idle.
        bench.store.set_setting("idle", "yes").await.expect("kept");
        bench.kill();
    } else {
        bench = bench.reopen();
    }
    let mut after = model.clone();
    if after.append(change).is_err() {
        return bench;
    }
    let waiting = |model: &Model| model.inbox.iter().filter(|row| row.thread == change.thread && !row.acked).count();
    let found = events_and_inbox(&bench.store, change).await;
    let expected = (after.events[change.thread].len(), waiting(&after));
    // What was asked for before the store was closed is done, also when nobody waits for it.
    assert_eq!(found, expected);
    *model = after;
    bench
}

async fn run(steps: Vec<Step>) {
    let (mut bench, mut model) = (Bench::new(), Model::default());
    for step in steps {
        match step {
            Step::Cut(change) => bench = cut(bench, &mut model, &change, change.durable).await,
            Step::Reopen => bench = bench.reopen(),
            Step::Kill => bench.kill(),
            step => take(&mut bench, &mut model, step).await,
        }
        check(&bench.store, &model).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_store_holds_what_it_answered(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(run(steps));
    }
}
