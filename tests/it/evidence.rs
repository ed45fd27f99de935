//! The repository's checks: run before the work and after it, and what the card, the pull request and the merge make of
//! how they ended.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{last_calls, spoken_to, status, with_coder};
use super::support::fake_slack::{ANA, BEN, SHOP};
use super::world::{World, blocks_text, button};

const WISH: &str = "please let `greeting.txt` say \"good morning\"";

/// Counts its runs in a file that all of them see, and fails when the greeting is bad.
const CHECK: &str = "echo run >>../../../../ran; ! grep bad greeting.txt";

/// A Coder that lets the greeting say this, and runs this command after it; told of checks that failed it does better.
fn coder(first: &'static str, command: Option<&'static str>) -> impl Fn(&ScriptedRequest) -> ScriptedReply + Send {
    move |request| {
        let again = request.user_text().contains("these checks did not succeed");
        let line = if again { "good morning" } else { first };
        let write = json!({ "file_path": "greeting.txt", "content": format!("{line}\nworld\n") });
        match (last_calls(request).as_slice(), command) {
            _ if spoken_to(request) => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })),
            (["Read"], _) => ScriptedReply::text("").call("Write", &write),
            (["Write"], Some(command)) => ScriptedReply::text("").call("Bash", &json!({ "command": command })),
            _ => ScriptedReply::text("All done, every test passes."),
        }
    }
}

async fn world(first: &'static str, command: Option<&'static str>, checks: &[&str]) -> World {
    let mut world = World::with_script(with_coder(coder(first, command))).await;
    world.repo["checks"] = json!(checks);
    world
}

impl World {
    /// Has the work begin; gives the thread.
    async fn begun(&self) -> String {
        let ts = self.slack.say(BEN, SHOP, WISH, None);
        self.press(&ts, "plan_approve").await;
        ts
    }

    fn lines(&self, file: &str) -> usize {
        std::fs::read_to_string(self.folder.path().join(file)).map_or(0, |text| text.lines().count())
    }

