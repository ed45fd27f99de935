//! Pull requests that people change outside the chat, and remotes that do not do as one wishes: the thread notices,
//! says so once, and there is a way on.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::github::{BRANCH, Story, WISH, careless, story, story_of, trouble};
use super::script::{last_calls, spoken_to};
use super::support::fake_slack::{ANA, BEN, Message, SHOP};
use super::world::{Daemon, World, blocks_text, button};

/// The same with a watch that looks all the time.
async fn watched() -> Option<Story> {
    Some(looking(story().await?))
}

fn looking(mut story: Story) -> Story {
    story.world.global["timing"]["pollMs"] = json!(50);
    story
}

impl Story {
    /// Up to the card of the open pull request.
    async fn open_pull(&self) -> String {
        let ts = self.approved().await;
        self.card(&ts, "pr_merge").await;
        ts
    }

    /// How often the bot said this in the thread.
    fn times(&self, ts: &str, text: &str) -> usize {
        self.thread_texts(ts).iter().filter(|said| said.contains(text)).count()
    }

    /// Waits until GitHub was looked at twice more: whatever is to be noticed is noticed then.
    async fn looked_at(&self) {
        let before = self.asked("POST", "/graphql");
        self.until("two more looks", || self.asked("POST", "/graphql") > before + 1).await;
    }

    /// Someone makes a commit on the thread's branch on the remote, that changes this file.
    fn push_as_someone(&self, file: &str, content: &str) -> String {
        let folder = self.folder.path().join("someone");
        if !folder.exists() {
            self.git_in(self.folder.path(), &["clone", "-q", "remote.git", "someone"]);
        }
        self.git_in(&folder, &["fetch", "-q"]);
        self.git_in(&folder, &["checkout", "-q", "-B", "theirs", &format!("origin/{BRANCH}")]);
        std::fs::write(folder.join(file), content).expect("written");
        self.git_in(&folder, &["add", "."]);
        self.git_in(&folder, &["commit", "-qm", "Theirs"]);
        self.git_in(&folder, &["push", "-q", "origin", &format!("HEAD:{BRANCH}")]);
        self.git_in(&folder, &["rev-parse", "HEAD"])
    }

    /// Lets something happen on GitHub, while we run or while we are down; gives the daemon that runs afterwards.
    fn meanwhile(&self, daemon: Daemon, down: bool, happens: impl FnOnce(&Self)) -> Daemon {
        if !down {
            happens(self);
            return daemon;
        }
        let (status, log) = daemon.stop();
        assert!(status.success(), "{log}");
        happens(self);
        self.start()
    }

    /// Kills the daemon and starts it again: what was said is not said again.
    async fn said_once(&self, daemon: Daemon, ts: &str, text: &str) -> Daemon {
        daemon.kill();
        let daemon = self.start();
        self.looked_at().await;
        assert_eq!(self.times(ts, text), 1, "{text}: {:#?}", self.thread_texts(ts));
        daemon
    }
}

