//! The sender over a store on the calling task, a chat that lives in memory, and a clock that stands still while anything
//! can be done: so that every wait is the sender's own.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::ids::{Epoch, Millis, ThreadKey, UserId};
use crate::store::simulated::{Moment, Verdict};
use crate::store::{Append, Session};
use crate::thread::event::Earlier;

/// How the chat treats one call.
#[derive(Clone, Copy, Debug)]
enum Mood {
    TooFast(u64),
    /// Does it or not, but the answer is lost after so many milliseconds.
    Lost {
        done: bool,
        after: u64,
    },
    /// Does it, slowly.
    Slow(u64),
    Refuses,
    /// Does not let us in for the moment.
    KeepsOut,
}

#[derive(Clone, Debug, PartialEq)]
struct Message {
    channel: String,
    key: String,
    ts: MessageTs,
    text: String,
    edits: usize,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    reactions: Vec<String>,
    /// What comes next for a key; a friendly answer when nothing is left.
    moods: HashMap<String, VecDeque<Mood>>,
    /// Which keys have a call under way, the most reactions at once, and when each call began.
    now: HashSet<String>,
    most_reactions: usize,
    began: Vec<(String, Duration)>,
    finds: usize,
    start: Option<Instant>,
}

#[derive(Clone, Default)]
struct Room(Arc<Mutex<State>>);

impl Room {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }

    fn mood(&self, key: &str, moods: &[Mood]) {
        self.state().moods.insert(key.to_owned(), moods.iter().copied().collect());
    }

    /// One call: `act` is done unless the mood is against it.
    async fn call<T>(&self, key: &str, reaction: bool, act: impl FnOnce(&mut State) -> T) -> Result<T, ChatError> {
        let mood = {
            let mut state = self.state();
            let start = *state.start.get_or_insert_with(Instant::now);
            state.began.push((key.to_owned(), Instant::now() - start));
            assert!(state.now.insert(key.to_owned()), "two calls at once for {key}");
            let reactions = state.now.iter().filter(|key| key.starts_with("eyes/")).count();
            state.most_reactions = state.most_reactions.max(if reaction { reactions } else { 0 });
            state.moods.get_mut(key).and_then(VecDeque::pop_front)
        };
        let lost = || ChatError::Unreachable(anyhow::anyhow!("lost"));
        let (wait, done, result) = match mood {
            None => (0, true, Ok(())),
            Some(Mood::Slow(wait)) => (wait, true, Ok(())),
            Some(Mood::TooFast(retry_after_ms)) => (1, false, Err(ChatError::RateLimited { retry_after_ms })),
            Some(Mood::Refuses) => (1, false, Err(ChatError::Refused { code: "no".into() })),
            Some(Mood::KeepsOut) => (1, false, Err(ChatError::Refused { code: "not_in_channel: x".into() })),
            Some(Mood::Lost { done, after }) => (after, done, Err(lost())),
        };
        let acted = done.then(|| act(&mut self.state()));
        // At once, but not always equally fast, so that calls end at every point of what the sender does.
        let turns = self.state().began.len() % 7;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        self.state().now.remove(key);
        result.map(|()| acted.expect("it was done"))
    }

    fn keys(&self, channel: &str) -> Vec<String> {
        self.state().messages.iter().filter(|message| message.channel == channel).map(|m| m.key.clone()).collect()
    }

    /// When the calls for a key began, in seconds.
    fn began(&self, key: &str) -> Vec<f64> {
        self.state().began.iter().filter(|(of, _)| of == key).map(|(_, at)| at.as_secs_f64()).collect()
    }
}

fn text(post: &Post) -> String {
    match post {
        Post::Message { text, .. } | Post::Ephemeral { text, .. } => text.clone(),
        Post::File { content, .. } => content.clone(),
        Post::Reaction { name, .. } => name.clone(),
    }
}

