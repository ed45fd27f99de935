//! When a role's model fails: its fallback answers, the model rests, and nobody has to wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{CLAUDE, CODER, PM, Trouble, last_calls, standard, status};
use super::support::fake_slack::{BEN, SHOP};
use super::world::World;

/// The models that were asked so far, in order.
fn asked(world: &World) -> Vec<String> {
    world.model.requests().into_iter().map(|request| request.model).collect()
}

/// The standard script, with one model that fails as long as the switch is on.
fn failing(
    model: &'static str,
    fault: ScriptedFault,
) -> (impl FnMut(&ScriptedRequest) -> ScriptedReply + Send, Arc<AtomicBool>) {
    let (mut healthy, broken) = (standard(Trouble::default()), Arc::new(AtomicBool::new(true)));
    let is_broken = Arc::clone(&broken);
    let script = move |request: &ScriptedRequest| {
        if request.model == model && is_broken.load(Ordering::SeqCst) {
            return ScriptedReply::fault(fault.clone());
        }
        healthy(request)
    };
    (script, broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_answers_at_once_while_the_model_rests_and_the_thread_can_see_it() {
    let (script, broken) = failing(PM, status(503, "overloaded"));
    let mut world = World::with_script(script).await;
    world.repo["models"]["pm"]["fallback"] = json!([CLAUDE]);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.says(&ts, &format!("{CLAUDE} says: I heard “Ben: hello?”")).await;
    assert_eq!(asked(&world), [PM, PM, PM, CLAUDE]);
    broken.store(false, Ordering::SeqCst);
    let other = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    let (card, _) = world.card(&other, "plan_approve").await;
    assert!(asked(&world)[4..].iter().all(|model| model == CLAUDE), "it rests for all threads: {:?}", asked(&world));
    let progress = world.says(&other, &format!("answered by {CLAUDE} in place of {PM}")).await;
    assert_ne!(progress.ts, card.ts);
    let texts = world.thread_texts(&other).join("\n");
    assert_eq!(texts.matches("in place of").count(), 1, "told quietly: {texts}");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_back_after_its_rest_answers_again() {
    let (script, broken) = failing(PM, status(500, "oops"));
    let mut world = World::with_script(script).await;
    world.repo["models"]["pm"]["fallback"] = json!([CLAUDE]);
    world.global["timing"]["breakerMs"] = json!(1);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.says(&ts, &format!("{CLAUDE} says")).await;
    broken.store(false, Ordering::SeqCst);
    world.slack.say(BEN, SHOP, "still there?", Some(&ts));
    world.says(&ts, &format!("{PM} says: I heard “Ben: still there?”")).await;
    assert_eq!(asked(&world), [PM, PM, PM, CLAUDE, PM]);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coders_fallback_finishes_the_work_that_its_model_began() {
    let mut turns = 0;
    let mut healthy = standard(Trouble::default());
    let script = move |request: &ScriptedRequest| {
        if request.model == CODER {
            turns += 1;
            if turns > 2 {
                return ScriptedReply::fault(status(404, "this model was retired"));
            }
        }
        // The other model plays the Coder as well.
        let coder = request.tools.iter().any(|tool| tool == "Write");
        if coder { healthy(&ScriptedRequest { model: CODER.to_owned(), ..request.clone() }) } else { healthy(request) }
    };
    let mut world =
        World::with_server(script, |server| server.expect_tools("test/spare", super::world::CODER_TOOLS)).await;
    world.repo["models"]["coder"]["fallback"] = json!(["test/spare"]);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.at_remote("codebutler/say-hi", "greeting.txt"), "hi\nworld\n");
    let coders: Vec<String> = asked(&world).into_iter().filter(|model| model != PM).collect();
    assert_eq!(coders, [CODER, CODER, CODER, "test/spare", CODER, "test/spare"], "gone, so asked once a turn");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_model_that_is_tried_again_later() {
    for order in ["!pm claude", "!stop"] {
        let (script, _) = failing(PM, status(429, "slow down"));
        let mut world = World::with_script(script).await;
        world.global["timing"]["retryBaseMs"] = json!(60_000);
        let _daemon = world.start();
        let ts = world.slack.say(BEN, SHOP, "hello?", None);
        world.until("the first request", || !world.model.requests().is_empty()).await;
        let asked_at = Instant::now();
        world.slack.say(BEN, SHOP, order, Some(&ts));
        let expected = if order == "!stop" { "Stopped by Ben" } else { "anthropic/test-claude says: I heard" };
        world.says(&ts, expected).await;
        assert!(asked_at.elapsed() < Duration::from_secs(20), "{order} waited for {:?}", asked_at.elapsed());
        assert_eq!(asked(&world).iter().filter(|model| *model == PM).count(), 1);
        world.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pm_that_fails_while_the_coder_works_stops_nobody_but_itself() {
    let (mut healthy, broken) = (standard(Trouble::default()), Arc::new(AtomicBool::new(true)));
    let is_broken = Arc::clone(&broken);
    let script = move |request: &ScriptedRequest| {
        let proposed = request.model == PM && last_calls(request) == ["ProposePlan"];
        if proposed && is_broken.load(Ordering::SeqCst) {
            return ScriptedReply::fault(status(500, "oops"));
        }
        healthy(request)
    };
    let mut world = World::with_script(script).await;
    world.global["timing"]["retryBaseMs"] = json!(50);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.at_remote("codebutler/say-hi", "greeting.txt"), "hi\nworld\n");
    world.says(&ts, "did not answer after 6 attempts: oops (500)").await;
    broken.store(false, Ordering::SeqCst);
    let retry = world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.is_done(&retry).await;
    world.slack.say(BEN, SHOP, "and now?", Some(&ts));
    world.says(&ts, "Ben: and now?").await;
    let coders = asked(&world).iter().filter(|model| *model == CODER).count();
    assert_eq!(coders, 4, "the Coder was not begun again");
    world.press(&ts, "pr_merge").await;
    world.says(&ts, "Merged as").await;
    world.no_violations();
}
