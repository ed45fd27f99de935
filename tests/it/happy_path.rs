//! From a message to the merge, a question without work, follow-up work, two threads at once.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{last_calls, with_coder};
use super::support::fake_slack::{ANA, BEN, Message, SHOP};
use super::world::{World, blocks_text, button};

const WISH: &str = "please let `greeting.txt` say \"good morning\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_becomes_a_merged_pull_request() {
    let world = World::new().await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world
        .slack
        .wait_for("👀", |state| {
            let message = state.messages.iter().find(|message| message.ts == ts)?;
            message.reactions.iter().any(|name| name == "eyes").then_some(())
        })
        .await;

    let (card, _) = world.card(&ts, "plan_approve").await;
    let text = blocks_text(&card);
    for part in ["*PM:*", "Say good morning", "greeting.txt:1", "bugfix"] {
        assert!(text.contains(part), "{part} is not on the card: {text}");
    }
    assert!(button(&card, "plan_change").is_some() && button(&card, "plan_cancel").is_some());
    assert!(!world.checkout().join(".codebutler/branches").exists(), "no worktree before the approval");
    assert_eq!(world.git(&["branch", "--list", "codebutler/*"]), "", "no branch before the approval");

    world.press(&ts, "plan_approve").await;
    let (pull, _) = world.card(&ts, "pr_merge").await;
    let text = blocks_text(&pull);
    for part in ["*Coder:*", "Done: greeting.txt says good morning", "#1 Say good morning", "+1 −1"] {
        assert!(text.contains(part), "{part} is not on the card: {text}");
    }
    assert_eq!(world.at_remote("codebutler/say-good-morning", "greeting.txt"), "good morning\nworld\n");
    let approved = world.says(&ts, "Approved by Ana").await;
    assert!(button(&approved, "plan_approve").is_none(), "an approved plan has no buttons");

    let merge = world.slack.say(ANA, SHOP, "Dale!", Some(&ts));
    world.says(&ts, "Merged as").await;
    world.is_done(&merge).await;
    world.is_done(&ts).await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "good morning\nworld\n");
    assert_eq!(world.remote_branches(), ["main"]);
    assert_eq!(world.git(&["branch", "--list", "codebutler/*"]), "");
    assert_eq!(std::fs::read_dir(world.checkout().join(".codebutler/branches")).map_or(0, Iterator::count), 0);
    let log = world.git_in(&world.remote(), &["log", "-1", "--format=%an <%ae>%n%cn%n%B", "main"]);
    assert!(log.starts_with("CodeButler <codebutler@localhost>\nCodeButler\nSay good morning"), "{log}");
    world.no_violations();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_and_nothing_is_made() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "where is the greeting made?", None);
    let answer = world.says(&ts, "I heard").await;
    assert_eq!(answer.text, "*PM:* test/pm says: I heard “Ben: where is the greeting made?”.");
    world.is_done(&ts).await;
    assert!(!world.checkout().join(".codebutler/branches").exists());
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(world.thread_texts(&ts).len(), 1, "one message and nothing else: {:?}", world.thread_texts(&ts));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_code_goes_up_as_a_file_and_short_text_stays() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "can you show me the code?", None);
    let file = world.reply(&ts, "a file", |message| !message.files.is_empty()).await;
    assert_eq!(file.files[0].content.as_deref().map(|content| content.lines().count()), Some(25));
    assert_eq!(file.files[0].syntax.as_deref(), Some("rust"));
    world.says(&ts, "Here it is:").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_message_is_edited_and_not_repeated() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    let is_progress = |message: &Message| message.metadata["event_payload"]["key"] == "progress/2";
    let ended = world
        .reply(&ts, "the Coder's figures", |message| is_progress(message) && message.text.contains("1 edited"))
        .await;
    assert!(ended.edits > 0 && ended.text.starts_with("*Coder:*"), "{ended:?}");
    let count = world.thread_messages(&ts).iter().filter(|message| is_progress(message)).count();
    assert_eq!(count, 1, "{:#?}", world.thread_texts(&ts));
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_up_work_goes_into_the_same_pull_request() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    let (first, _) = world.card(&ts, "pr_merge").await;
    world.slack.say(BEN, SHOP, "now let `other.txt` say \"another\"", Some(&ts));
    world.press(&ts, "plan_approve").await;
    let second = world
        .reply(&ts, "the second report", |message| {
            blocks_text(message).contains("other.txt says another") && button(message, "pr_merge").is_some()
        })
        .await;
    assert!(blocks_text(&second).contains("#1 "), "the same pull request");
    assert_eq!(world.at_remote("codebutler/say-good-morning", "other.txt"), "another\n");
    world
        .reply(&ts, "the first card without its button", |message| {
            message.ts == first.ts && button(message, "pr_merge").is_none()
        })
        .await;
    world.slack.say(ANA, SHOP, "merge", Some(&ts));
    world.says(&ts, "Merged as").await;
    assert_eq!(
        world.at_remote("main", "greeting.txt") + &world.at_remote("main", "other.txt"),
        "good morning\nworld\nanother\n"
    );
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_threads_work_at_once_and_apart() {
    let world = World::new().await;
    let _daemon = world.start();
    let one = world.slack.say(BEN, SHOP, WISH, None);
    let two = world.slack.say(ANA, SHOP, "let `other.txt` say \"good morning\"", None);
    world.press(&two, "plan_approve").await;
    world.press(&one, "plan_approve").await;
    world.card(&one, "pr_merge").await;
    world.card(&two, "pr_merge").await;
    let mut branches = world.remote_branches();
    branches.sort();
    assert_eq!(branches, ["codebutler/say-good-morning", "codebutler/say-good-morning-2", "main"]);
    world.press(&one, "pr_merge").await;
    world.says(&one, "Merged as").await;
    world.press(&two, "pr_merge").await;
    world.says(&two, "Merged as").await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "good morning\nworld\n");
    assert_eq!(world.at_remote("main", "other.txt"), "good morning\n");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_began_before_us_is_read_as_context() {
    let world = World::new().await;
    let ts = world.slack.say(ANA, SHOP, "the greeting is too short", None);
    world.slack.say(BEN, SHOP, "I think so too", Some(&ts));
    let _daemon = world.start();
    let asked = world.slack.say(BEN, SHOP, "what do you think?", Some(&ts));
    world.is_done(&asked).await;
    let heard = world.model.requests()[0].user_text();
    let expected = "Ana: the greeting is too short\nBen: I think so too";
    assert!(heard.contains(expected), "{heard}");
    assert!(heard.ends_with("Ben: what do you think?"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_wait_for_the_worktrees_initialisation_and_a_failed_one_is_told() {
    let coder = |request: &ScriptedRequest| match last_calls(request).as_slice() {
        [] => ScriptedReply::text("").call("Bash", &json!({ "command": "cat made.txt; echo new >>greeting.txt" })),
        _ => ScriptedReply::text(format!("It says: {}", request.last_result("Bash").unwrap_or_default())),
    };
    let mut world = World::with_script(with_coder(coder)).await;
    world.repo["worktree"] = json!({ "init": ["sleep 0.3; echo made by the init >made.txt", "exit 3"] });
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.says(&ts, "Preparing the worktree: `exit 3` failed").await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    let text = blocks_text(&card);
    assert!(text.contains("made by the init") && text.contains("exit code 0"), "{text}");
    assert!(text.contains("made.txt"), "a file that no tool wrote is left out and named: {text}");
    assert_eq!(world.at_remote("codebutler/say-good-morning", "made.txt"), "");
    world.no_violations();
}
