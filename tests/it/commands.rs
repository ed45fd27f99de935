//! What people can say with `!`, by mention and by slash command.

use super::script::{CLAUDE, PM};
use super::support::fake_slack::{ANA, BEN, BOT_USER, SHOP};
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_pm_is_swapped_in_the_thread_and_the_new_model_knows_everything() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello there", None);
    world.says(&ts, "test/pm says").await;
    let swap = world.slack.say(BEN, SHOP, "!pm claude", Some(&ts));
    world.says(&ts, "now uses *claude*").await;
    world.is_done(&swap).await;
    world.slack.say(BEN, SHOP, "and now?", Some(&ts));
    world.says(&ts, "anthropic/test-claude says").await;
    let last = world.model.requests().pop().expect("asked");
    assert_eq!(last.model, CLAUDE);
    let heard = last.user_text();
    assert!(heard.contains("hello there") && heard.contains("and now?") && !heard.contains("!pm"), "{heard}");
    let by_mention = world.slack.say(BEN, SHOP, &format!("<@{BOT_USER}> pm kimi"), Some(&ts));
    world.is_done(&by_mention).await;
    world.slack.say(BEN, SHOP, "who is it now?", Some(&ts));
    world.says(&ts, "test/pm says: I heard “Ben: who is it now").await;
    world.slack.say(BEN, SHOP, "!pm gemini", Some(&ts));
    world.says(&ts, "There is no `gemini`").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slash_command_sets_the_channels_default_for_good() {
    let world = World::new().await;
    let daemon = world.start();
    let answer = world.slack.slash(BEN, SHOP, "/pm", "claude").await;
    assert!(answer.contains("claude") && answer.contains("!pm"), "{answer}");
    let ts = world.slack.say(BEN, SHOP, "hello", None);
    world.says(&ts, "anthropic/test-claude says").await;
    daemon.kill();
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello again", None);
    world.says(&ts, "anthropic/test-claude says").await;
    let answer = world.slack.slash(BEN, SHOP, "/pm", "nonsense").await;
    assert!(answer.contains("There is no `nonsense`"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_cost_help_and_the_pool_are_answered_at_once() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.card(&ts, "plan_approve").await;
    for (command, answer) in [
        ("!status", "Waiting for an approval"),
        ("!cost", "in this thread so far"),
        ("!help", "merge the pull request, clean up"),
        ("!pm", "The PM uses *kimi*"),
    ] {
        let said = world.slack.say(BEN, SHOP, command, Some(&ts));
        world.says(&ts, answer).await;
        world.is_done(&said).await;
    }
    let (_, value) = world.card(&ts, "pm_model").await;
    assert_eq!(value, "kimi");
    for request in world.model.requests() {
        assert_eq!(request.model, PM);
        assert!(!request.user_text().contains('!'), "a command reached a model");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn close_ends_the_thread_without_merging() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    let close = world.slack.say(ANA, SHOP, "!close", Some(&ts));
    world.says(&ts, "Closed without merging").await;
    world.is_done(&close).await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "hello\nworld\n");
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
}
