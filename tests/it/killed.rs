//! The sweep by real `kill -9`: a full story, from a bug over a question, a plan, another model, an approval, edits, a
//! commit and a push to the merge, killed at 30 points spread over everything that the fakes see of it. Each time the
//! program is started again, and in the end everything must be as if nothing had happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::script::{CODER, last_calls, plan, spoken_to};
use super::support::fake_slack::{ANA, BEN, Message, SHOP};
use super::world::{Daemon, World, button, came};

/// How many points.
const POINTS: usize = 30;
/// Stories at the same time.
const AT_ONCE: usize = 3;
/// How long a story may take, several lives in all.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often the people look, and how late a kill may be.
const LOOK: Duration = Duration::from_millis(1);

const SAFE: &str = "is that safe?";

fn script(request: &ScriptedRequest) -> ScriptedReply {
    let reply = if request.model == CODER { coder(request) } else { pm(request) };
    reply.cost(0.001).tokens(1000, 900, 50)
}

fn pm(request: &ScriptedRequest) -> ScriptedReply {
    if request.last_user_text().contains(SAFE) {
        return ScriptedReply::text(format!("{} says: it is.", request.model));
    }
    match last_calls(request).as_slice() {
        _ if spoken_to(request) && request.last_result("AskUser").is_none() => {
            let ask = json!({ "question": "Which greeting?", "options": ["good morning", "good night"] });
            ScriptedReply::text("").call("AskUser", &ask)
        }
        ["AskUser"] => ScriptedReply::text("")
            .call("Read", &json!({ "file_path": "greeting.txt" }))
            .call("Grep", &json!({ "pattern": "hello" })),
        ["Read", "Grep"] => ScriptedReply::text("").call("ProposePlan", &plan("greeting.txt", "hello", "good morning")),
        ["ProposePlan"] => ScriptedReply::text(""),
        _ => ScriptedReply::text("Noted."),
    }
}

/// Looks before it believes: a result may say that it was interrupted.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    let look = json!({ "command": "cat greeting.txt" });
    match last_calls(request).as_slice() {
        ["Edit", "Bash"] | ["Read", "Bash"] => {
            let seen = request.last_result("Bash").unwrap_or_default();
            if seen.contains("good morning") {
                return ScriptedReply::text("").call("GitCommit", &json!({ "message": "Say good morning" }));
            }
            if seen.contains("Interrupted") {
                let read = json!({ "file_path": "greeting.txt" });
                return ScriptedReply::text("").call("Read", &read).call("Bash", &look);
            }
            let edit = json!({ "file_path": "greeting.txt", "old_string": "hello", "new_string": "good morning" });
            ScriptedReply::text("").call("Edit", &edit).call("Bash", &look)
        }
        ["GitCommit"] => ScriptedReply::text("").call("GitPush", &json!({})),
        ["GitPush"] => ScriptedReply::text("")
            .call("GHCreatePR", &json!({ "title": "Say good morning", "body": "As asked." }))
            .call("GHStatus", &json!({})),
        ["GHCreatePR", "GHStatus"] => ScriptedReply::text("Done."),
        _ => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })).call("Bash", &look),
    }
}

/// What the people have done so far; they act on what they see, and a press that shows no effect is pressed again by
/// those who come back later.
#[derive(Default)]
struct People {
    thread: String,
    said: BTreeMap<&'static str, String>,
    pressed: Vec<&'static str>,
}

impl People {
    fn say(&mut self, world: &World, who: &str, text: &'static str) {
        if !self.said.contains_key(text) {
            let ts = world.slack.say(who, SHOP, text, Some(&self.thread));
            self.said.insert(text, ts);
        }
    }

    fn press(&mut self, world: &World, messages: &[Message], action: &'static str) {
        let card = messages.iter().rev().find_map(|message| Some((message, button(message, action)?)));
        if let Some((message, value)) = card.filter(|_| !self.pressed.contains(&action)) {
            self.pressed.push(action);
            world.slack.press(ANA, action, &value, &message.ts);
        }
    }

    /// One look at the thread, and what follows from it. `true` when the story is over.
    fn act(&mut self, world: &World) -> bool {
        let messages = world.thread_messages(&self.thread);
        let shows = |action| messages.iter().any(|message| button(message, action).is_some());
        let says = |text: &str| messages.iter().any(|message| message.text.contains(text));
        assert!(!shows("run_retry"), "something failed: {:#?}", world.thread_texts(&self.thread));
        if shows("ask_option") {
            self.press(world, &messages, "ask_option");
        } else if shows("plan_approve") && !says("now uses *claude*") {
            self.say(world, BEN, "!pm claude");
        } else if shows("plan_approve") && !says("test-claude says: it is") {
            self.say(world, BEN, SAFE);
        } else if shows("plan_approve") {
            self.press(world, &messages, "plan_approve");
        } else if shows("pr_merge") {
            self.say(world, ANA, "merge");
        }
        let done = |state: &super::support::fake_slack::State| {
            let own = state.messages.iter().filter(|message| message.bot.is_none() && !message.deleted);
            own.clone().all(|message| message.reactions.iter().any(|name| name == "white_check_mark"))
        };
        says("Merged as") && world.slack.look(done)
    }
}

