//! The real `gh` against a small GitHub of our own (`tests/support/fake_github.rs`).

#[path = "../../../tests/support/fake_github.rs"]
mod fake_github;
mod unkind;

use super::*;
use crate::forge::UNFINISHED;
use crate::process::{Exit, Program};
use fake_github::{FakeGitHub, REMOTE, Rules, Trouble};

struct Fixture {
    folder: tempfile::TempDir,
    github: FakeGitHub,
    forge: GitHub,
}

/// `None`, with a word about it, where `gh` is not installed.
async fn fixture() -> Option<Fixture> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let gh = Program::new("gh", folder.path()).args(["--version"]).run().await;
    if gh.is_err() {
        assert!(std::env::var_os("CODEBUTLER_TEST_FULL").is_none(), "`gh` is missing");
        println!("skipped: `gh` is not installed");
        return None;
    }
    let script = "git init -q -b main w && cd w && echo one >a.txt && git add . && git commit -qm First && \
        git switch -qc codebutler/work && echo two >a.txt && git commit -qam Change && git clone -q --bare . ../r.git";
    sh(folder.path(), script).await;
    let github = FakeGitHub::start(&folder.path().join("r.git")).await;
    let mut forge = GitHub::detect(REMOTE, folder.path().to_path_buf()).expect("a GitHub remote");
    forge.gh.second = Duration::from_millis(1);
    forge.gh.env = github.env().into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    Some(Fixture { folder, github, forge })
}

async fn sh(folder: &std::path::Path, script: &str) -> String {
    let mut program = Program::new("sh", folder).args(["-ec", script]).env("HOME", folder);
    for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
        program = program.env(name, "owner");
    }
    let finished = program.merged().await.expect("sh runs");
    assert_eq!(finished.exit, Exit::Code(0), "{script}\n{}", finished.stdout.text());
    finished.stdout.text().trim_end().to_owned()
}

impl Fixture {
    async fn run(&self, script: &str) -> String {
        sh(self.folder.path(), script).await
    }

    async fn request(&self) -> MergeRequest {
        MergeRequest {
            number: 1,
            branch: "codebutler/work".to_owned(),
            base: "main".to_owned(),
            head: CommitId::new(self.run("git -C r.git rev-parse codebutler/work").await),
            title: "Do the work (#1)".to_owned(),
            message: "Because.".to_owned(),
        }
    }

    /// Methods and paths of what was asked, from the start.
    fn asked(&self) -> Vec<String> {
        let line = |request: fake_github::Request| {
            let path = request.path.split('?').next().unwrap_or_default().replace("/repos/octo/demo/", "");
            format!("{} {path}", request.method)
        };
        self.github.requests().into_iter().map(line).collect()
    }
}

fn new(draft: bool) -> NewPullRequest {
    NewPullRequest {
        branch: "codebutler/work".to_owned(),
        base: "main".to_owned(),
        title: "Do the “work”".to_owned(),
        body: "A body.\n\n- with @mentions & <html>".to_owned(),
        evidence: None,
        draft,
    }
}

fn pull(draft: bool) -> PullRequest {
    let url = "https://github.com/octo/demo/pull/1".to_owned();
    PullRequest { number: 1, url, title: "Do the “work”".to_owned(), draft }
}

fn lost(method: &'static str, path: &'static str) -> Trouble {
    Trouble { method, path, status: 502, message: "Bad Gateway", works: true }
}