    fn pull_body(&self) -> String {
        let record = self.checkout().join(".git/codebutler/pulls/1.json");
        let record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(record).expect("a record")).expect("JSON");
        record["body"].as_str().expect("a body").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn green_checks_are_shown_with_how_they_were_before() {
    let world = world("good morning", None, &[CHECK, "true"]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    let text = blocks_text(&card);
    for part in ["`true` → exit 0", "was green before: yes", "All done, every test passes."] {
        assert!(text.contains(part), "{part} is not on the card: {text}");
    }
    assert!(!text.contains("Draft") && button(&card, "run_retry").is_none(), "{text}");
    assert_eq!(world.lines("ran"), 2, "once on the base, once on the work");
    let body = world.pull_body();
    assert!(
        body.contains("### Evidence") && body.contains("- ✔ `true` → exit code 0 · was green before: yes"),
        "{body}"
    );
    world.press(&ts, "pr_merge").await;
    world.says(&ts, "Merged as").await;
    let branches = world.checkout().join(".codebutler/branches");
    assert_eq!(std::fs::read_dir(branches).map_or(0, Iterator::count), 0, "the base's checkout is gone, too");
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_coder_ran_itself_after_its_last_change_is_not_run_again() {
    let world = world("good morning", Some(CHECK), &[CHECK]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    assert!(blocks_text(&card).contains("was green before: yes"), "{}", blocks_text(&card));
    assert_eq!(world.lines("ran"), 2, "once on the base, once by the Coder");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_check_makes_a_draft_and_the_coder_goes_on_until_it_is_green() {
    let world = world("bad morning", None, &[CHECK]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    let (card, _) = world.card(&ts, "run_retry").await;
    let text = blocks_text(&card);
    let (fails, claims) = (text.find("Not done:"), text.find("All done"));
    assert!(fails.is_some() && fails < claims, "what fails comes first: {text}");
    for part in ["exit code 1 · was green before: yes", "bad morning", "The Coder's report:"] {
        assert!(text.contains(part), "{part} is not on the card: {text}");
    }
    assert!(button(&card, "pr_merge").is_none(), "{text}");
    let body = world.pull_body();
    assert!(body.starts_with("> **Draft:** `echo run"), "{body}");
    assert!(body.contains("- ✘ `echo run"), "{body}");
    let early = world.slack.say(ANA, SHOP, "merge", Some(&ts));
    world.says(&ts, "The pull request is a draft").await;
    world.is_done(&early).await;

    world.press(&ts, "run_retry").await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    assert!(!blocks_text(&card).contains("Not done"), "{}", blocks_text(&card));
    let told = world.model.requests().into_iter().map(|request| request.user_text()).collect::<String>();
    assert!(told.contains("it succeeded before your work. The end of its output:\nbad morning"), "{told}");
    let body = world.pull_body();
    assert!(!body.contains("Draft") && body.contains("- ✔ `echo run"), "{body}");
    assert_eq!(world.lines("ran"), 3, "the first baseline is kept");
    world.press(&ts, "pr_merge").await;
    world.says(&ts, "Merged as").await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "good morning\nworld\n");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_before_is_a_draft_that_says_so_and_can_be_merged() {
    let world = world("good morning", None, &["echo 'absent: FAILED'; exit 7"]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    let text = blocks_text(&card);
    for part in ["Not done:", "exit code 7 · failed in the same way before this work", "`merge` works all the same"] {
        assert!(text.contains(part), "{part} is not on the card: {text}");
    }
    assert!(button(&card, "run_retry").is_some(), "{text}");
    world.slack.say(ANA, SHOP, "merge", Some(&ts));
    world.says(&ts, "Merged as").await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "good morning\nworld\n");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_github_a_pull_request_that_the_coder_opened_becomes_a_draft_with_the_evidence_in_its_body() {
    let opens = |request: &ScriptedRequest| match last_calls(request).as_slice() {
        _ if spoken_to(request) => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })),
        ["Read"] => {
            let new = json!({ "file_path": "greeting.txt", "content": "bad\nworld\n" });
            ScriptedReply::text("").call("Write", &new).call("GitCommit", &json!({ "message": "Say it" }))
        }
        ["Write", ..] => {
            let pull = json!({ "title": "All green", "body": "All tests pass, verified." });
            ScriptedReply::text("").call("GHCreatePR", &pull)
        }
        _ => ScriptedReply::text("All done."),
    };
    let mut world = World::with_script(with_coder(opens)).await;
    world.repo["checks"] = json!([CHECK]);
    let (world, github) = world.with_github().await;
    let _daemon = world.start();
    let ts = world.begun().await;
    world.card(&ts, "run_retry").await;
    let pull = github.pull(1);
    assert_eq!(pull["draft"], true);
    let body = pull["body"].as_str().expect("a body");
    let places = ["> **Draft:** `echo run", "All tests pass, verified.", "- ✘ `echo run"].map(|part| body.find(part));
    assert!(places[0] == Some(0) && places.is_sorted() && !places.contains(&None), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_changed_what_the_log_shows_goes_before_what_the_coder_claims() {
    let claim = "All checks pass: I ran `sh test.sh` and it is green. Ready to merge.";
    let claims = move |_: &ScriptedRequest| ScriptedReply::text(claim);
    let mut world = World::with_script(with_coder(claims)).await;
    world.repo["checks"] = json!(["echo 'row: FAILED'; exit 1"]);
    let _daemon = world.start();
    let ts = world.begun().await;
    let card = world.says(&ts, "Nothing was changed, so there is no pull request.").await;
    let text = &card.text;
    let places = ["exit code 1 · on the untouched base", "\nrow: FAILED", "The Coder's report:", claim, "Done when"];
    let places = places.map(|part| text.find(part));
    assert!(places.is_sorted() && !places.contains(&None), "{places:?}: {text}");
    assert!(!text.contains("Draft") && !text.contains("Not finished") && !text.contains("Not done"), "{text}");
    assert!(button(&card, "run_retry").is_none(), "{text}");
    // The PM hears the same, and the Coder is not sent to mend anything.
    world.slack.say(BEN, SHOP, "and now?", Some(&ts));
    world.says(&ts, "since nothing was changed; `echo 'row: FAILED'; exit 1` fails (exit code 1)").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_coder_that_failed_has_pushed_is_not_merged_under_the_older_card() {
    let first = coder("good morning", None);
    let fails = move |request: &ScriptedRequest| {
        if !request.user_text().contains("approved a further plan") {
            return first(request);
        }
        let half = json!({ "file_path": "greeting.txt", "content": "half\nworld\n" });
        match last_calls(request).as_slice() {
            _ if spoken_to(request) => ScriptedReply::text("")
                .call("Write", &half)
                .call("GitCommit", &json!({ "message": "Half of it" }))
                .call("GitPush", &json!({})),
            _ => ScriptedReply::fault(status(402, "Insufficient credits")),
        }
    };
    let mut world = World::with_script(with_coder(fails)).await;
    world.repo["checks"] = json!([CHECK]);
    let _daemon = world.start();
    let ts = world.begun().await;
    world.card(&ts, "pr_merge").await;
    world.slack.say(BEN, SHOP, "now let `greeting.txt` say \"half\"", Some(&ts));
    world.press(&ts, "plan_approve").await;
    world.says(&ts, "lack of credit").await;
    assert_eq!(world.at_remote("codebutler/say-good-morning", "greeting.txt"), "half\nworld\n", "it is pushed");
    let merge = world.slack.say(ANA, SHOP, "merge", Some(&ts));
    world.says(&ts, "`!retry` lets it go on; then say `merge` again.").await;
    world.is_done(&merge).await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "hello\nworld\n");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_diff_of_a_local_pull_request_is_that_of_its_commits() {
    let world = world("good morning", Some("echo secret >generated.txt"), &[]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    assert!(blocks_text(&card).contains("`generated.txt`"), "it is left out: {}", blocks_text(&card));
    let diff = || {
        let messages = world.thread_messages(&ts);
        messages.into_iter().flat_map(|message| message.files).find(|file| file.name.ends_with(".diff"))
    };
    world.until("the diff", || diff().is_some()).await;
    let diff = diff().and_then(|diff| diff.content).expect("a file with a text");
    assert!(diff.contains("+good morning") && !diff.contains("generated.txt"), "{diff}");
}

/// A check that says when it began, and ends when it may.
const WAITS: &str = "echo begin >>../../../../log; until [ -e ../../../../go ]; do sleep 0.02; done";

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_a_kill_cut_are_run_again() {
    let world = world("good morning", None, &[WAITS]).await;
    let daemon = world.start();
    let ts = world.begun().await;
    world.until("the check on the base and the one on the work", || world.lines("log") == 2).await;
    daemon.kill();
    std::fs::write(world.folder.path().join("go"), "").expect("written");
    let _daemon = world.start();
    let (card, _) = world.card(&ts, "pr_merge").await;
    assert!(blocks_text(&card).contains("was green before: yes"), "{}", blocks_text(&card));
    assert_eq!(world.lines("log"), 4, "both once more");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_checks_and_says_so() {
    let world = world("good morning", None, &[WAITS]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    world.until("the check on the base and the one on the work", || world.lines("log") == 2).await;
    let stop = world.slack.say(BEN, SHOP, "!stop", Some(&ts));
    let (card, _) = world.card(&ts, "run_retry").await;
    let text = blocks_text(&card);
    assert!(text.contains("stopped the checks before they had ended"), "{text}");
    assert!(button(&card, "pr_merge").is_none(), "{text}");
    world.is_done(&stop).await;
    std::fs::write(world.folder.path().join("go"), "").expect("written");
    world.press(&ts, "run_retry").await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    assert!(blocks_text(&card).contains("was green before: yes"), "taken once more: {}", blocks_text(&card));
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_checks_the_card_says_what_the_coder_ran_and_no_more() {
    let world = world("good morning", Some("sh -n greeting.txt; echo tests ran"), &[]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    let text = blocks_text(&card);
    assert!(
        text.contains("no checks are configured · the Coder ran `sh -n greeting.txt; echo tests ran` → exit 0"),
        "{text}"
    );
    assert!(text.contains("no command shows it: to be looked at"), "{text}");
}

/// A check that leaves a program in a session of its own, and then waits until it may end.
const LEAVES: &str = "setsid sh -c 'echo $$ >>../../../../left; exec sleep 600' & until [ -s ../../../../left ]; do \
                      sleep 0.02; done; echo begin >>../../../../log; until [ -e ../../../../go ]; do sleep 0.02; done";

impl World {
    /// Whether a program that such a check left is still there.
    fn has_left(&self) -> bool {
        let pids = std::fs::read_to_string(self.folder.path().join("left")).unwrap_or_default();
        pids.lines().any(|pid| std::path::Path::new("/proc").join(pid).exists())
    }

    /// What there is of the base's checkout.
    fn of_base(&self) -> usize {
        let folders = [".codebutler/branches", ".git/worktrees"].map(|folder| self.checkout().join(folder));
        let entries = folders.iter().flat_map(std::fs::read_dir).flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".base")).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_nothing_of_the_base_and_what_checks_leave_running_ends_with_them() {
    let world = world("good morning", None, &[LEAVES]).await;
    let daemon = world.start();
    let ts = world.begun().await;
    world.until("the check on the base and the one on the work", || world.lines("log") == 2).await;
    assert_eq!(world.of_base(), 2);
    world.slack.say(BEN, SHOP, "!stop", Some(&ts));
    world.card(&ts, "run_retry").await;
    world.until("the end of it", || world.of_base() == 0 && !world.has_left()).await;
    // The same when the daemon is asked to end, and when the checks have ended.
    world.press(&ts, "run_retry").await;
    world.until("both again", || world.lines("log") == 4).await;
    assert!(daemon.stop().0.success());
    assert_eq!(world.of_base(), 0);
    // One that has ended is still listed until init has heard of it.
    world.until("the end of them", || !world.has_left()).await;
    std::fs::write(world.folder.path().join("go"), "").expect("written");
    let _daemon = world.start();
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.of_base(), 0);
    world.until("the end of these, too", || !world.has_left()).await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_during_the_checks_posts_the_report_keeps_the_work_and_leaves_nothing_open() {
    let world = world("good morning", None, &[WAITS]).await;
    let _daemon = world.start();
    let ts = world.begun().await;
    world.until("the check on the base and the one on the work", || world.lines("log") == 2).await;
    world.says(&ts, "running the check").await;
    world.slack.say(BEN, SHOP, "!close", Some(&ts));
    world.says(&ts, "All done, every test passes.").await;
    let settled = world.says(&ts, "not run to its end").await;
    assert!(button(&settled, "run_stop").is_none() && !settled.text.contains("running the check"), "{settled:?}");
    world.says(&ts, "The branch `codebutler/say-good-morning` was kept").await;
    assert_eq!(world.git(&["show", "codebutler/say-good-morning:greeting.txt"]), "good morning\nworld");
    assert_eq!(world.of_base(), 0);
    // Nothing of it goes on.
    let stop = world.slack.say(BEN, SHOP, "!stop", Some(&ts));
    world.says(&ts, "Nothing is running in this thread.").await;
    world.is_done(&stop).await;
    world.no_violations();
}
