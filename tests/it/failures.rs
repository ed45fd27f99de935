//! Nothing is silent: each failure gives one clear message with the next step, and the thread can go on.

use std::os::unix::fs::PermissionsExt as _;

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{last_calls, running, status, with_coder};
use super::support::fake_slack::{ANA, BEN, Fault, RANDOM, SHOP};
use super::world::{World, button};

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_refuses_is_told_and_retried() {
    for (fault, times, what, step) in [
        (status(401, "No auth credentials found"), 1, "does not accept the key", "openrouter.apiKey"),
        (status(402, "Insufficient credits"), 1, "lack of credit (402)", "Add credit"),
        (status(503, "overloaded"), 6, "I stopped", "Retry"),
        (ScriptedFault::CutMidStream, 6, "I stopped", "Retry"),
    ] {
        let world = World::new().await;
        let _daemon = world.start();
        world.trouble.next(fault, times);
        let ts = world.slack.say(BEN, SHOP, "hello?", None);
        let (card, _) = world.card(&ts, "run_retry").await;
        let text = super::world::blocks_text(&card);
        assert!(text.contains(what) && text.contains(step), "{text}");
        world.is_done(&ts).await;
        world.press(&ts, "run_retry").await;
        world.says(&ts, "I heard “Ben: hello?”").await;
        world.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_trouble_of_the_model_is_not_even_seen() {
    let world = World::new().await;
    let _daemon = world.start();
    world.trouble.next(status(429, "slow down"), 1);
    world.trouble.next(ScriptedFault::CutMidStream, 1);
    world.trouble.next(ScriptedFault::ErrorMidStream { code: 502, message: "upstream".into() }, 1);
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.says(&ts, "I heard “Ben: hello?”").await;
    assert!(world.thread_texts(&ts).iter().all(|text| !text.contains("I stopped")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coder_goes_on_after_its_model_came_back() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.card(&ts, "plan_approve").await;
    world.slack.say(ANA, SHOP, "approve", Some(&ts));
    world.trouble.next(status(402, "Insufficient credits"), 1);
    let failed = world.says(&ts, "lack of credit").await;
    assert!(button(&failed, "run_retry").is_some());
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.at_remote("codebutler/say-hi", "greeting.txt"), "hi\nworld\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_remote_is_told_and_the_thread_goes_on_when_it_is_back() {
    let world = World::new().await;
    let _daemon = world.start();
    let away = world.folder.path().join("away.git");
    std::fs::rename(world.remote(), &away).expect("moved");
    world.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    let failed = world.says(&ts, "I stopped").await;
    assert!(button(&failed, "run_retry").is_some());
    std::fs::rename(&away, world.remote()).expect("moved");
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.says(&ts, "I heard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_is_told_and_retried() {
    let world = World::new().await;
    let hook = world.remote().join("hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\necho 'not on a friday' >&2\nexit 1\n").expect("written");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    let failed = world.says(&ts, "I stopped").await;
    assert!(super::world::blocks_text(&failed).contains("not on a friday"), "{failed:?}");
    assert!(button(&failed, "run_retry").is_some(), "{failed:?}");
    std::fs::remove_file(&hook).expect("removed");
    world.press(&ts, "run_retry").await;
    world.card(&ts, "pr_merge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_conflict_is_told_with_the_file() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    std::fs::write(world.checkout().join("greeting.txt"), "hola\nworld\n").expect("written");
    world.git(&["commit", "-qam", "Say hola"]);
    world.git(&["push", "-q", "origin", "main"]);
    let merge = world.slack.say(ANA, SHOP, "merge", Some(&ts));
    let refused = world.says(&ts, "Not merged").await;
    assert!(refused.text.contains("greeting.txt"), "{}", refused.text);
    world.is_done(&merge).await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "hola\nworld\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_remote_the_work_is_merged_locally() {
    let world = World::new().await;
    world.git(&["remote", "remove", "origin"]);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.press(&ts, "pr_merge").await;
    world.says(&ts, "Merged as").await;
    assert_eq!(world.git(&["show", "main:greeting.txt"]), "hi\nworld");
    assert_eq!(std::fs::read_to_string(world.checkout().join("greeting.txt")).expect("there"), "hi\nworld\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_slack_is_said_at_start_all_at_once() {
    let mut world = World::new().await;
    world.repo["slack"]["channelID"] = json!("C0NOWHERE");
    let (status, log) = world.spawn().ended();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("error: ") && log.contains("C0NOWHERE") && log.contains("hint: "), "{log}");
    world.repo["slack"] = json!({ "channelID": RANDOM, "channelName": "random" });
    let (status, log) = world.spawn().ended();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("the bot is not in #random (C0RANDOM)") && log.contains("/invite"), "{log}");
    world.global["slack"]["botToken"] = json!("xoxb-wrong");
    world.global["slack"]["appToken"] = json!("xapp-wrong");
    let (status, log) = world.spawn().ended();
    assert_eq!((status.code(), log.matches("error: ").count()), (Some(1), 2), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_store_is_refused_by_name() {
    let world = World::new().await;
    let _daemon = world.start();
    let (status, log) = world.spawn().ended();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("another codebutler (process ") && log.contains("hint: "), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slacks_lost_answers_and_rate_limits_double_nothing() {
    let world = World::new().await;
    let _daemon = world.start();
    world.slack.fail_next("chat.postMessage", Fault::LoseAnswer);
    world.slack.fail_next("reactions.add", Fault::TooFast(0));
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.is_done(&ts).await;
    assert_eq!(world.thread_texts(&ts), ["*PM:* test/pm says: I heard “Ben: hello?”."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    let world = World::new().await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.card(&ts, "plan_approve").await;
    daemon.kill();
    let daemon = world.start();
    world.press(&ts, "plan_approve").await;
    world.says(&ts, "Approved by Ana").await;
    daemon.kill();
    let daemon = world.start();
    world.card(&ts, "pr_merge").await;
    daemon.kill();
    let _daemon = world.start();
    world.press(&ts, "pr_merge").await;
    world.says(&ts, "Merged as").await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "hi\nworld\n");
    let texts = world.thread_texts(&ts);
    let plans = texts.iter().filter(|text| text.contains("*Plan:")).count();
    assert_eq!(plans, 1, "{texts:#?}");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_cut_by_a_crash_is_told_to_the_model_and_not_run_again() {
    let world = World::with_script(with_coder(running("echo x >>begun; sleep 600"))).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    let begun = world.checkout().join(".codebutler/branches/say-hi/begun");
    let read = || std::fs::read_to_string(&begun).unwrap_or_default();
    world.until("the command", || read() == "x\n").await;
    daemon.kill();
    let _daemon = world.start();
    let told = world.says(&ts, "Interrupted: the program was restarted while this was running").await;
    assert!(told.text.contains("*Coder:*"), "{told:?}");
    assert_eq!(read(), "x\n", "the command was not run a second time");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_says_it_approves_approves_nothing() {
    let proposes = |request: &ScriptedRequest| match last_calls(request).as_slice() {
        [] => ScriptedReply::text("").call(
            "ProposePlan",
            &json!({
                "title": "t", "workflow": "w", "summary": "s", "steps": [{ "text": "t" }], "files": [],
                "acceptance": ["x"],
            }),
        ),
        _ => ScriptedReply::text("approve"),
    };
    let world = World::with_script(proposes).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "do it", None);
    world.card(&ts, "plan_approve").await;
    world.says(&ts, "*PM:* approve").await;
    world.slack.wait_until_acked().await;
    world.is_done(&ts).await;
    let status = world.slack.say(BEN, SHOP, "!status", Some(&ts));
    world.says(&ts, "Waiting for an approval").await;
    world.is_done(&status).await;
    assert!(!world.checkout().join(".codebutler/branches").exists());
}