#[test]
fn remotes_on_github_are_known_in_every_form() {
    let found = |url: &str| parse(url, Some("ghe.test")).map(|(host, owner, name)| format!("{host} {owner}/{name}"));
    for url in [
        "https://github.com/o/r.name",
        "https://github.com/o/r.name.git",
        "https://user:token@GitHub.com:443/o/r.name/",
        "git@github.com:o/r.name.git",
        "github.com:/o/r.name",
        "ssh://git@github.com/o/r.name.git",
        "ssh://git@ssh.github.com:443/o/r.name.git",
        "git://github.com/o/r.name.git",
    ] {
        assert_eq!(found(url).as_deref(), Some("github.com o/r.name"), "{url}");
    }
    assert_eq!(found("https://ghe.test/o/r.git").as_deref(), Some("ghe.test o/r"));
    for url in [
        "https://gitlab.com/o/r.git",
        "https://github.com.evil.test/o/r.git",
        "https://github.com/o",
        "https://github.com/o/r/tree/main",
        "https://github.com/../r",
        "https://github.com/o/r?x=y",
        "/srv/github.com/o/r.git",
        "./github.com:o/r.git",
        "file:///github.com/o/r.git",
        "ext::sh github.com/o/r",
        "",
    ] {
        assert_eq!(found(url), None, "{url}");
    }
}

#[test]
fn names_are_encoded_for_urls() {
    assert_eq!(encode("o:a/b&c b#1?%ü"), "o%3Aa%2Fb%26c%20b%231%3F%25%C3%BC");
}

#[tokio::test]
async fn a_pull_request_is_opened_once_also_when_the_answer_is_lost() {
    let Some(fixture) = fixture().await else { return };
    fixture.github.trouble(lost("POST", "/pulls"));
    assert_eq!(fixture.forge.open(&new(true)).await, Ok(pull(true)));
    assert_eq!(fixture.asked(), ["GET pulls", "POST pulls", "GET pulls"]);
    assert_eq!(fixture.forge.open(&new(true)).await, Ok(pull(true)));
    assert_eq!(fixture.forge.open(&new(false)).await, Ok(pull(false)), "the draft mark goes");
    let shown = fixture.github.pull(1);
    assert_eq!((&shown["body"], &shown["draft"]), (&json!(new(false).body), &json!(false)));
    assert_eq!(fixture.asked().iter().filter(|asked| *asked == "POST pulls").count(), 1);
}

#[tokio::test]
async fn the_text_of_an_unfinished_one_is_replaced_and_that_of_people_is_left() {
    let Some(fixture) = fixture().await else { return };
    let unfinished = NewPullRequest { body: format!("{UNFINISHED} Ana stopped it."), ..new(true) };
    fixture.forge.open(&unfinished).await.expect("opened");
    // An update does the same a second time, so a lost answer costs nothing.
    fixture.github.trouble(lost("PATCH", "/pulls/1"));
    let finished = NewPullRequest { title: "Done".to_owned(), ..new(false) };
    let expected = PullRequest { title: "Done".to_owned(), ..pull(false) };
    assert_eq!(fixture.forge.open(&finished).await, Ok(expected.clone()));
    let shown = fixture.github.pull(1);
    let text = json!([shown["title"], shown["body"], shown["draft"]]);
    assert_eq!(text, json!(["Done", finished.body, false]));
    fixture.github.edit(1, &json!({"body": "In a person's words.", "draft": true}));
    assert_eq!(fixture.forge.open(&new(false)).await, Ok(expected));
    assert_eq!(fixture.github.pull(1)["body"], "In a person's words.");
}

#[tokio::test]
async fn the_fake_serves_git_under_the_same_name() {
    let Some(fixture) = fixture().await else { return };
    let mut program = Program::new("git", fixture.folder.path()).args(["ls-remote", "--symref", REMOTE, "HEAD"]);
    for (name, value) in fixture.github.env() {
        program = program.env(name, value);
    }
    let listing = program.run().await.expect("git runs").stdout.text();
    assert!(listing.starts_with("ref: refs/heads/"), "{listing}");
}

#[tokio::test]
async fn where_drafts_are_not_supported_it_is_opened_without() {
    let Some(fixture) = fixture().await else { return };
    fixture.github.set(|rules| rules.no_drafts = true);
    assert_eq!(fixture.forge.open(&new(true)).await, Ok(pull(false)));
}

