//! Slack's own ways to show that somebody is at work: the words beneath a thread, and where the app is an agent the
//! session with its Stop button. What is not offered is silently left out, and nothing stays behind, whatever happens.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::with_coder;
use super::support::fake_slack::{ANA, Agent, BEN, Fault, SHOP, State};
use super::world::{Daemon, World};

const WORDS: &str = "assistant.threads.setStatus";
const SESSION: &str = "agents.sessions.setStatus";

/// A Coder that runs a command which ends when it may.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    match request.last_result("Bash") {
        None => {
            let command = "until [ -e ../../../../go ]; do sleep 0.02; done; echo end";
            ScriptedReply::text("").call("Bash", &json!({ "command": command }))
        }
        Some(result) => ScriptedReply::text(format!("It said: {result}")),
    }
}

/// A Coder at work in a workspace that offers this; the thread.
async fn at_work(agent: Agent) -> (World, Daemon, String) {
    let world = World::with_script(with_coder(coder)).await;
    world.slack.offer(agent);
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    (world, daemon, ts)
}

fn calls(state: &State, method: &str) -> usize {
    state.calls.iter().filter(|(called, _)| called == method).count()
}

/// Waits until Slack shows in the thread that we are at work, by words and session.
async fn shows(world: &World, ts: &str, session: Option<&str>) {
    let shown = |state: &State| {
        let words = state.words.get(ts).is_some_and(|words| words.starts_with("is running until ["));
        (words && state.sessions.get(ts).map(String::as_str) == session).then_some(())
    };
    world.slack.wait_for("the words beneath the thread", shown).await;
}

/// Waits until Slack shows nothing of the kind any more.
async fn shows_nothing(world: &World, ts: &str, session: Option<&str>) {
    let gone = |state: &State| {
        (!state.words.contains_key(ts) && state.sessions.get(ts).map(String::as_str) == session).then_some(())
    };
    world.slack.wait_for("nothing to be shown", gone).await;
}

fn let_go(world: &World) {
    std::fs::write(world.folder.path().join("go"), "").expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_shows_its_work_and_slacks_stop_button_stops_it() {
    let (world, daemon, ts) = at_work(Agent::Declared).await;
    shows(&world, &ts, Some("processing")).await;
    world.slack.stop_session(ANA, &ts);
    world.says(&ts, "Stopped by Ana").await;
    shows_nothing(&world, &ts, Some("active")).await;
    world.slack.wait_until_acked().await;
    // A press that comes late is answered, and the button of a card means its own run.
    world.slack.look(|state| assert_eq!(state.ephemerals.len(), 0));
    world.no_violations();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_there_are_words_and_no_second_try() {
    let (world, _daemon, ts) = at_work(Agent::NotDeclared).await;
    shows(&world, &ts, None).await;
    let_go(&world);
    world.says(&ts, "It said: end").await;
    shows_nothing(&world, &ts, None).await;
    // The last message took the words away already; that it is over is said all the same.
    world.slack.wait_for("the end to be said", |state| (calls(state, WORDS) >= 2).then_some(())).await;
    world.slack.look(|state| assert_eq!(calls(state, SESSION), 1, "a refusal holds"));
    world.is_done(&ts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slack_that_knows_neither_is_asked_once_and_nobody_is_told() {
    let (world, _daemon, ts) = at_work(Agent::Unknown).await;
    let asked = |state: &State| (calls(state, WORDS) == 1 && calls(state, SESSION) == 1).then_some(());
    world.slack.wait_for("both ways to be tried", asked).await;
    let_go(&world);
    world.says(&ts, "It said: end").await;
    world.is_done(&ts).await;
    world.slack.look(|state| {
        assert!(asked(state).is_some());
        assert!(state.ephemerals.is_empty());
    });
    assert!(!world.thread_texts(&ts).iter().any(|text| text.contains("unknown_method")));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_next_life_takes_back_what_the_last_one_showed() {
    let (mut world, daemon, ts) = at_work(Agent::Declared).await;
    shows(&world, &ts, Some("processing")).await;
    daemon.kill();
    // Whoever was at work is not any more when it comes back: the thread is closed before it is looked at.
    world.slack.say(ANA, SHOP, "!stop", Some(&ts));
    let_go(&world);
    world.global["timing"]["accumulationMs"] = json!(1);
    let daemon = world.start();
    world.says(&ts, "Stopped by Ana").await;
    shows_nothing(&world, &ts, Some("active")).await;
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_program_takes_it_back_too() {
    let (mut world, _, ts) = {
        let (world, daemon, ts) = at_work(Agent::Declared).await;
        shows(&world, &ts, Some("processing")).await;
        daemon.terminate();
        shows_nothing(&world, &ts, Some("active")).await;
        let_go(&world);
        let (status, log) = daemon.ended();
        assert!(status.success(), "{log}");
        (world, (), ts)
    };
    world.global["timing"]["accumulationMs"] = json!(1);
    let _daemon = world.start();
    world.says(&ts, "It said: end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_call_may_have_shown_is_taken_back_too() {
    let world = World::with_script(with_coder(coder)).await;
    world.slack.offer(Agent::Declared);
    world.slack.break_method(WORDS, Fault::Silence);
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    let half = |state: &State| {
        let asked = state.transcript.iter().any(|line| line.contains("call without an answer"));
        (asked && state.sessions.get(&ts).map(String::as_str) == Some("processing")).then_some(())
    };
    world.slack.wait_for("a session without words", half).await;
    world.slack.mend(WORDS);
    daemon.terminate();
    shows_nothing(&world, &ts, Some("active")).await;
    let_go(&world);
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slack_does_not_answer_holds_no_post() {
    let world = World::with_script(with_coder(coder)).await;
    world.slack.offer(Agent::Declared);
    world.slack.break_method(SESSION, Fault::Silence);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world
        .slack
        .wait_for("a call without an answer", |state| {
            state.transcript.iter().any(|line| line.contains("call without an answer")).then_some(())
        })
        .await;
    let_go(&world);
    world.says(&ts, "It said: end").await;
    world.is_done(&ts).await;
}