#[async_trait]
impl Chat for Room {
    async fn post(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError> {
        let (channel, shown) = (thread.channel.to_string(), text(post));
        let (reaction, ephemeral) = (matches!(post, Post::Reaction { .. }), matches!(post, Post::Ephemeral { .. }));
        let act = |state: &mut State| {
            if reaction {
                state.reactions.push(key.to_owned());
                return None;
            }
            let ts = MessageTs::new(format!("5.{}", state.messages.len()));
            let message = Message { channel, key: key.to_owned(), ts: ts.clone(), text: shown, edits: 0 };
            state.messages.push(message);
            (!ephemeral).then_some(ts)
        };
        self.call(key, reaction, act).await
    }

    async fn edit(&self, _thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError> {
        let act = |state: &mut State| {
            let message = state.messages.iter_mut().find(|message| message.ts == *ts).expect("an edit after its post");
            message.text = text(post);
            message.edits += 1;
        };
        self.call(key, false, act).await
    }

    async fn find(&self, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError> {
        let mut state = self.state();
        state.finds += 1;
        let is_it = |message: &&Message| message.channel == thread.channel.as_str() && message.key == key;
        Ok(state.messages.iter().find(is_it).map(|message| message.ts.clone()))
    }

    async fn history(&self, _thread: &ThreadKey, _before: &MessageTs) -> Result<Vec<Earlier>, ChatError> {
        Ok(Vec::new())
    }

    fn permalink(&self, _thread: &ThreadKey) -> Option<String> {
        None
    }
}

fn said(text: &str) -> Post {
    Post::Message { role: None, text: text.into(), buttons: vec![] }
}

fn eyes() -> Post {
    Post::Reaction { ts: MessageTs::new("1.0"), name: "eyes".into() }
}

/// A store, a chat and a sender, which runs only while it is waited for.
struct World {
    folder: tempfile::TempDir,
    store: Store,
    room: Room,
    changed: Arc<Notify>,
}

fn open(path: &Path, hook: impl FnMut(Moment, u64, &'static str) -> Verdict + Send + 'static) -> Store {
    Store::simulated(path, hook).expect("opens")
}

impl World {
    fn new() -> Self {
        Self::with(|_, _, _| Verdict::Go)
    }

    fn with(hook: impl FnMut(Moment, u64, &'static str) -> Verdict + Send + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&folder.path().join("store.db"), hook);
        Self { folder, store, room: Room::default(), changed: Arc::default() }
    }

    /// Puts posts into a channel.
    async fn put(&self, channel: &str, posts: &[(&str, Post)]) {
        let thread = ThreadKey::parse(&format!("T1/{channel}/1.0")).expect("a thread");
        let epoch: Epoch = self.store.lease(&thread).await.expect("leased");
        let append = Append {
            thread,
            epoch,
            expected: 0,
            at: Millis(1),
            events: vec![],
            posts: posts.iter().map(|(key, post)| ((*key).to_owned(), post.clone())).collect(),
            acked: vec![],
            session: Session { phase: "pm".into(), title: String::new(), works: false, pull: None },
            durable: false,
        };
        self.store.append(append).await.expect("appended");
        self.changed.notify_one();
    }

    /// Lets the sender run for so many seconds of its clock.
    async fn run(&self, seconds: f64) {
        let chat: Arc<dyn Chat> = Arc::new(self.room.clone());
        let sender = send(self.store.clone(), chat, Arc::clone(&self.changed), CancellationToken::new());
        let _ = tokio::time::timeout(Duration::from_secs_f64(seconds), sender).await;
        // What was under way is gone with the sender.
        self.room.state().now.clear();
    }

    /// Lets it run while `meanwhile` does something.
    async fn run_while(&self, meanwhile: impl Future<Output = ()>) {
        let chat: Arc<dyn Chat> = Arc::new(self.room.clone());
        let stop = CancellationToken::new();
        let sender = send(self.store.clone(), chat, Arc::clone(&self.changed), stop.clone());
        let meanwhile = async {
            meanwhile.await;
            stop.cancel();
        };
        tokio::join!(sender, meanwhile);
    }
}

/// A world in which the card of C1 is shown and has a newer version.
async fn with_every_lane() -> World {
    let world = World::new();
    world.put("C1", &[("card", said("old"))]).await;
    world.run(1.0).await;
    world.put("C1", &[("card", said("new")), ("a", said("a")), ("b", said("b")), ("eyes/1", eyes())]).await;
    world.put("C2", &[("c", said("c"))]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_wants_a_pause_holds_nothing_but_its_own_posts() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::TooFast(60_000)]);
    let later = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.put("C1", &[("card", said("newer")), ("eyes/2", eyes())]).await;
        world.put("C2", &[("d", said("d"))]).await;
        tokio::time::sleep(Duration::from_secs(80)).await;
    };
    world.run_while(later).await;
    let tries = world.room.began("a");
    assert!(tries.len() == 2 && tries[1] - tries[0] >= 60.0, "{tries:?}");
    let early = [("c", 0), ("eyes/1", 0), ("card", 1), ("card", 2), ("eyes/2", 0), ("d", 0)];
    for (key, call) in early {
        assert!(world.room.began(key)[call] - tries[0] < 11.0, "{key}");
    }
    assert_eq!(world.room.keys("C1"), ["card", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_refused_for_good_makes_way() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::Refuses]);
    world.room.mood("card", &[Mood::Refuses]);
    world.run(5.0).await;
    assert_eq!(world.room.keys("C1"), ["card", "b"]);
    assert_eq!(world.store.due_posts().await.expect("read"), []);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_while_we_are_kept_out_is_sent_afterwards() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::KeepsOut, Mood::KeepsOut]);
    world.room.mood("card", &[Mood::KeepsOut]);
    world.run(60.0).await;
    assert_eq!(world.room.keys("C1"), ["card", "a", "b"]);
    assert_eq!(world.room.state().messages[0].text, "new");
    assert_eq!(world.store.due_posts().await.expect("read"), []);
}

#[tokio::test(start_paused = true)]
async fn edits_and_reactions_that_want_a_pause_hold_no_post() {
    let world = with_every_lane().await;
    world.room.mood("card", &[Mood::TooFast(60_000)]);
    world.room.mood("eyes/1", &[Mood::TooFast(60_000)]);
    world.run(90.0).await;
    let started = world.room.began("card")[0];
    for key in ["a", "b", "c"] {
        assert!(world.room.began(key)[0] - started < 2.0, "{key}");
    }
    for key in ["card", "eyes/1"] {
        let tries = world.room.began(key);
        assert!(tries[tries.len() - 1] - tries[tries.len() - 2] >= 60.0, "{key}: {tries:?}");
    }
    assert_eq!(world.room.state().messages[0].text, "new");
    assert_eq!(world.room.state().reactions, ["eyes/1"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_is_tried_less_and_less_often_in_its_lane() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::Lost { done: false, after: 1 }; 9]);
    world.run(300.0).await;
    let tries = world.room.began("a");
    let waits: Vec<f64> = tries.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect();
    assert_eq!(waits, [0.0, 1.0, 2.0, 3.0, 6.0, 13.0, 26.0, 30.0, 30.0]);
    assert_eq!(world.room.keys("C1"), ["card", "a", "b"]);
    assert!(world.room.began("c")[0] - tries[0] < 1.0);
    assert!(world.room.began("eyes/1")[0] - tries[0] < 1.0);
    assert_eq!(world.room.began("card").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_slows_only_its_channel() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::Slow(14_000)]);
    world.run(20.0).await;
    let started = world.room.began("a")[0];
    for key in ["c", "eyes/1"] {
        assert!(world.room.began(key)[0] - started < 1.0, "{key}");
    }
    assert!(world.room.began("card")[1] - started < 1.0);
    assert!(world.room.began("b")[0] - started >= 14.0, "posts of one channel stay in order");
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_answer_was_lost_is_found_and_not_made_again() {
    let world = World::new();
    let posts = ["a", "b", "c"].map(|key| (key, said(key)));
    world.room.mood("a", &[Mood::Lost { done: true, after: 15_000 }]);
    world.room.mood("b", &[Mood::Lost { done: false, after: 15_000 }]);
    world.put("C1", &posts).await;
    world.run(120.0).await;
    assert_eq!(world.room.keys("C1"), ["a", "b", "c"]);
    assert_eq!(world.room.state().finds, 2);
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_never_overtakes_the_call_for_the_older() {
    let world = World::new();
    world.room.mood("a", &[Mood::Slow(10_000)]);
    world.put("C1", &[("a", said("1"))]).await;
    let newer = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.put("C1", &[("a", said("2"))]).await;
        world.put("C1", &[("a", said("3"))]).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    };
    world.run_while(newer).await;
    let state = world.room.state();
    assert_eq!(state.messages.len(), 1);
    assert_eq!((state.messages[0].text.as_str(), state.messages[0].edits), ("3", 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_could_not_be_noted_is_not_sent_again() {
    let mut failures = 5;
    let world = World::with(move |moment, _, label| {
        if moment == Moment::Before && label == "mark_sent" && failures > 0 {
            failures -= 1;
            return Verdict::Fail;
        }
        Verdict::Go
    });
    let only = Post::Ephemeral { to: UserId::new("ANA"), text: "psst".into() };
    world.put("C1", &[("a", said("a")), ("only", only)]).await;
    world.run(60.0).await;
    assert_eq!(world.room.keys("C1"), ["a", "only"]);
    assert_eq!(world.store.due_posts().await.expect("read"), []);
    let state = world.room.state();
    assert_eq!((state.began.len(), state.messages[0].edits, state.finds), (2, 0, 0), "one call each");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_posted_before_the_store_knows_that_it_may_be_there() {
    let mut failures = 3;
    let world = World::with(move |moment, _, label| {
        if moment == Moment::Before && label == "mark_tried" && failures > 0 {
            failures -= 1;
            return Verdict::Fail;
        }
        Verdict::Go
    });
    world.put("C1", &[("a", said("a"))]).await;
    world.put("C2", &[("b", said("b")), ("eyes/1", eyes())]).await;
    world.run(0.3).await;
    assert_eq!(world.room.keys("C1").len() + world.room.keys("C2").len(), 0);
    assert_eq!(world.room.state().reactions, ["eyes/1"], "a reaction made twice is one");
    world.run(60.0).await;
    assert_eq!((world.room.keys("C1"), world.room.keys("C2")), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_of_the_sender_doubles_no_post() {
    for cut in 1..40 {
        for at in [Moment::Before, Moment::After] {
            let (mut marks, mut world) = (0, World::new());
            let path = world.folder.path().join("store.db");
            world.put("C1", &[("a", said("a")), ("b", said("b")), ("eyes/1", eyes())]).await;
            world.put("C2", &[("c", said("c"))]).await;
            world.store = open(&path, move |moment, _, label| {
                marks += usize::from(moment == Moment::Before && label.starts_with("mark"));
                if moment == at && marks == cut && label.starts_with("mark") { Verdict::Crash } else { Verdict::Go }
            });
            world.run(5.0).await;
            world.store = open(&path, |_, _, _| Verdict::Go);
            world.put("C1", &[("a", said("A"))]).await;
            world.run(5.0).await;
            assert_eq!(world.room.keys("C1"), ["a", "b"], "{at:?} {cut}");
            assert_eq!(world.room.keys("C2"), ["c"], "{at:?} {cut}");
            assert_eq!(world.room.state().messages.iter().filter(|message| message.text == "A").count(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_reactions_go_at_once() {
    let world = World::new();
    let keys: Vec<String> = (0..20).map(|number| format!("eyes/{number}")).collect();
    keys.iter().for_each(|key| world.room.mood(key, &[Mood::Slow(1000)]));
    let posts: Vec<(&str, Post)> = keys.iter().map(|key| (key.as_str(), eyes())).collect();
    world.put("C1", &posts).await;
    world.run(5.5).await;
    assert_eq!(world.room.state().reactions.len(), 20);
    assert_eq!(world.room.state().most_reactions, 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_call_ended_is_not_sent_again() {
    let world = World::new();
    for channel in 0..10 {
        let keys: Vec<String> = (0..10).map(|number| format!("say/{channel}/{number}")).collect();
        let posts: Vec<(&str, Post)> = keys.iter().map(|key| (key.as_str(), said(key))).collect();
        world.put(&format!("C{channel}"), &posts).await;
    }
    world.run(60.0).await;
    let state = world.room.state();
    assert_eq!((state.messages.len(), state.began.len()), (100, 100), "one call each");
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        (100..5000_u64).prop_map(Mood::TooFast),
        (any::<bool>(), 1..20_000_u64).prop_map(|(done, after)| Mood::Lost { done, after }),
        (1..20_000_u64).prop_map(Mood::Slow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the chat does and whenever news come: in the end everything is there once, in order, as it was meant last.
    #[test]
    fn everything_arrives_once_in_order_and_up_to_date(
        moods in prop::collection::vec((0..8_usize, mood()), 0..20),
        news in prop::collection::vec((0..8_usize, 0..5_u8, 0..8000_u64), 1..25),
    ) {
        const KEYS: [&str; 8] = ["say/0", "say/1", "say/2", "card", "progress/1", "file", "eyes/1", "done/1"];
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new();
            for (key, mood) in moods {
                world.room.state().moods.entry(KEYS[key].to_owned()).or_default().push_back(mood);
            }
            let mut last: HashMap<&str, String> = HashMap::new();
            let mut order: Vec<&str> = Vec::new();
            let telling = async {
                for (key, version, wait) in news {
                    let key = KEYS[key];
                    let text = version.to_string();
                    let post = match key {
                        "eyes/1" | "done/1" => eyes(),
                        "file" => {
                            Post::File { role: None, name: "f".into(), syntax: String::new(), content: "f".into() }
                        }
                        _ => said(&text),
                    };
                    world.put("C1", &[(key, post)]).await;
                    if !order.contains(&key) {
                        order.push(key);
                    }
                    last.insert(key, text);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                tokio::time::sleep(Duration::from_secs(3600)).await;
            };
            world.run_while(telling).await;
            assert_eq!(world.store.due_posts().await.expect("read"), []);
            let is_reaction = |key: &&&str| key.starts_with("eyes") || key.starts_with("done");
            let expected: Vec<&str> = order.iter().filter(|key| !is_reaction(key)).copied().collect();
            assert_eq!(world.room.keys("C1"), expected);
            for message in &world.room.state().messages {
                assert!(message.key == "file" || message.text == last[message.key.as_str()], "{message:?}");
            }
            for key in order.iter().filter(is_reaction) {
                assert!(world.room.state().reactions.iter().any(|reaction| reaction == key));
            }
        });
    }
}