#[tokio::test]
async fn a_branch_without_commits_of_its_own_is_told() {
    let Some(fixture) = fixture().await else { return };
    fixture.run("git -C r.git branch -f codebutler/work main").await;
    let error = fixture.forge.open(&new(false)).await.expect_err("nothing to merge");
    assert_eq!(error.what, "The branch `codebutler/work` has no commits that `main` has not.");
}

#[tokio::test]
async fn the_status_has_reviews_and_checks() {
    let Some(fixture) = fixture().await else { return };
    fixture.forge.open(&new(false)).await.expect("opened");
    let review = |login: &str, state: &str| (login.to_owned(), state.to_owned());
    let check =
        |name: &str, status: &str, end: Option<&str>| (name.to_owned(), status.to_owned(), end.map(str::to_owned));
    fixture.github.set(|rules| {
        rules.reviews = vec![
            review("ana", "CHANGES_REQUESTED"),
            review("ben", "COMMENTED"),
            review("ana", "APPROVED"),
            review("ana", "COMMENTED"),
        ];
        rules.checks = vec![check("build", "completed", Some("success")), check("lint", "in_progress", None)];
    });
    // A read is tried again when the server failed.
    fixture.github.trouble(Trouble { works: false, ..lost("GET", "/reviews") });
    let status = fixture.forge.status(1).await.expect("a status");
    let expected = PullRequestStatus {
        state: "open".to_owned(),
        mergeable: Some(true),
        head: fixture.request().await.head,
        reviews: vec!["ana approved".to_owned(), "ben commented".to_owned()],
        checks: vec!["build: success".to_owned(), "lint: in progress".to_owned()],
    };
    assert_eq!(status, expected);
    fixture.github.trouble(Trouble {
        method: "GET",
        path: "/check-runs",
        status: 403,
        message: "Resource not accessible",
        works: false,
    });
    let checks = fixture.forge.status(1).await.expect("a status").checks;
    assert_eq!(checks, ["checks cannot be read with this login"]);
}

#[tokio::test]
async fn a_merge_squashes_the_reviewed_head_once_also_when_the_answer_is_lost() {
    let Some(fixture) = fixture().await else { return };
    fixture.forge.open(&new(false)).await.expect("opened");
    fixture.github.set(|rules| rules.unsettled = 3);
    fixture.github.trouble(lost("PUT", "/merge"));
    let request = fixture.request().await;
    let commit = fixture.forge.merge(&request).await.expect("merged");
    assert_eq!(
        fixture.run("git -C r.git log --format='%H %B' main | head -3").await,
        format!("{commit} Do the work (#1)\n\nBecause.")
    );
    assert_eq!(fixture.forge.merge(&request).await, Ok(commit.clone()));
    assert_eq!(fixture.asked().iter().filter(|asked| asked.starts_with("PUT")).count(), 1);
    let body = &fixture.github.requests().into_iter().find(|request| request.method == "PUT").expect("asked").body;
    assert_eq!(body["sha"], request.head.as_str());
    assert_eq!(fixture.forge.status(1).await.map(|status| status.state), Ok("merged".to_owned()));
}

#[tokio::test]
async fn a_base_that_moved_in_between_is_tried_again() {
    let Some(fixture) = fixture().await else { return };
    fixture.forge.open(&new(false)).await.expect("opened");
    let message = "Base branch was modified. Review and try the merge again.";
    fixture.github.trouble(Trouble { method: "PUT", path: "/merge", status: 405, message, works: false });
    fixture.forge.merge(&fixture.request().await).await.expect("merged");
}

