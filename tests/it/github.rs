//! Pull requests on GitHub by the real `gh`: opened, merged, refused, and every failure with its next step.

use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{last_calls, spoken_to, with_coder};
use super::support::fake_github::{FakeGitHub, Rules, Trouble};
use super::support::fake_slack::{ANA, BEN, Message, SHOP};
use super::world::{World, blocks_text, button};

pub(super) const WISH: &str = "please let `greeting.txt` say \"good morning\"";
pub(super) const BRANCH: &str = "codebutler/say-good-morning";

/// A company on GitHub.
pub(super) struct Story {
    pub(super) world: World,
    pub(super) github: FakeGitHub,
}

impl Deref for Story {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

/// `None`, with a word about it, where `gh` is not installed.
pub(super) async fn story() -> Option<Story> {
    find("gh")?;
    let (world, github) = World::new().await.with_github().await;
    Some(Story { world, github })
}

/// The same with another Coder.
pub(super) async fn story_of(coder: impl Fn(&ScriptedRequest) -> ScriptedReply + Send + 'static) -> Option<Story> {
    find("gh")?;
    let (world, github) = World::with_script(with_coder(coder)).await.with_github().await;
    Some(Story { world, github })
}

/// Where a program is on the PATH.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CODEBUTLER_TEST_FULL").is_none(), "`{program}` is missing");
        #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
        {
            println!("skipped: `{program}` is not installed");
        }
    }
    found
}

impl Story {
    /// Wishes and approves; gives the thread.
    pub(super) async fn approved(&self) -> String {
        let ts = self.slack.say(BEN, SHOP, WISH, None);
        self.press(&ts, "plan_approve").await;
        ts
    }

    /// Says `merge` and waits for the refusal with both texts.
    pub(super) async fn refused_to_merge(&self, ts: &str, what: &str, step: &str) {
        let merge = self.slack.say(ANA, SHOP, "merge", Some(ts));
        let refusal = self.says(ts, what).await;
        let text = &refusal.text;
        assert!(text.starts_with("*Lead:* Not merged. ") && text.contains(step), "{text}");
        self.is_done(&merge).await;
    }

    pub(super) async fn merges(&self, ts: &str) {
        let merge = self.slack.say(ANA, SHOP, "merge", Some(ts));
        self.says(ts, "Merged as").await;
        self.is_done(&merge).await;
    }

    /// Waits for the card of a failure with both texts, the work named as kept.
    pub(super) async fn failed(&self, ts: &str, what: &str, step: &str) -> Message {
        let is_it = |message: &Message| {
            let text = blocks_text(message);
            button(message, "run_retry").is_some() && text.contains("I stopped") && text.contains(what)
        };
        let card = self.reply(ts, what, is_it).await;
        let text = blocks_text(&card);
        assert!(text.contains(step) && text.contains(&format!("the work is on `{BRANCH}`")), "{text}");
        card
    }

    /// Presses the button on just this card.
    pub(super) fn retry(&self, card: &Message) {
        let value = button(card, "run_retry").expect("a failure can be retried");
        self.slack.press(BEN, "run_retry", &value, &card.ts);
    }

    /// How often GitHub was asked this.
    pub(super) fn asked(&self, method: &str, path: &str) -> usize {
        let asked = self.github.requests();
        asked.iter().filter(|request| request.method == method && request.path.ends_with(path)).count()
    }

    /// The worktree of the thread.
    pub(super) fn worktree(&self) -> PathBuf {
        self.checkout().join(".codebutler/branches/say-good-morning")
    }

