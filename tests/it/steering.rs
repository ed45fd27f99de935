//! Steering a run that is under way: what people say, change and take back is heard at the next step; a stop ends it at
//! once, kills its command and says where it stood; another model takes over in the middle.

use std::time::{Duration, Instant};

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{CLAUDE, CODER, PM, last_calls, with_coder};
use super::support::fake_slack::{ANA, BEN, SHOP};
use super::world::World;

const WISH: &str = "let `greeting.txt` say \"hi\"";

/// How long a stop may take here. It takes far less than a second; a busy machine may need more to show it.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Waits in a command until it may go on, as a long build would.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    let todos = json!({ "todos": [
        { "content": "write it down", "status": "completed" },
        { "content": "build it", "status": "in_progress" },
        { "content": "test it", "status": "pending" },
    ] });
    let command = "echo $$ >../../../../pid; until [ -e ../../../../go ]; do sleep 0.02; done; echo end";
    match last_calls(request).as_slice() {
        [] => ScriptedReply::text("")
            .call("TodoWrite", &todos)
            .call("Write", &json!({ "file_path": "note.txt", "content": "begun\n" }))
            .call("Bash", &json!({ "command": command })),
        _ => ScriptedReply::text("Done."),
    }
}

/// A Coder in its command.
async fn at_work() -> (World, super::world::Daemon, String) {
    let world = World::with_script(with_coder(coder)).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    let pid = world.folder.path().join("pid");
    world.until("the command", || std::fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'))).await;
    (world, daemon, ts)
}

fn last_of(world: &World, model: &str) -> ScriptedRequest {
    world.model.requests().into_iter().rfind(|request| request.model == model).expect("asked")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_people_say_change_and_take_back_during_a_command_is_heard_after_it() {
    let (world, _daemon, ts) = at_work().await;
    let first = world.slack.say(ANA, SHOP, "use the old name", Some(&ts));
    let second = world.slack.say(BEN, SHOP, "and teh new place", Some(&ts));
    let third = world.slack.say(BEN, SHOP, "forget what Ana says", Some(&ts));
    world.slack.edit(&second, "and the new place");
    world.slack.delete(&third);
    world.slack.wait_until_acked().await;
    let again = world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.says(&ts, "It is running.").await;
    world.is_done(&again).await;
    std::fs::write(world.folder.path().join("go"), "").expect("written");
    world.card(&ts, "pr_merge").await;
    for message in [&first, &second] {
        world.is_done(message).await;
    }
    let heard = last_of(&world, CODER).last_user_text();
    assert_eq!(heard, "Ana: use the old name\nBen: and the new place");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_kills_the_command_keeps_the_work_and_says_where_it_stood() {
    let (world, _daemon, ts) = at_work().await;
    let pid = std::fs::read_to_string(world.folder.path().join("pid")).expect("written");
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    let has_proc = process.exists();
    let began = Instant::now();
    let stop = world.slack.say(ANA, SHOP, "!stop", Some(&ts));
    let stopped = world.says(&ts, "Stopped by Ana").await;
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    if has_proc {
        world.until("the end of the command", || !process.exists()).await;
    }
    for words in [
        "in turn 1, while running",
        "at step 2 of 3: build it",
        "Written so far: `note.txt`; kept on `codebutler/say-hi`",
    ] {
        assert!(stopped.text.contains(words), "{words}: {}", stopped.text);
    }
    world.is_done(&stop).await;
    world.says(&ts, "Draft, not finished").await;
    assert_eq!(world.at_remote("codebutler/say-hi", "note.txt"), "begun\n");
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.card(&ts, "pr_merge").await;
    assert!(last_of(&world, CODER).messages.iter().any(|message| message.text().starts_with("Interrupted:")));
    world.no_violations();
    println!("stopped after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_keeps_the_work_that_is_not_done_and_promises_nothing_else() {
    let (world, _daemon, ts) = at_work().await;
    let close = world.slack.say(ANA, SHOP, "!close", Some(&ts));
    let stopped = world.says(&ts, "Stopped by Ana").await;
    for words in ["kept on", "as a draft", "!retry"] {
        assert!(!stopped.text.contains(words), "{words}: {}", stopped.text);
    }
    let closed = world.says(&ts, "Closed without merging").await;
    assert!(closed.text.contains("The branch `codebutler/say-hi` was kept"), "{}", closed.text);
    world.is_done(&close).await;
    assert_eq!(world.git(&["show", "codebutler/say-hi:note.txt"]), "begun");
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_model_call_and_what_is_said_meanwhile_is_not_lost() {
    // A Coder that comes to no end before it has heard of Ana.
    let coder = |request: &ScriptedRequest| {
        let heard = request.user_text().contains("Ana: ");
        ScriptedReply { fault: (!heard).then_some(ScriptedFault::Stall), ..ScriptedReply::text("Done.") }
    };
    let world = World::with_script(with_coder(coder)).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.until("the request", || world.model.requests().iter().any(|request| request.model == CODER)).await;
    let said = world.slack.say(ANA, SHOP, "use the old name", Some(&ts));
    world.slack.wait_until_acked().await;
    let began = Instant::now();
    world.slack.say(BEN, SHOP, "!stop", Some(&ts));
    let stopped = world.says(&ts, "Stopped by Ben in turn 1.").await;
    assert!(began.elapsed() < AT_ONCE && stopped.text.contains("What it changed, if anything, is kept"), "{stopped:?}");
    world.is_done(&said).await;
    world.model.release();
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.says(&ts, "Done.").await;
    let heard = last_of(&world, CODER).user_text();
    assert_eq!(heard.matches("Ana: use the old name").count(), 1, "{heard}");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_takes_over_in_the_middle_of_a_call() {
    // A PM that would never come to an end of its first reply.
    let pm = |request: &ScriptedRequest| match request.model.as_str() {
        PM => ScriptedReply { fault: Some(ScriptedFault::Stall), ..ScriptedReply::text("too late") },
        model => ScriptedReply::text(format!("{model} says: read it.")),
    };
    let world = World::with_script(pm).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "what does it say?", None);
    world.until("the request", || !world.model.requests().is_empty()).await;
    let swap = world.slack.say(BEN, SHOP, "!pm claude", Some(&ts));
    world.says(&ts, &format!("{CLAUDE} says: read it.")).await;
    world.is_done(&swap).await;
    world.is_done(&ts).await;
    let models: Vec<String> = world.model.requests().into_iter().map(|request| request.model).collect();
    assert_eq!(models, [PM, CLAUDE]);
    world.no_violations();
}