#[tokio::test]
async fn every_rule_that_forbids_a_merge_is_named() {
    type Case = (fn(&mut Rules), &'static str);
    let cases: [Case; 4] = [
        (|rules| rules.review_missing = true, "a review is missing"),
        (|rules| rules.checks_pending = true, "a required check has not passed"),
        (|rules| rules.no_squash = true, "does not allow squash merges"),
        (|rules| rules.merge_queue = true, "merged by a merge queue"),
    ];
    let Some(fixture) = fixture().await else { return };
    fixture.forge.open(&new(false)).await.expect("opened");
    let request = fixture.request().await;
    for (rule, words) in cases {
        fixture.github.set(|rules| {
            *rules = Rules::default();
            rule(rules);
        });
        let error = refused(fixture.forge.merge(&request).await);
        assert!(error.what.contains(words) && error.hint.ends_with('.'), "{words}: {error:?}");
    }
    assert_eq!(fixture.github.pull(1)["merged"], false);
}

#[tokio::test]
async fn drafts_other_heads_conflicts_and_closed_ones_are_not_merged() {
    let Some(fixture) = fixture().await else { return };
    fixture.forge.open(&new(true)).await.expect("opened");
    let request = fixture.request().await;
    assert_eq!(refused(fixture.forge.merge(&request).await).what, "Pull request #1 is a draft.");
    fixture.forge.open(&new(false)).await.expect("ready");
    fixture.run("git clone -q r.git o && cd o && git commit -q --allow-empty -m More && git push -q origin HEAD:codebutler/work").await;
    let error = refused(fixture.forge.merge(&request).await);
    assert!(error.what.contains("another head than the reviewed"), "{error:?}");
    fixture.run("cd o && git switch -q main && echo x >a.txt && git commit -qam X && git push -q").await;
    let error = refused(fixture.forge.merge(&fixture.request().await).await);
    assert_eq!(error.what, "Pull request #1 conflicts with `main`.");
    assert_eq!(fixture.forge.find_open("codebutler/work").await, Ok(Some(1)));
    for _ in 0..2 {
        fixture.forge.close(1).await.expect("closed");
    }
    assert_eq!(fixture.forge.find_open("codebutler/work").await, Ok(None));
    let error = refused(fixture.forge.merge(&request).await);
    assert_eq!(error.what, "Pull request #1 was closed on GitHub.");
}

#[tokio::test]
async fn failures_have_words_and_a_way_out() {
    let Some(mut fixture) = fixture().await else { return };
    fixture.forge.open(&new(false)).await.expect("opened");
    let cases = [
        (403, "You have exceeded a secondary rate limit", "refuses more requests", "Wait a little"),
        (403, "Resource not accessible by personal access token", "the login may not do that", "write access"),
        (404, "Not Found", "may not see it", "gh auth status"),
        (401, "Bad credentials", "`gh` is not logged in to github.com.", "gh auth login"),
        (422, "Something odd", "Something odd (HTTP 422)", "GitHub names"),
        (503, "Unavailable", "trouble of its own (HTTP 503)", "githubstatus"),
    ];
    for (status, message, words, hint) in cases {
        // A server's own trouble is tried again, anything else is not.
        for _ in 0..if status >= 500 { TRIES } else { 1 } {
            fixture.github.trouble(Trouble { method: "GET", path: "/pulls/1", status, message, works: false });
        }
        let error = fixture.forge.status(1).await.expect_err("fails");
        assert!(error.what.contains(words) && error.hint.contains(hint), "{status}: {error:?}");
    }
    fixture.forge.status(1).await.expect("all troubles are over");
    let sent = fixture.forge.gh.env.clone();
    fixture.forge.gh.env.retain(|(name, _)| name != "GH_TOKEN");
    fixture.forge.gh.env.push(("GH_TOKEN".into(), "".into()));
    let error = fixture.forge.status(1).await.expect_err("no login");
    assert_eq!(error.what, "`gh` is not logged in to github.com.");
    fixture.forge.gh.env = sent;
    fixture.forge.gh.env.push(("PATH".into(), "/nowhere".into()));
    let error = fixture.forge.status(1).await.expect_err("no gh");
    assert_eq!(error.what, "`gh`, GitHub's command line, is not installed.");
}

/// Why it is certain that nothing was merged.
fn refused(merged: Result<CommitId, MergeError>) -> ForgeError {
    match merged {
        Err(MergeError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}
