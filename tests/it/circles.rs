//! A model that repeats itself forever is told so, has to think, gets the PM's help, and is ended with a word to the
//! people, its work kept; long before its turns are used up, and also over a restart.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{CODER, with_coder};
use super::support::fake_slack::{BEN, SHOP};
use super::world::{World, button};

const WISH: &str = "let `greeting.txt` say \"hi\"";

/// Writes a file, then runs the same failing test for ever.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    if request.no_tools {
        let last = request.last_user_text().contains("This run ends here");
        return ScriptedReply::text(if last {
            "I need the header `x.h`."
        } else {
            "I believe that a header is missing."
        });
    }
    if request.turn() == 0 {
        return ScriptedReply::text("").call("Write", &json!({ "file_path": "note.txt", "content": "begun\n" }));
    }
    let command = "echo \"error: no such function, in $(date +%N)ns\"; exit 2";
    ScriptedReply::text("").call("Bash", &json!({ "command": command }))
}

fn script() -> impl FnMut(&ScriptedRequest) -> ScriptedReply + Send {
    let mut others = with_coder(coder);
    move |request| {
        if request.model != CODER && request.last_user_text().contains("goes in circles in its work") {
            return ScriptedReply::text("Include the header.");
        }
        others(request)
    }
}

fn of_coder(world: &World) -> Vec<ScriptedRequest> {
    world.model.requests().into_iter().filter(|request| request.model == CODER).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_helped_step_by_step_and_ended_with_a_draft() {
    let world = World::with_script(script()).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    let card = world.says(&ts, "Draft, not finished").await;
    assert!(card.text.contains("I need the header") && button(&card, "run_retry").is_some(), "{card:?}");
    assert!(
        card.text.contains("went in circles: it had run") && card.text.contains("9 times with the same failure"),
        "{card:?}"
    );
    assert_eq!(world.at_remote("codebutler/say-hi", "note.txt"), "begun\n");
    let line = world.says(&ts, "is stuck, and the PM was asked").await;
    assert!(line.text.contains("*PM:* Include the header."), "{line:?}");
    let requests = of_coder(&world);
    // A file, three failures, two more, one turn to think, two and two more, and the last words.
    assert_eq!(requests.len(), 12, "far from the limit of 100");
    let without: Vec<usize> =
        (1..).zip(&requests).filter(|(_, request)| request.no_tools).map(|(turn, _)| turn).collect();
    assert_eq!(without, [7, 12]);
    assert!(requests.iter().all(|request| request.tools == requests[0].tools), "the list stays");
    let told = requests[11].user_text();
    for words in [
        "3 times with the same failure: “error: no such function",
        "Tools are off for this one turn",
        "Tools are on again",
        "The PM was asked about it, and says:\nInclude the header.",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let said = world.thread_texts(&ts);
    assert!(
        said.iter().all(|text| !text.contains("I believe that a header")),
        "what it said to itself stays there: {said:?}"
    );
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.until("a fresh run", || of_coder(&world).len() > 14).await;
    assert!(!of_coder(&world)[14].no_tools, "with a fresh count");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_forgets_nothing_of_it() {
    let world = World::with_script(script()).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.until("the note", || of_coder(&world).len() >= 6).await;
    daemon.kill();
    let _daemon = world.start();
    world.says(&ts, "Draft, not finished").await;
    let mut requests = of_coder(&world);
    requests.dedup_by(|one, other| format!("{:?}", one.messages) == format!("{:?}", other.messages));
    // A command that was cut says nothing about it.
    assert!(requests.len() <= 14, "{}", requests.len());
    let told = requests.last().expect("asked").user_text();
    assert_eq!(told.matches("3 times with the same failure").count(), 1, "{told}");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pm_in_circles_ends_with_a_word_to_the_people() {
    let pm = |request: &ScriptedRequest| {
        if request.no_tools {
            return ScriptedReply::text("I cannot find it.");
        }
        ScriptedReply::text("").call("Grep", &json!({ "pattern": "nowhere" }))
    };
    let world = World::with_script(pm).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "where is it?", None);
    world.says(&ts, "The PM went in circles: it had searched for").await;
    world.is_done(&ts).await;
    let said = world.thread_texts(&ts);
    assert_eq!(said.iter().filter(|text| text.contains("I cannot find it.")).count(), 1, "once, at the end: {said:?}");
    assert_eq!(world.model.requests().len(), 9, "its limit is 15");
    world.no_violations();
}

/// A Coder that runs commands which print something else each time, until it is told of it or has had enough.
fn tireless(command: fn(usize) -> String) -> impl FnMut(&ScriptedRequest) -> ScriptedReply + Send {
    with_coder(move |request| {
        let turn = request.turn();
        let told = request.last_user_text();
        if turn == 60 || told.contains("without changing a file") {
            return ScriptedReply::text(format!("Enough after {turn}. {}", told.lines().last().unwrap_or_default()));
        }
        ScriptedReply::text("").call("Bash", &json!({ "command": command(turn) }))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_that_change_no_file_are_noticed_and_those_that_do_by_commands_are_not() {
    let world = World::with_script(tireless(|turn| format!("sleep 0.0{turn}; echo {turn}"))).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.says(&ts, "Enough after 25. [codebutler] You have spent 25 turns without changing a file.").await;
    let world = World::with_script(tireless(|turn| format!("echo {turn} | tee -a greeting.txt"))).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.says(&ts, "Enough after 60.").await;
    world.no_violations();
}
