//! What things cost: stated by the server, taken from its list of prices, or unknown. And what happens when it is too much.

use codebutler::scripted::{ScriptedReply, ScriptedRequest, ScriptedServer};
use serde_json::json;

use super::script::{CLAUDE, PM};
use super::support::fake_slack::{ANA, BEN, LOBBY, SHOP};
use super::world::{Daemon, World};

/// A PM that answers with so many tokens and states no cost.
async fn silent_about_cost(tell: impl FnOnce(ScriptedServer) -> ScriptedServer) -> (World, Daemon) {
    let script = |_: &ScriptedRequest| ScriptedReply::text("I heard you.").tokens(1_000_000, 500_000, 100_000);
    let world = World::with_server(script, tell).await;
    let daemon = world.start();
    daemon.mentions("the list of models was read");
    (world, daemon)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_that_is_not_stated_comes_from_the_list_of_prices() {
    let pricing = json!({ "prompt": "0.000002", "completion": "0.00001", "input_cache_read": "0.0000002" });
    let listed = json!({ "context_length": 128_000, "pricing": pricing });
    let (world, _daemon) = silent_about_cost(|server| server.list(PM, listed)).await;
    let ts = world.slack.say(BEN, SHOP, "hello there", None);
    world.says(&ts, "I heard you").await;
    world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    // 0.5 M at $2, 0.5 M at $0.20, 0.1 M at $10.
    world.says(&ts, "about $2.10").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_that_nobody_knows_is_unknown_and_not_nothing() {
    let (world, _daemon) = silent_about_cost(|server| server).await;
    let ts = world.slack.say(BEN, SHOP, "hello there", None);
    world.says(&ts, "I heard you").await;
    world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    let answer = world.says(&ts, "cost unknown").await;
    assert!(!answer.text.contains("$0.00"), "{}", answer.text);
    world.no_violations();
}

const WISH: &str = "let `greeting.txt` say \"hi\"";

/// A company in which Ana alone approves; each call costs a tenth of a cent.
async fn world(limits: serde_json::Value) -> World {
    let mut world = World::new().await;
    world.global["access"] = json!({ "approvers": [ANA] });
    world.global["limits"] = limits;
    world
}

/// Presses the budget's card as this person.
async fn press(world: &World, who: &str, ts: &str, action: &str) {
    let (message, value) = world.card(ts, action).await;
    world.slack.press(who, action, &value, &message.ts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_at_the_threads_cap_survives_a_kill_and_goes_on_when_it_is_raised() {
    let world = world(json!({ "perThreadUsd": 0.0057 })).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    let (card, value) = world.card(&ts, "budget_raise").await;
    assert!(card.text.contains("this thread's limit of $0.0057 is used up ($0.0060 spent)"), "{}", card.text);
    assert_eq!(world.model.requests().len(), 6, "no call after the one that passed the cap");
    world.says(&ts, "*80 %* of this thread's limit is used: $0.0050 of $0.0057").await;
    let kept = world.slack.say(BEN, SHOP, "also the header, please", Some(&ts));
    world.says(&ts, "Your message is kept and read when the run goes on").await;
    daemon.kill();
    let _daemon = world.start();
    press(&world, BEN, &ts, "budget_raise").await;
    world.refused(BEN, "Only an approver can raise a limit").await;
    let said = world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    world.says(&ts, "of $0.0057: $0.00 left").await;
    world.is_done(&said).await;
    assert_eq!(world.model.requests().len(), 6, "nothing was asked while it waited");
    press(&world, ANA, &ts, "budget_raise").await;
    world.says(&ts, "*Raised* by $0.0057").await;
    world.card(&ts, "pr_merge").await;
    world.is_done(&kept).await;
    assert!(world.model.requests().iter().any(|request| request.user_text().contains("also the header")));
    // The old card does nothing and says so.
    world.slack.press_stale(ANA, "budget_raise", &value, &card.ts);
    world.refused(ANA, "This card is void").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_ended_at_a_cap_keeps_its_work_in_a_draft() {
    let world = world(json!({ "perThreadUsd": 0.0045 })).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    press(&world, ANA, &ts, "budget_stop").await;
    world.says(&ts, "Draft, not finished:").await;
    world.says(&ts, "*Ended:* the run was stopped").await;
    let branch = world.remote_branches().into_iter().find(|branch| branch != "main").expect("it is pushed");
    assert_eq!(world.at_remote(&branch, "greeting.txt"), "hi\nworld\n");
    assert_eq!(world.model.requests().len(), 5);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_days_cap_holds_over_threads_repositories_and_restarts() {
    let mut world = world(json!({ "perDayUsd": 0.0025 })).await;
    let second = world.folder.path().join("second");
    let (from, to) = (world.checkout(), second.clone());
    world.git(&["clone", "-q", &from.to_string_lossy(), &to.to_string_lossy()]);
    let mut repo = world.repo.clone();
    repo["slack"] = json!({ "channelID": LOBBY, "channelName": "lobby" });
    std::fs::create_dir_all(second.join(".codebutler")).expect("made");
    std::fs::write(second.join(".codebutler/config.json"), repo.to_string()).expect("written");
    world.arguments.extend(["--repo".to_owned(), second.display().to_string()]);
    let daemon = world.start();
    for (channel, text) in [(SHOP, "one"), (LOBBY, "two")] {
        let ts = world.slack.say(BEN, channel, text, None);
        let said = format!("I heard “Ben: {text}");
        world
            .slack
            .wait_for(text, |state| state.messages.iter().find(|m| m.bot.is_some() && m.text.contains(&said)).map(drop))
            .await;
        world
            .slack
            .wait_for("✅", |state| {
                let message = state.messages.iter().find(|message| message.ts == ts)?;
                message.reactions.iter().any(|name| name == "white_check_mark").then_some(())
            })
            .await;
    }
    daemon.kill();
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "three", None);
    world.says(&ts, "I heard “Ben: three").await;
    let ts = world.slack.say(BEN, SHOP, "four", None);
    let (card, _) = world.card(&ts, "budget_raise").await;
    assert!(
        card.text.contains("today's limit of $0.0025 for all repositories is used up ($0.0030 spent"),
        "{}",
        card.text
    );
    assert_eq!(world.model.requests().len(), 3);
    press(&world, ANA, &ts, "budget_raise").await;
    world.says(&ts, "I heard “Ben: four").await;
    let ts = world.slack.say(BEN, SHOP, "five", None);
    world.says(&ts, "I heard “Ben: five").await;
    let ts = world.slack.say(BEN, SHOP, "six", None);
    world.card(&ts, "budget_raise").await;
    assert_eq!(world.model.requests().len(), 5, "raised by the original once");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_start_so_many_runs_within_an_hour() {
    let world = world(json!({ "callsPerUserPerHour": 2 })).await;
    let daemon = world.start();
    for text in ["one", "two"] {
        let ts = world.slack.say(BEN, SHOP, text, None);
        world.says(&ts, "I heard “Ben").await;
    }
    daemon.kill();
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "three", None);
    world.says(&ts, "Ben has started 2 runs within the last hour, and the limit is 2").await;
    let other = world.slack.say(ANA, SHOP, "mine", None);
    world.says(&other, "I heard “Ana: mine").await;
    press(&world, ANA, &ts, "budget_raise").await;
    world.says(&ts, "*Raised* by 2 runs").await;
    world.says(&ts, "I heard “Ben: three").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_four_fifths_the_pm_goes_on_with_the_cheapest_of_its_models() {
    let price = |prompt: &str| json!({ "pricing": { "prompt": prompt, "completion": "0" } });
    let script = super::script::standard(super::script::Trouble::default());
    let mut world =
        World::with_server(script, |server| server.list(PM, price("0.000003")).list(CLAUDE, price("0.000001"))).await;
    world.global["limits"] = json!({ "perThreadUsd": 0.0025 });
    let daemon = world.start();
    daemon.mentions("the list of models was read");
    let ts = world.slack.say(BEN, SHOP, "one", None);
    world.says(&ts, "test/pm says: I heard “Ben: one").await;
    world.slack.say(BEN, SHOP, "two", Some(&ts));
    world.says(&ts, "From here on the PM uses *claude*").await;
    let told = world.thread_texts(&ts).into_iter().filter(|text| text.contains("80 %")).count();
    assert_eq!(told, 1);
    let said = world.slack.say(BEN, SHOP, "three", Some(&ts));
    world.says(&ts, "anthropic/test-claude says: I heard “Ben: three").await;
    world.is_done(&said).await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plans_card_says_what_similar_threads_took_once_there_are_some() {
    let world = World::new().await;
    let _daemon = world.start();
    for number in 0..4 {
        let ts = world.slack.say(BEN, SHOP, &format!("let `greeting.txt` say \"hi {number}\""), None);
        let (card, _) = world.card(&ts, "plan_approve").await;
        assert_eq!(card.text.contains("similar threads: $0.0070, under 1 min"), number == 3, "{}", card.text);
        world.press(&ts, "plan_approve").await;
        world.card(&ts, "pr_merge").await;
        world.slack.say(ANA, SHOP, "merge", Some(&ts));
        world.says(&ts, "Merged as").await;
    }
}