    /// Nothing of the thread's work is left on this machine or the remote but what was merged.
    /// A hook of the remote.
    pub(super) fn hook(&self, name: &str, script: &str) {
        let hook = self.remote().join("hooks").join(name);
        std::fs::write(&hook, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }

    pub(super) fn is_clean(&self) {
        assert_eq!(self.remote_branches(), ["main"]);
        assert_eq!(self.git(&["branch", "-a", "--list", "*codebutler/*"]), "");
        assert_eq!(self.git(&["worktree", "list"]).lines().count(), 1);
        assert!(!self.worktree().exists(), "the worktree is gone");
    }
}

pub(super) fn trouble(method: &'static str, path: &'static str, status: u16, works: bool) -> Trouble {
    Trouble { method, path, status, message: "Bad Gateway", works }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_becomes_a_pull_request_on_github_and_is_merged() {
    let Some(gh) = find("gh") else { return };
    for gh in [Some(gh), std::env::var_os("CODEBUTLER_TEST_GH").map(PathBuf::from)].into_iter().flatten() {
        let (mut world, github) = World::new().await.with_github().await;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = gh.parent().map(Path::to_path_buf);
        let path = std::env::join_paths(first.into_iter().chain(std::env::split_paths(&path))).expect("a PATH");
        world.env.push(("PATH".to_owned(), path.to_string_lossy().into_owned()));
        from_message_to_merge(&Story { world, github }).await;
    }
}

async fn from_message_to_merge(story: &Story) {
    let daemon = story.start();
    let ts = story.approved().await;
    let (card, _) = story.card(&ts, "pr_merge").await;
    let text = blocks_text(&card);
    for part in ["https://github.com/octo/demo/pull/1", "#1 Say good morning", "+1 −1", "Open on GitHub"] {
        assert!(text.contains(part), "{part} is not on the card: {text}");
    }
    let pull = story.github.pull(1);
    let footer = format!(
        "[Slack thread](https://fake.slack.com/archives/{SHOP}/p{}) · asked for by Ben, approved by Ana · made by \
         CodeButler",
        ts.replace('.', "")
    );
    assert_eq!(pull["title"], "Say good morning");
    let body = pull["body"].as_str().unwrap_or_default();
    assert!(body.starts_with("Because it was asked for.\n\n<!-- codebutler: evidence -->"), "{body}");
    assert!(body.ends_with(&format!("<!-- codebutler: end of evidence -->\n\n---\n{footer}")), "{body}");
    assert_eq!(
        (&pull["draft"], &pull["head"]["ref"], &pull["base"]["ref"]),
        (&json!(false), &json!(BRANCH), &json!("main"))
    );
    // A button with a page still tells that it was pressed; nothing comes of it.
    story.slack.press(BEN, "link:pr_open", "1", &card.ts);

    let pushed = story.git_in(&story.remote(), &["rev-parse", BRANCH]);
    story.merges(&ts).await;
    story.is_done(&ts).await;
    let requests = story.github.requests();
    let merges: Vec<_> = requests.iter().filter(|request| request.method == "PUT").collect();
    let [merge] = merges.as_slice() else { panic!("one merge: {merges:?}") };
    assert_eq!(merge.path, "/repos/octo/demo/pulls/1/merge");
    let expected = json!({
        "sha": pushed,
        "merge_method": "squash",
        "commit_title": "Say good morning (#1)",
        "commit_message": format!(
            "The first line of `greeting.txt:1` says hello.\n\nRequested-by: Ben ({BEN})\nMerged-by: Ana ({ANA})"
        ),
    });
    assert_eq!(merge.body, expected);
    assert_eq!(story.asked("POST", "/pulls"), 1);
    assert_eq!(story.at_remote("main", "greeting.txt"), "good morning\nworld\n");
    assert_eq!(story.git_in(&story.remote(), &["rev-list", "--count", "main"]), "2");
    story.is_clean();
    story.no_violations();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_gh_the_work_is_pushed_and_waits_until_gh_is_installed() {
    let Some(mut story) = story().await else { return };
    let tools = story.folder.path().join("tools");
    std::fs::create_dir(&tools).expect("made");
    for name in ["git", "sh", "bash", "head"] {
        let Some(program) = find(name) else { return };
        symlink(program, tools.join(name)).expect("linked");
    }
    story.world.env.push(("PATH".to_owned(), tools.to_string_lossy().into_owned()));
    let _daemon = story.start();
    let ts = story.approved().await;
    let card = story.failed(&ts, "`gh`, GitHub's command line, is not installed.", "https://cli.github.com").await;
    story.is_done(&ts).await;
    assert_eq!(story.at_remote(BRANCH, "greeting.txt"), "good morning\nworld\n");
    // A talk in between takes nothing away.
    story.slack.say(BEN, SHOP, "what is that?", Some(&ts));
    story.says(&ts, "I heard").await;
    symlink(find("gh").expect("it was there"), tools.join("gh")).expect("linked");
    story.retry(&card);
    story.card(&ts, "pr_merge").await;
    story.merges(&ts).await;
    story.is_clean();
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_and_a_refused_login_are_told_until_one_is_good() {
    let Some(mut story) = story().await else { return };
    story.world.env.retain(|(name, _)| name != "GH_TOKEN");
    let (_, config) = story.env.iter().find(|(name, _)| name == "GH_CONFIG_DIR").expect("set").clone();
    let log_in = |token: &str| {
        let hosts = format!("github.com:\n    user: octo\n    oauth_token: {token}\n    git_protocol: https\n");
        std::fs::write(Path::new(&config).join("hosts.yml"), hosts).expect("written");
    };
    let _daemon = story.start();
    let ts = story.approved().await;
    let (what, step) = ("`gh` is not logged in to github.com.", "gh auth login --hostname github.com");
    let without = story.failed(&ts, what, step).await;
    assert_eq!(story.github.requests(), [], "nothing is asked without a login");
    log_in("expired");
    story.retry(&without);
    let other = |message: &Message| {
        message.ts != without.ts && blocks_text(message).contains(what) && button(message, "run_retry").is_some()
    };
    let refused = story.reply(&ts, "the second failure", other).await;
    assert!(blocks_text(&refused).contains(step), "{refused:?}");
    log_in("fake-token");
    story.retry(&refused);
    story.card(&ts, "pr_merge").await;
    let reports = story.thread_texts(&ts).into_iter().filter(|text| text.contains("Done: greeting.txt")).count();
    assert_eq!(reports, 2, "the report is said once, and stands on the card");
    assert_eq!(story.github.pull(1)["title"], "Say good morning");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_that_refuses_a_merge_is_told_and_the_thread_stays_open() {
    type Case = (fn(&mut Rules), &'static str, &'static str);
    let cases: [Case; 4] = [
        (|rules| rules.review_missing = true, "a review is missing", "Ask a reviewer for it, then say `merge` again."),
        (|rules| rules.checks_pending = true, "a required check has not passed", "Wait until the checks are green"),
        (|rules| rules.no_squash = true, "does not allow squash merges", "Allow them in its settings"),
        (|rules| rules.merge_queue = true, "merged by a merge queue", "“Merge when ready” on GitHub"),
    ];
    let Some(story) = story().await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    story.card(&ts, "pr_merge").await;
    for (rule, what, step) in cases {
        story.github.set(|rules| {
            *rules = Rules::default();
            rule(rules);
        });
        story.refused_to_merge(&ts, what, step).await;
    }
    story.github.set(|rules| *rules = Rules::default());
    story.github.edit(1, &json!({ "draft": true }));
    story.refused_to_merge(&ts, "Pull request #1 is a draft.", "“Ready for review” on GitHub").await;
    assert_eq!(story.at_remote("main", "greeting.txt"), "hello\nworld\n");
    story.github.edit(1, &json!({ "draft": false }));
    story.merges(&ts).await;
    story.is_clean();
}

/// Edits as the plan says; sent out again, merges the base and resolves the conflict.
fn peaceful() -> impl Fn(&ScriptedRequest) -> ScriptedReply + Send {
    let first = careless("true");
    move |request| {
        if !request.user_text().contains("approved a further plan") {
            return first(request);
        }
        if spoken_to(request) {
            return ScriptedReply::text("").call("Bash", &json!({ "command": "git merge --no-commit origin/main" }));
        }
        let both = json!({ "file_path": "greeting.txt", "content": "hola and good morning\nworld\n" });
        match last_calls(request).as_slice() {
            ["Bash"] => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })),
            ["Read"] => ScriptedReply::text("").call("Write", &both),
            ["Write"] => ScriptedReply::text("")
                .call("Bash", &json!({ "command": "git add greeting.txt" }))
                .call("GitCommit", &json!({ "message": "Merge main" })),
            _ => ScriptedReply::text("Both greetings are in."),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_told_and_resolved_in_the_thread() {
    let Some(story) = story_of(peaceful()).await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    story.card(&ts, "pr_merge").await;
    std::fs::write(story.checkout().join("greeting.txt"), "hola\nworld\n").expect("written");
    story.git(&["commit", "-qam", "Say hola"]);
    story.git(&["push", "-q", "origin", "main"]);
    story.refused_to_merge(&ts, "Pull request #1 conflicts with `main`.", "then say `merge` again.").await;
    assert_eq!(story.asked("PUT", "/merge"), 0, "a merge that cannot be is not tried");
    story.slack.say(BEN, SHOP, "merge main, so that `greeting.txt` may say \"hola and good morning\"", Some(&ts));
    story.press(&ts, "plan_approve").await;
    story.says(&ts, "Both greetings are in.").await;
    story.merges(&ts).await;
    assert_eq!(story.at_remote("main", "greeting.txt"), "hola and good morning\nworld\n");
    assert_eq!(story.git_in(&story.remote(), &["rev-list", "--count", "main"]), "3", "one commit more");
    story.is_clean();
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_others_are_never_merged_unseen() {
    let Some(story) = story().await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    story.card(&ts, "pr_merge").await;
    let remote = story.remote();
    let tree = format!("{BRANCH}^{{tree}}");
    let more = story.git_in(&remote, &["commit-tree", "-p", BRANCH, "-m", "Sneak in", &tree]);
    story.git_in(&remote, &["update-ref", &format!("refs/heads/{BRANCH}"), &more]);
    story.refused_to_merge(&ts, "someone pushed to it", "merge it on GitHub.").await;
    assert_eq!(story.asked("PUT", "/merge"), 0);
    // The advice holds.
    story.git_in(&remote, &["update-ref", "refs/heads/main", &more]);
    story.github.edit(1, &json!({ "state": "closed", "merged": true, "merge_commit_sha": more }));
    story.merges(&ts).await;
    story.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_was_closed_on_github_is_told_and_can_come_back() {
    let Some(story) = story().await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    story.card(&ts, "pr_merge").await;
    story.github.edit(1, &json!({ "state": "closed" }));
    story.refused_to_merge(&ts, "Pull request #1 was closed on GitHub.", "Open it again there").await;
    // Further work finds no open pull request and opens its own.
    story.slack.say(BEN, SHOP, "now let `other.txt` say \"another\"", Some(&ts));
    story.press(&ts, "plan_approve").await;
    let second = story.reply(&ts, "the second pull request", |message| {
        blocks_text(message).contains("/pull/2") && button(message, "pr_merge").is_some()
    });
    second.await;
    let first = story.says(&ts, "greeting.txt says good morning. Pull request #1").await;
    assert!(!first.text.contains("/pull/2"), "an old card stays about its own pull request: {}", first.text);
    story.merges(&ts).await;
    assert_eq!(story.asked("PUT", "/pulls/2/merge"), 1);
    story.is_clean();
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_do_nothing_twice() {
    let Some(story) = story().await else { return };
    story.github.trouble(trouble("POST", "/pulls", 502, true));
    story.github.trouble(trouble("PUT", "/merge", 502, true));
    let _daemon = story.start();
    let ts = story.approved().await;
    story.card(&ts, "pr_merge").await;
    assert_eq!((story.asked("POST", "/pulls"), story.github.pull(2)), (1, json!(null)));
    story.merges(&ts).await;
    assert_eq!(story.asked("PUT", "/merge"), 1);
    assert_eq!(story.git_in(&story.remote(), &["rev-list", "--count", "main"]), "2");
    story.is_clean();
    assert!(story.thread_texts(&ts).iter().all(|text| !text.contains("I stopped")), "nobody need know");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_deleted_without_an_answer_is_no_leftover() {
    let Some(story) = story_of(careless("true")).await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    story.card(&ts, "pr_merge").await;
    // It is gone by another hand before git says that it shall go, which git then calls a failure.
    let script = format!("unset GIT_QUARANTINE_PATH; git update-ref -d refs/heads/{BRANCH}");
    story.hook("pre-receive", &script);
    story.merges(&ts).await;
    let end = story.says(&ts, "Merged as").await;
    assert!(end.text.contains("branch and worktree removed"), "{}", end.text);
    story.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_asked_again_and_told_when_it_stays() {
    let Some(story) = story_of(careless("true")).await else { return };
    for _ in 0..4 {
        story.github.trouble(trouble("POST", "/pulls", 503, false));
    }
    let _daemon = story.start();
    let ts = story.approved().await;
    let what = "Could not open the pull request: GitHub has trouble of its own (HTTP 503).";
    let card = story.failed(&ts, what, "githubstatus").await;
    story.retry(&card);
    story.card(&ts, "pr_merge").await;
    assert_eq!((story.asked("POST", "/pulls"), story.github.pull(2)), (5, json!(null)));
    story.github.trouble(trouble("PUT", "/merge", 502, false));
    story.merges(&ts).await;
    assert_eq!(story.asked("PUT", "/merge"), 2);
}

/// Edits the greeting as the plan says, writes `notes.txt`, runs the command, and ends without committing anything.
pub(super) fn careless(command: &'static str) -> impl Fn(&ScriptedRequest) -> ScriptedReply + Send {
    move |request| {
        if spoken_to(request) {
            return ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" }));
        }
        let edit = json!({ "file_path": "greeting.txt", "old_string": "hello", "new_string": "good morning" });
        match last_calls(request).as_slice() {
            ["Read"] => ScriptedReply::text("")
                .call("Edit", &edit)
                .call("Write", &json!({ "file_path": "notes.txt", "content": "noted\n" })),
            ["Edit", ..] => ScriptedReply::text("").call("Bash", &json!({ "command": command })),
            _ => ScriptedReply::text("The greeting is friendlier now."),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_coder_leaves_is_brought_to_a_pull_request_without_what_commands_made() {
    let Some(story) = story_of(careless("echo more >>other.txt; echo x >made.txt")).await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    let (card, _) = story.card(&ts, "pr_merge").await;
    let text = blocks_text(&card);
    for part in ["The greeting is friendlier now.", "#1 Say good morning", "3 files", "Left out", "made.txt"] {
        assert!(text.contains(part), "{part} is not on the card: {text}");
    }
    let files = story.git_in(&story.remote(), &["diff", "--name-only", "main", BRANCH]);
    assert_eq!(files, "greeting.txt\nnotes.txt\nother.txt");
    let pull = story.github.pull(1);
    let body = pull["body"].as_str().unwrap_or_default();
    assert_eq!(pull["title"], "Say good morning");
    assert!(body.starts_with("The greeting is friendlier now.\n\n<!-- codebutler: evidence -->"), "{body}");
    assert!(body.contains("<!-- codebutler: end of evidence -->\n\n---\n[Slack thread]("), "{body}");
    story.merges(&ts).await;
    story.is_clean();
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_changes_make_no_pull_request_and_the_report_says_so() {
    let idle = |_: &ScriptedRequest| ScriptedReply::text("The file says it already.");
    let Some(story) = story_of(idle).await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    let card = story.says(&ts, "Nothing was changed, so there is no pull request.").await;
    assert!(card.text.contains("The file says it already.") && button(&card, "pr_merge").is_none(), "{card:?}");
    let merge = story.slack.say(ANA, SHOP, "merge", Some(&ts));
    story.says(&ts, "There is no pull request to merge in this thread.").await;
    story.is_done(&merge).await;
    assert_eq!((story.remote_branches(), story.asked("POST", "/pulls")), (vec!["main".to_owned()], 0));
    story.slack.say(BEN, SHOP, "really?", Some(&ts));
    story.says(&ts, "I heard").await;
    story.no_violations();
}

/// The number of the shell that the Coder's command runs in, once it runs.
async fn shell_of(story: &Story) -> rustix::process::Pid {
    let file = story.worktree().join("shell.pid");
    let number = || {
        let text = std::fs::read_to_string(&file).ok()?;
        rustix::process::Pid::from_raw(text.strip_suffix('\n')?.parse().ok()?)
    };
    story.until("the command", || number().is_some()).await;
    number().expect("just read")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_mid_command_keeps_the_work_as_a_draft_and_retry_finishes_it() {
    let Some(story) = story_of(careless("echo $$ >shell.pid; sleep 600")).await else { return };
    let _daemon = story.start();
    let ts = story.approved().await;
    let shell = shell_of(&story).await;
    // The draft cannot be opened at first: the stopped run is not forgotten over that.
    for _ in 0..4 {
        story.github.trouble(trouble("POST", "/pulls", 503, false));
    }
    let stop = story.slack.say(BEN, SHOP, "!stop", Some(&ts));
    story.says(&ts, "Stopped by Ben").await;
    story.until("the end of the command", || rustix::process::test_kill_process(shell).is_err()).await;
    story.is_done(&stop).await;
    let card = story.failed(&ts, "trouble of its own (HTTP 503)", "githubstatus").await;
    story.retry(&card);

    let unfinished = story.says(&ts, "Ben stopped the Coder before it was done").await;
    assert!(button(&unfinished, "pr_merge").is_none() && button(&unfinished, "run_retry").is_some());
    let pull = story.github.pull(1);
    let body = pull["body"].as_str().unwrap_or_default();
    assert!(body.starts_with("> **Draft:** Ben stopped the Coder before it was done"), "{body}");
    assert_eq!(pull["draft"], true);
    let kept = story.at_remote(BRANCH, "greeting.txt") + &story.at_remote(BRANCH, "notes.txt");
    assert_eq!(kept, "good morning\nworld\nnoted\n");

    story.slack.say(BEN, SHOP, "!retry", Some(&ts));
    story.card(&ts, "pr_merge").await;
    let pull = story.github.pull(1);
    let body = pull["body"].as_str().unwrap_or_default();
    assert!(body.starts_with("The greeting is friendlier now.\n\n<!-- codebutler: evidence -->"), "{body}");
    assert_eq!((&pull["draft"], story.github.pull(2)), (&json!(false), json!(null)));
    story.merges(&ts).await;
    story.is_clean();
    story.no_violations();
}