/// How much the fakes have seen.
fn seen(world: &World) -> usize {
    world.slack.look(|state| state.calls.len()) + world.model.requests().len()
}

/// Plays the story; kills the program when the fakes have seen so much. How much they saw in all; nothing when the story
/// ended before that.
async fn play(kill_at: Option<usize>) -> (World, usize) {
    let world = World::with_script(script).await;
    let mut daemon: Option<Daemon> = Some(world.start());
    let begun = seen(&world);
    let thread = world.slack.say(BEN, SHOP, "the greeting is wrong", None);
    let mut people = People { thread, ..People::default() };
    let mut over = false;
    if let Some(point) = kill_at {
        let reached = came(PATIENCE, LOOK, || {
            over = people.act(&world);
            over || seen(&world) - begun >= point
        });
        assert!(reached.await, "neither the point nor the end: {:#?}", world.thread_texts(&people.thread));
        if !over {
            daemon.take().expect("it runs").kill();
            people.pressed.clear();
            daemon = Some(world.start());
            world.slack.redeliver_unacked();
        }
    }
    let ended = came(PATIENCE, LOOK, || people.act(&world)).await;
    assert!(ended, "no end: {:#?}", world.thread_texts(&people.thread));
    let total = seen(&world) - begun;
    check(&world, &people);
    drop(daemon);
    // Edits of progress come together under load, so that a story may show less than the one that was counted.
    (world, if over { 0 } else { total })
}

/// As if nothing had happened.
fn check(world: &World, people: &People) {
    let messages = world.thread_messages(&people.thread);
    let mut keys: Vec<String> =
        messages.iter().map(|message| message.metadata["event_payload"]["key"].to_string()).collect();
    keys.sort();
    let posted = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), posted, "a post twice: {:#?}", world.thread_texts(&people.thread));
    for (text, times) in [("*Plan: ", 1), ("now uses *claude*", 1), ("says: it is", 1), ("Merged as", 1)] {
        let count = messages.iter().filter(|message| message.text.contains(text)).count();
        assert_eq!(count, times, "{text}: {:#?}", world.thread_texts(&people.thread));
    }
    assert!(messages.iter().any(|message| message.text.contains("anthropic/test-claude says")), "the choice holds");
    assert_eq!(world.at_remote("main", "greeting.txt"), "good morning\nworld\n");
    let commits = world.git_in(&world.remote(), &["log", "--format=%s", "main"]);
    assert_eq!(commits.lines().collect::<Vec<_>>(), ["Say good morning (#1)", "Begin"]);
    assert_eq!(world.remote_branches(), ["main"]);
    let worktrees = world.git(&["worktree", "list", "--porcelain"]);
    assert_eq!(worktrees.matches("worktree ").count(), 1, "{worktrees}");
    for ts in people.said.values().chain([&people.thread]) {
        let mut reactions = world.slack.look(|state| state.message(SHOP, ts).expect("said").reactions.clone());
        reactions.sort();
        assert_eq!(reactions, ["eyes", "white_check_mark"], "{ts}");
    }
    let mut heard: BTreeMap<&str, usize> = BTreeMap::new();
    let last = world.model.requests().into_iter().rfind(|request| request.model != CODER).expect("the PM was asked");
    let words = last.user_text();
    for text in ["the greeting is wrong", SAFE] {
        heard.insert(text, words.matches(text).count());
    }
    assert!(heard.values().all(|count| *count == 1), "{heard:?}");
    assert!(!words.contains("!pm") && !words.contains("merge"), "commands reach no model: {words}");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_survives_kill_9_at_thirty_points() {
    let (_world, total) = play(None).await;
    let survived = AtomicUsize::new(0);
    let points = (0..POINTS).map(|number| 1 + number * (total - 1) / POINTS);
    let stories = points.map(|point| {
        let survived = &survived;
        async move {
            let mut point = point;
            while play(Some(point)).await.1 == 0 {
                point -= 1;
            }
            survived.fetch_add(1, Ordering::Relaxed);
        }
    });
    stream::iter(stories).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    let survived = survived.load(Ordering::Relaxed);
    println!("kill -9: survived {survived}/{POINTS}");
    assert_eq!(survived, POINTS);
}