/// A merge whose answer is cut, and everything after it; gives the merge word's message.
async fn merge_in_doubt(story: &Story, ts: &str, works: bool) -> String {
    story.github.cut_from("PUT", "/merge", works);
    let merge = story.slack.say(ANA, SHOP, "merge", Some(ts));
    let told = story.says(ts, "It is not known whether pull request #1 was merged").await;
    assert!(told.text.contains("`!retry`") && told.text.contains("nothing is merged twice"), "{}", told.text);
    story.is_done(&merge).await;
    merge
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_whose_answer_stays_lost_is_not_called_refused_and_is_found_out() {
    let Some(story) = watched().await else { return };
    let daemon = story.start();
    let ts = story.open_pull().await;
    merge_in_doubt(&story, &ts, true).await;
    assert_eq!(story.times(&ts, "Merged as"), 0, "nobody could know");
    daemon.kill();
    let _daemon = story.start();
    story.github.come_back();
    let end = story.says(&ts, "Merged as").await;
    assert!(end.text.contains("branch and worktree removed."), "{}", end.text);
    story.until("the end", || story.card_has_no_button(&ts)).await;
    assert_eq!((story.times(&ts, "Not merged"), story.times(&ts, "was merged on GitHub")), (0, 0));
    assert_eq!((story.asked("PUT", "/merge"), story.github.doubles()), (1, vec![]));
    story.is_clean();
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_did_not_happen_unknown_to_all_is_done_by_a_retry() {
    let Some(story) = watched().await else { return };
    let _daemon = story.start();
    let ts = story.open_pull().await;
    merge_in_doubt(&story, &ts, false).await;
    story.github.come_back();
    story.looked_at().await;
    assert_eq!(story.times(&ts, "Merged as"), 0);
    let again = story.slack.say(ANA, SHOP, "!retry", Some(&ts));
    story.says(&ts, "Merged as").await;
    story.is_done(&again).await;
    assert_eq!((story.times(&ts, "Not merged"), story.asked("PUT", "/merge")), (0, 2));
    assert_eq!(
        (story.github.doubles(), story.git_in(&story.remote(), &["rev-list", "--count", "main"])),
        (vec![], "2".into())
    );
    story.is_clean();
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_merged_on_github_ends_the_thread_and_is_told_once() {
    for down in [false, true] {
        let Some(story) = watched().await else { return };
        let daemon = story.start();
        let ts = story.open_pull().await;
        let daemon = story.meanwhile(daemon, down, |story| {
            let head = story.git_in(&story.remote(), &["rev-parse", BRANCH]);
            story.git_in(&story.remote(), &["update-ref", "refs/heads/main", &head]);
            let merged = json!({ "state": "closed", "merged": true, "merge_commit_sha": head, "merged_by": "ana" });
            story.github.edit(1, &merged);
        });
        let text = "Pull request #1 was merged on GitHub by ana as `";
        let end = story.says(&ts, text).await;
        assert!(end.text.contains("branch and worktree removed."), "{}", end.text);
        story.until("the end", || story.card_has_no_button(&ts)).await;
        story.is_clean();
        daemon.kill();
        let _daemon = story.start();
        story.slack.say(BEN, SHOP, "is it in?", Some(&ts));
        story.says(&ts, "I heard").await;
        assert_eq!((story.times(&ts, text), story.asked("PUT", "/merge")), (1, 0));
        let looks = story.asked("POST", "/graphql");
        let merge = story.slack.say(ANA, SHOP, "merge", Some(&ts));
        story.is_done(&merge).await;
        assert_eq!(story.asked("POST", "/graphql"), looks, "nothing is open, nothing is looked at");
        story.no_violations();
    }
}

impl Story {
    /// How many rows of the inbox came from the forge.
    fn rows_of_the_forge(&self) -> i64 {
        let store = rusqlite::Connection::open(self.checkout().join(".codebutler/store.db")).expect("opens");
        let sql = "SELECT count(*) FROM messages WHERE from_user = 'forge'";
        store.query_row(sql, [], |row| row.get(0)).expect("counted")
    }

    /// Whether no card of the thread can be merged by a press.
    fn card_has_no_button(&self, ts: &str) -> bool {
        self.thread_messages(ts).iter().all(|message| button(message, "pr_merge").is_none())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_closed_on_github_is_told_and_comes_back() {
    for down in [false, true] {
        let Some(story) = watched().await else { return };
        let daemon = story.start();
        let ts = story.open_pull().await;
        let daemon = story.meanwhile(daemon, down, |story| {
            story.github.edit(1, &json!({ "state": "closed", "actor": "ana" }));
        });
        let closed = "Pull request #1 was closed on GitHub by ana, without a merge.";
        let told = story.says(&ts, closed).await;
        assert!(told.text.contains(&format!("kept on `{BRANCH}`")) && told.text.contains("`!retry`"), "{}", told.text);
        story.until("the buttons go", || story.card_has_no_button(&ts)).await;
        let daemon = story.said_once(daemon, &ts, closed).await;

        let daemon = story.meanwhile(daemon, down, |story| {
            story.github.edit(1, &json!({ "state": "open", "actor": "ben" }));
        });
        let opened = "Pull request #1 was opened again by ben.";
        story.says(&ts, opened).await;
        story.card(&ts, "pr_merge").await;
        let _daemon = story.said_once(daemon, &ts, opened).await;
        // The same once more is something new.
        story.github.edit(1, &json!({ "state": "closed", "actor": "ana" }));
        story.until("the second close", || story.times(&ts, closed) == 2).await;
        story.looked_at().await;
        assert_eq!(story.rows_of_the_forge(), 3, "what is known is not stored again at every look");
        let retry = story.slack.say(BEN, SHOP, "!retry", Some(&ts));
        story.says(&ts, "/pull/2").await;
        story.is_done(&retry).await;
        story.card(&ts, "pr_merge").await;
        story.merges(&ts).await;
        assert_eq!((story.asked("PUT", "/pulls/2/merge"), story.github.doubles()), (1, vec![]));
        story.is_clean();
        story.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_one_can_be_cleaned_up() {
    let Some(story) = watched().await else { return };
    let _daemon = story.start();
    let ts = story.open_pull().await;
    story.github.edit(1, &json!({ "state": "closed", "actor": "ana" }));
    story.says(&ts, "was closed on GitHub by ana").await;
    story.slack.say(BEN, SHOP, "!close", Some(&ts));
    story.says(&ts, "Closed without merging").await;
    assert!(!story.worktree().exists(), "the worktree is gone");
    assert_eq!(story.remote_branches(), [BRANCH, "main"], "the only copy of unmerged work stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_deleted_on_github_is_told_and_pushed_again() {
    for down in [false, true] {
        let Some(story) = watched().await else { return };
        let daemon = story.start();
        let ts = story.open_pull().await;
        let daemon = story.meanwhile(daemon, down, |story| {
            story.git_in(&story.remote(), &["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
        });
        let gone = "Pull request #1 was closed on GitHub and its branch deleted, without a merge.";
        story.says(&ts, gone).await;
        assert!(story.worktree().exists(), "local work stays");
        let _daemon = story.said_once(daemon, &ts, gone).await;
        story.slack.say(BEN, SHOP, "!retry", Some(&ts));
        story.says(&ts, "/pull/2").await;
        assert_eq!(story.at_remote(BRANCH, "greeting.txt"), "good morning\nworld\n");
        story.card(&ts, "pr_merge").await;
        story.merges(&ts).await;
        story.is_clean();
        story.no_violations();
    }
}

/// Edits as the plan says; told of commits of others, merges them as it was told.
fn obliging() -> impl Fn(&ScriptedRequest) -> ScriptedReply + Send {
    let plain = careless("true");
    move |request| {
        let told = request.user_text();
        let merge = told.rfind("git merge --no-commit ").map(|at| told[at..].split('`').next().unwrap_or_default());
        let Some(merge) = merge else { return plain(request) };
        if spoken_to(request) {
            return ScriptedReply::text("").call("Bash", &json!({ "command": merge }));
        }
        match last_calls(request).as_slice() {
            ["Bash"] => ScriptedReply::text("").call("GitCommit", &json!({ "message": "Take over theirs" })),
            _ => ScriptedReply::text("Theirs is in."),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_others_are_told_and_taken_over_by_the_coder() {
    for down in [false, true] {
        let Some(story) = story_of(obliging()).await else { return };
        let story = looking(story);
        let daemon = story.start();
        let ts = story.open_pull().await;
        let mut theirs = String::new();
        let daemon = story.meanwhile(daemon, down, |story| theirs = story.push_as_someone("theirs.txt", "theirs\n"));
        let text = format!("Someone else pushed to `{BRANCH}`: its head is `{}`, made by Ada", &theirs[..7]);
        story.says(&ts, &text).await;
        let _daemon = story.said_once(daemon, &ts, &text).await;
        story.refused_to_merge(&ts, "someone pushed to it", "`!retry` lets the Coder").await;
        assert_eq!(story.asked("PUT", "/merge"), 0);
        let retry = story.slack.say(BEN, SHOP, "!retry", Some(&ts));
        story.says(&ts, "Theirs is in.").await;
        story.is_done(&retry).await;
        story.looked_at().await;
        assert_eq!(story.times(&ts, "Someone else pushed"), 1, "our own push is no news");
        story.merges(&ts).await;
        let main = ["greeting.txt", "theirs.txt"].map(|file| story.at_remote("main", file));
        assert_eq!(main, ["good morning\nworld\n", "theirs\n"]);
        assert_eq!(story.github.doubles(), Vec::<String>::new());
        story.is_clean();
        story.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused_for_commits_of_others_goes_on_without_any_watch() {
    let Some(story) = story_of(obliging()).await else { return };
    let _daemon = story.start();
    // Before there is a pull request nobody watches: the branch is pushed, and GitHub in trouble.
    for _ in 0..4 {
        story.github.trouble(trouble("POST", "/pulls", 503, false));
    }
    let ts = story.approved().await;
    story.failed(&ts, "trouble of its own (HTTP 503)", "githubstatus").await;
    let theirs = story.push_as_someone("theirs.txt", "theirs\n");
    std::fs::write(story.worktree().join("other.txt"), "changed by hand\n").expect("written");
    story.slack.say(BEN, SHOP, "!retry", Some(&ts));
    story.says(&ts, &format!("its head is `{}`", &theirs[..7])).await;
    story.failed(&ts, "someone else pushed to it", "`!retry` lets the Coder do that").await;
    story.slack.say(BEN, SHOP, "!retry", Some(&ts));
    story.card(&ts, "pr_merge").await;
    story.merges(&ts).await;
    let files = ["greeting.txt", "theirs.txt", "other.txt"].map(|file| story.at_remote("main", file));
    assert_eq!(files, ["good morning\nworld\n", "theirs\n", "changed by hand\n"]);
    story.is_clean();
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_of_our_own_is_no_news_even_when_it_is_seen_before_it_ends() {
    let Some(story) = watched().await else { return };
    let _daemon = story.start();
    let ts = story.open_pull().await;
    // The remote has the commit, and the push hangs.
    story.hook("post-receive", "touch hangs; until [ -e go ]; do sleep 0.02; done");
    story.slack.say(BEN, SHOP, "now let `other.txt` say \"another\"", Some(&ts));
    story.press(&ts, "plan_approve").await;
    story.until("the push", || story.remote().join("hangs").exists()).await;
    story.looked_at().await;
    std::fs::write(story.remote().join("go"), "").expect("written");
    story.says(&ts, "Done: other.txt").await;
    story.looked_at().await;
    assert_eq!(story.times(&ts, "Someone else"), 0, "{:#?}", story.thread_texts(&ts));
    story.merges(&ts).await;
    story.is_clean();
}

/// Edits as the plan says; at a further plan, changes a file and comes to no end.
fn endless() -> impl Fn(&ScriptedRequest) -> ScriptedReply + Send {
    let plain = careless("true");
    move |request| {
        if !request.user_text().contains("approved a further plan") {
            return plain(request);
        }
        let command = "echo not finished >greeting.txt; touch begun; sleep 600";
        ScriptedReply::text("").call("Bash", &json!({ "command": command }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_on_github_while_the_coder_works_keeps_what_it_did() {
    let Some(story) = story_of(endless()).await else { return };
    let story = looking(story);
    let _daemon = story.start();
    let ts = story.open_pull().await;
    story.slack.say(BEN, SHOP, "now let `other.txt` say \"another\"", Some(&ts));
    story.press(&ts, "plan_approve").await;
    story.until("the second run", || story.worktree().join("begun").exists()).await;
    let head = story.git_in(&story.remote(), &["rev-parse", BRANCH]);
    let merged = json!({ "state": "closed", "merged": true, "merge_commit_sha": head, "merged_by": "ana" });
    story.github.edit(1, &merged);
    let end = story.says(&ts, "was merged on GitHub by ana").await;
    for part in ["the Coder, who was at work, was stopped", "was kept: it has commits that are nowhere else"] {
        assert!(end.text.contains(part), "{part}: {}", end.text);
    }
    assert_eq!(story.git(&["show", &format!("{BRANCH}:greeting.txt")]), "not finished");
    assert!(!story.worktree().exists(), "the worktree is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_come_after_the_merge_outlive_a_daemon_that_was_killed_before_its_clean_up() {
    let Some(story) = watched().await else { return };
    let daemon = story.start();
    let ts = story.open_pull().await;
    // The clean-up gets as far as the remote, which does not let the branch go before somebody has pushed to it.
    let waits = "while read _ new name; do case $new in 00000000*) touch asked; until [ -e go ]; do sleep 0.02; done;; esac; done";
    story.hook("pre-receive", waits);
    story.slack.say(ANA, SHOP, "merge", Some(&ts));
    story.until("the clean-up", || story.remote().join("asked").exists()).await;
    daemon.kill();
    let theirs = story.push_as_someone("theirs.txt", "theirs\n");
    std::fs::write(story.remote().join("go"), "").expect("written");
    let _daemon = story.start();
    let end = story.says(&ts, "Merged as").await;
    let told = format!("branch `{BRANCH}` on the remote: it has `{}`, which was not merged.", &theirs[..7]);
    assert!(end.text.contains(&told) && end.text.contains("delete it when nobody needs it"), "{}", end.text);
    assert_eq!(story.git_in(&story.remote(), &["rev-parse", BRANCH]), theirs);
    assert_eq!(story.at_remote("main", "greeting.txt"), "good morning\nworld\n");
    assert!(!story.worktree().exists(), "the worktree is gone");
    story.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_branch_that_git_cannot_reach_is_kept_and_named() {
    let Some(story) = watched().await else { return };
    let _daemon = story.start();
    let ts = story.open_pull().await;
    let head = story.git_in(&story.remote(), &["rev-parse", BRANCH]);
    story.git_in(&story.remote(), &["update-ref", "refs/heads/main", &head]);
    // GitHub answers, and git does not get through: its ssh key is locked, say.
    let settings = story.home().join(".gitconfig");
    let rewritten = std::fs::read_to_string(&settings).expect("read").replace("remote.git", "nowhere.git");
    std::fs::write(&settings, rewritten).expect("written");
    let merged = json!({ "state": "closed", "merged": true, "merge_commit_sha": head, "merged_by": "ana" });
    story.github.edit(1, &merged);
    let end = story.says(&ts, "was merged on GitHub by ana").await;
    for part in ["on the remote: it was kept", "Look at it there"] {
        assert!(end.text.contains(part), "{part}: {}", end.text);
    }
    assert_eq!(story.git_in(&story.remote(), &["rev-parse", BRANCH]), head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_moved_without_a_conflict_keeps_nobody_from_merging() {
    let Some(story) = watched().await else { return };
    let _daemon = story.start();
    let ts = story.open_pull().await;
    std::fs::write(story.checkout().join("new.txt"), "new\n").expect("written");
    story.git(&["add", "new.txt"]);
    story.git(&["commit", "-qm", "Add new"]);
    story.git(&["push", "-q", "origin", "main"]);
    story.merges(&ts).await;
    let main = ["greeting.txt", "new.txt"].map(|file| story.at_remote("main", file));
    assert_eq!(main, ["good morning\nworld\n", "new\n"]);
    story.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_is_deleted_between_push_and_pull_request_is_pushed_again() {
    let Some(story) = story_of(careless("true")).await else { return };
    story.hook("post-receive", &format!("git update-ref -d refs/heads/{BRANCH}"));
    let _daemon = story.start();
    let ts = story.approved().await;
    let card = story.failed(&ts, &format!("The branch `{BRANCH}` is not on GitHub"), "pushes it again").await;
    std::fs::remove_file(story.remote().join("hooks/post-receive")).expect("removed");
    story.retry(&card);
    story.card(&ts, "pr_merge").await;
    story.merges(&ts).await;
    assert_eq!(story.github.doubles(), Vec::<String>::new());
    story.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_that_is_away_for_a_while_is_told_and_reached_later() {
    let Some(story) = story_of(careless("true")).await else { return };
    let daemon = story.start();
    let ts = story.slack.say(BEN, SHOP, WISH, None);
    story.card(&ts, "plan_approve").await;
    let away = story.folder.path().join("away.git");
    std::fs::rename(story.remote(), &away).expect("moved");
    story.press(&ts, "plan_approve").await;
    let card = story.failed(&ts, "the remote repository is not there", "`!retry`").await;
    // Also over a restart.
    daemon.kill();
    let _daemon = story.start();
    std::fs::rename(&away, story.remote()).expect("moved");
    story.retry(&card);
    let (card, _) = story.card(&ts, "pr_merge").await;
    assert!(blocks_text(&card).contains("/pull/1"));
    story.merges(&ts).await;
    assert_eq!(story.asked("POST", "/pulls"), 1);
    story.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_costs_one_call_whatever_is_open_and_none_when_nothing_is() {
    let Some(story) = watched().await else { return };
    let _daemon = story.start();
    let idle = story.slack.say(BEN, SHOP, "hello?", None);
    story.says(&idle, "I heard").await;
    assert_eq!(story.github.requests(), [], "nothing is open");
    let first = story.open_pull().await;
    let second = story.slack.say(BEN, SHOP, "please let `other.txt` say \"another\"", None);
    story.press(&second, "plan_approve").await;
    story.card(&second, "pr_merge").await;
    story.looked_at().await;
    let before = story.github.requests().len();
    story.looked_at().await;
    let asked = story.github.requests().split_off(before);
    assert!(asked.iter().all(|request| request.path == "/graphql"), "{asked:#?}");
    let last = asked.last().expect("looked").body["query"].to_string();
    assert!(last.contains("p1: pullRequest(") && last.contains("p2: pullRequest("), "{last}");
    assert_eq!(story.times(&first, "Pull request #1 was") + story.times(&second, "Pull request #2 was"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_github_a_merge_by_hand_ends_the_thread_too() {
    for remote in [true, false] {
        let mut world = World::new().await;
        world.global["timing"]["pollMs"] = json!(50);
        if !remote {
            world.git(&["remote", "remove", "origin"]);
        }
        let _daemon = world.start();
        let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
        world.press(&ts, "plan_approve").await;
        world.card(&ts, "pr_merge").await;
        world.git(&["merge", "-q", "--no-ff", "-m", "Merge it", "codebutler/say-hi"]);
        if remote {
            world.git(&["push", "-q", "origin", "main"]);
        }
        let end = world.says(&ts, "Pull request #1 was merged outside this thread as").await;
        assert!(end.text.contains("branch and worktree removed."), "{}", end.text);
        assert_eq!(world.git(&["branch", "--list", "codebutler/*"]), "");
        assert!(!world.checkout().join(".codebutler/branches/say-hi").exists());
        if remote {
            assert_eq!(world.remote_branches(), ["main"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_github_a_lost_branch_is_told_and_pushed_again() {
    let mut world = World::new().await;
    world.global["timing"]["pollMs"] = json!(50);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    world.git_in(&world.remote(), &["branch", "-D", "codebutler/say-hi"]);
    world.says(&ts, "was closed outside this thread and its branch deleted, without a merge.").await;
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.until("the branch", || world.at_remote("codebutler/say-hi", "greeting.txt") == "hi\nworld\n").await;
    // Not the first card, which has its button again as soon as the branch is seen, before the work is published.
    let card = |message: &Message| {
        message.metadata["event_payload"]["key"] == "pull/3" && button(message, "pr_merge").is_some()
    };
    world.reply(&ts, "the second card", card).await;
    world.slack.say(ANA, SHOP, "merge", Some(&ts));
    world.says(&ts, "Merged as").await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "hi\nworld\n");
}
