//! Many at once: Coders, builds and other roles wait their turn, say so, and begin by themselves; a thread that is
//! broken touches no other.

use std::os::unix::fs::PermissionsExt as _;

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{last_calls, with_coder};
use super::support::fake_slack::{ANA, BEN, SHOP};
use super::world::{World, blocks_text};

/// A Coder that runs one command and ends.
fn runs(command: &'static str) -> impl Fn(&ScriptedRequest) -> ScriptedReply + Send {
    move |request| match last_calls(request).as_slice() {
        [] => ScriptedReply::text("").call("Bash", &json!({ "command": command })),
        _ => ScriptedReply::text("Built."),
    }
}

/// Lets one of those who wait for it through.
const WAIT_FOR_GO: &str = "until rm ../../../../go 2>/dev/null; do sleep 0.02; done";

impl World {
    /// A thread whose plan is approved.
    async fn approved(&self, wish: &str) -> String {
        let ts = self.slack.say(BEN, SHOP, wish, None);
        self.press(&ts, "plan_approve").await;
        ts
    }

    fn go(&self) {
        std::fs::write(self.folder.path().join("go"), "").expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coders_beyond_the_limit_say_their_place_and_begin_by_themselves() {
    let mut world = World::with_script(with_coder(runs(WAIT_FOR_GO))).await;
    world.global["limits"] = json!({ "maxConcurrentThreads": 1 });
    let daemon = world.start();
    let first = world.approved("let `greeting.txt` say \"one\"").await;
    world.says(&first, "running").await;
    let second = world.approved("let `greeting.txt` say \"two\"").await;
    world.says(&second, "waiting for another Coder to end: place 1 in the queue").await;
    let third = world.approved("let `greeting.txt` say \"three\"").await;
    world.says(&third, "place 2 in the queue").await;
    let asked = world.slack.say(ANA, SHOP, "and what is this?", None);
    world.says(&asked, "I heard").await;
    world.go();
    world.says(&first, "Built.").await;
    world.says(&second, "running").await;
    world.says(&third, "place 1 in the queue").await;
    // The queue is asked for anew after a restart, in the same order or another, but nobody is forgotten. The command
    // that was cut is not run again, and what was left of it takes no other's turn.
    daemon.kill();
    let _daemon = world.start();
    world.go();
    world.until("the last one to go", || !world.folder.path().join("go").exists()).await;
    world.says(&second, "Built.").await;
    world.says(&third, "Built.").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_xcode_build_at_a_time() {
    let mut world = World::with_script(with_coder(runs("npm --version; timeout 600 xcodebuild -scheme App"))).await;
    let programs = world.folder.path().join("bin");
    std::fs::create_dir(&programs).expect("made");
    let program = programs.join("xcodebuild");
    let script = format!("#!/bin/sh\necho begin >>../../../../builds\n{WAIT_FOR_GO}\necho end >>../../../../builds\n");
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = std::env::var("PATH").expect("a PATH");
    world.env.push(("PATH".to_owned(), format!("{}:{path}", programs.display())));
    let _daemon = world.start();
    let first = world.approved("let `greeting.txt` say \"one\"").await;
    let log = world.folder.path().join("builds");
    world.until("the first build", || log.exists()).await;
    let second = world.approved("let `greeting.txt` say \"two\"").await;
    world.says(&second, "waiting for another xcode build to end: place 1 in the queue").await;
    world.go();
    world.says(&first, "Built.").await;
    world.go();
    world.says(&second, "Built.").await;
    assert_eq!(std::fs::read_to_string(log).expect("a log"), "begin\nend\nbegin\nend\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_for_a_person_hold_no_place() {
    let asks = |request: &ScriptedRequest| {
        if request.last_user_text().contains("ask me") {
            return ScriptedReply::text("").call("AskUser", &json!({ "question": "Which?" }));
        }
        ScriptedReply::text("Here I am.")
    };
    let world = World::with_script(asks).await;
    let _daemon = world.start();
    let waiting: Vec<String> = (0..17).map(|_| world.slack.say(BEN, SHOP, "ask me", None)).collect();
    for ts in &waiting {
        world
            .reply(ts, "the question", |message| {
                blocks_text(message).contains("Which?") || message.text.contains("Which?")
            })
            .await;
    }
    let ts = world.slack.say(ANA, SHOP, "hello", None);
    world.says(&ts, "Here I am.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_cannot_be_read_is_told_with_an_id_and_touches_no_other() {
    let world = World::new().await;
    let daemon = world.start();
    let broken = world.slack.say(BEN, SHOP, "hello?", None);
    world.says(&broken, "I heard").await;
    let whole = world.slack.say(BEN, SHOP, "good day?", None);
    world.says(&whole, "I heard").await;
    daemon.kill();
    let store = rusqlite::Connection::open(world.checkout().join(".codebutler/store.db")).expect("a store");
    let damage = "UPDATE events SET body = '{\"type\":\"nonsense\"}' WHERE seq = 1 AND thread LIKE '%/' || ?1";
    assert_eq!(store.execute(damage, [&broken]).expect("damaged"), 1);
    let daemon = world.start();
    world.slack.say(BEN, SHOP, "still there?", Some(&broken));
    let told = world.says(&broken, "The log has the details under").await;
    let id = told.text.split('`').nth(1).expect("an id").to_owned();
    world.slack.say(BEN, SHOP, "and you?", Some(&whole));
    world.says(&whole, "I heard “Ben: and you?”").await;
    let mend = "UPDATE events SET body = '{\"type\":\"thread_opened\",\"by\":\"U0BEN\"}' WHERE seq = 1 AND thread LIKE '%/' || ?1";
    assert_eq!(store.execute(mend, [&broken]).expect("mended"), 1);
    world.says(&broken, "I heard “Ben: still there?”").await;
    let (_, log) = daemon.stop();
    assert!(log.lines().any(|line| line.contains(&id) && line.contains(&broken)), "{id} is not in:\n{log}");
}
