//! Opening, fetching, pushing.

use std::collections::BTreeMap;

use super::*;
use crate::git::push::Pushed;

#[tokio::test]
async fn any_folder_of_a_checkout_opens_it_and_a_bare_repository_is_refused() {
    let fixture = Fixture::with_remote().await;
    fixture.run("mkdir -p checkout/deep/er").await;
    let repository = Repository::open(&fixture.path("checkout/deep/er")).expect("opens");
    assert_eq!(repository.root(), fixture.root());
    let bare = Repository::open(&fixture.path("remote.git")).expect_err("bare");
    assert!(bare.what.contains("bare repository") && bare.hint.contains("git clone"), "{bare:?}");
    let none = Repository::open(&fixture.path("home")).expect_err("no repository");
    assert!(none.what.contains("not in a git repository"), "{none:?}");
}

#[tokio::test]
async fn the_remote_is_origin_or_the_only_one_by_its_raw_url() {
    let fixture = Fixture::local().await;
    assert_eq!(fixture.repository().remote(), None);
    fixture.run("cd checkout && git remote add up https://github.com/O/R.git && git config url./x/.insteadOf https://github.com/").await;
    let remote = fixture.repository().remote().cloned().expect("the only one");
    assert_eq!((remote.name.as_str(), remote.url.as_str()), ("up", "https://github.com/O/R.git"));
    assert_eq!(remote.protocols, ["file"], "what insteadOf makes of it must be allowed");
    fixture.run("cd checkout && git remote add fork git@github.com:F/R.git").await;
    assert_eq!(fixture.repository().remote(), None, "no one can say which");
    fixture.run("cd checkout && git remote add origin git@github.com:O/R.git").await;
    assert_eq!(fixture.repository().remote().map(|remote| remote.name.as_str()), Some("origin"));
}

#[tokio::test]
async fn the_base_is_the_freshly_fetched_default_branch() {
    let fixture = Fixture::with_remote().await;
    fixture
        .run("git clone -q remote.git other && cd other && git commit -q --allow-empty -m Second && git push -q")
        .await;
    fixture.run("cd checkout && git switch -q -c mine && echo dirty >a.txt").await;
    let base = fixture.repository().fetch_base(None).await.expect("fetched");
    let expected = CommitId::new(fixture.run("git -C other rev-parse HEAD").await);
    assert_eq!(base, BaseCommit { commit: expected, branch: "main".to_owned(), notice: None });
    assert_eq!(fixture.run("git -C checkout status --porcelain").await, " M a.txt", "the checkout is left alone");
    let missing = fixture.repository().fetch_base(Some("nowhere")).await.expect_err("not there");
    assert_eq!(missing.what, "The remote `origin` has no branch `nowhere`.");
    let bad = fixture.repository().fetch_base(Some("--upload-pack=touch x")).await.expect_err("no name");
    assert!(bad.what.ends_with("is no name of a branch."), "{bad:?}");
}

#[tokio::test]
async fn two_fetches_at_once_both_succeed() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let (one, two) = tokio::join!(repository.fetch_base(None), repository.fetch_base(Some("main")));
    assert_eq!(one.expect("fetched"), two.expect("fetched"));
}

#[tokio::test]
async fn an_unreachable_remote_leaves_the_last_fetched_commit_and_says_so() {
    let fixture = Fixture::with_remote().await;
    fixture.run("mv remote.git gone.git").await;
    for base in [None, Some("main")] {
        let found = fixture.repository().fetch_base(base).await.expect("the last fetched one");
        let notice = found.notice.expect("it is said");
        assert!(notice.contains("the remote repository is not there"), "{notice}");
        assert!(notice.contains(&format!("last fetched commit `{}` of `main`", found.commit.short())), "{notice}");
    }
    fixture.run("cd checkout && git update-ref -d refs/remotes/origin/main").await;
    let error = fixture.repository().fetch_base(None).await.expect_err("nothing is known");
    assert!(error.what.starts_with("Could not fetch from the remote: "), "{error:?}");
}

#[tokio::test]
async fn a_repository_without_commits_is_told_apart() {
    let fixture = Fixture::with_remote().await;
    fixture
        .run("git init -q --bare -b main empty.git && cd checkout && git remote set-url origin \"$PWD/../empty.git\"")
        .await;
    let error = fixture.repository().fetch_base(None).await.expect_err("empty remote");
    assert!(error.what.contains("has no commit") && error.hint.contains("git push origin HEAD"), "{error:?}");
    fixture.run("rm -rf checkout && git init -q checkout").await;
    let error = fixture.repository().fetch_base(None).await.expect_err("empty repository");
    assert_eq!(error.what, "The repository has no commit yet.");
}

#[tokio::test]
async fn without_a_remote_the_base_is_the_local_branch() {
    let fixture = Fixture::local().await;
    fixture
        .run("cd checkout && git branch release && git switch -q -c mine && git commit -q --allow-empty -m Mine")
        .await;
    let first = CommitId::new(fixture.run("git -C checkout rev-parse main").await);
    let repository = fixture.repository();
    let base = |branch: &str| BaseCommit { commit: first.clone(), branch: branch.to_owned(), notice: None };
    assert_eq!(repository.fetch_base(None).await, Ok(base("main")));
    assert_eq!(repository.fetch_base(Some("release")).await, Ok(base("release")));
    fixture.run("cd checkout && git branch -D main").await;
    assert_eq!(repository.fetch_base(None).await.expect("HEAD's branch").branch, "mine");
}

#[tokio::test]
async fn a_push_brings_the_branch_and_a_second_one_changes_nothing() {
    let fixture = Fixture::with_remote().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    assert_eq!(git.has_commits().await, Ok(false));
    write(&folder_of(&git), "b.txt", "b");
    git.commit_all("Add b", Selection::Everything).await.expect("committed");
    assert_eq!(git.has_commits().await, Ok(true));
    let head = git.head().await.expect("a head");
    let pushed = Pushed { head: head.clone(), remote: Some("origin".to_owned()) };
    assert_eq!(git.push().await, Ok(pushed.clone()));
    assert_eq!(git.push().await, Ok(pushed));
    assert_eq!(fixture.run("git -C remote.git rev-parse codebutler/add-b").await, head.to_string());
    assert_eq!(fixture.repository().remote_head("codebutler/add-b").await, Ok(Some(head.clone())));
    for _ in 0..2 {
        assert_eq!(fixture.repository().delete_merged_branch("codebutler/add-b", &head).await, Ok(None));
    }
    assert_eq!(fixture.run("git -C remote.git branch --list 'codebutler/*'").await, "");
    assert_eq!(fixture.run("git -C checkout branch -r --list '*codebutler/*'").await, "", "nor is it known here");
}

#[tokio::test]
async fn a_merged_branch_is_deleted_only_as_it_was_merged() {
    let branch = "codebutler/add-b";
    let fixture = Fixture::with_remote().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    git.commit_all("Add b", Selection::Everything).await.expect("committed");
    let merged = git.push().await.expect("pushed").head;
    let repository = fixture.repository();

    fixture.run("mv remote.git away.git").await;
    let error = repository.delete_merged_branch(branch, &merged).await.expect_err("it cannot be looked at");
    assert_eq!(error.what, "Could not delete it: the remote repository is not there.");
    fixture.run("mv away.git remote.git").await;

    // Someone is faster: what he pushed comes between what git was told of the branch and its deletion.
    fixture
        .run("git clone -q -b codebutler/add-b remote.git other && git -C other commit -q --allow-empty -m Theirs")
        .await;
    let theirs = CommitId::new(fixture.run("git -C other rev-parse HEAD").await);
    fixture
        .run("git -C other push -q origin HEAD:refs/heads/aside && git -C remote.git update-ref -d refs/heads/aside")
        .await;
    let hook = format!("#!/bin/sh\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/{branch} {theirs}");
    let place = "remote.git/hooks/pre-receive";
    fixture.run(&format!("printf '{hook}' >{place} && chmod +x {place}")).await;
    assert_eq!(repository.delete_merged_branch(branch, &merged).await, Ok(Some(theirs.clone())));
    fixture.run(&format!("rm {place}")).await;
    assert_eq!(repository.delete_merged_branch(branch, &merged).await, Ok(Some(theirs.clone())), "and from then on");
    assert_eq!(fixture.run(&format!("git -C remote.git rev-parse {branch}")).await, theirs.to_string());

    fixture.run(&format!("printf '#!/bin/sh\necho Ask Ana >&2; exit 1' >{place} && chmod +x {place}")).await;
    let error = repository.delete_merged_branch(branch, &theirs).await.expect_err("refused");
    assert!(error.what.contains("pre-receive hook declined. It said: Ask Ana"), "{error:?}");
}

#[tokio::test]
async fn without_a_remote_a_push_is_only_the_head() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let head = git.head().await.expect("a head");
    assert_eq!(git.push().await, Ok(Pushed { head, remote: None }));
}

#[tokio::test]
async fn a_push_never_overwrites_what_others_pushed() {
    let fixture = Fixture::with_remote().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    git.push().await.expect("pushed");
    fixture.run("git clone -q -b codebutler/add-b remote.git other && cd other && git commit -q --allow-empty -m Theirs && git push -q").await;
    write(&folder_of(&git), "b.txt", "b");
    git.commit_all("Add b", Selection::Everything).await.expect("committed");
    let error = git.push().await.expect_err("refused");
    assert!(error.what.contains("has commits that this worktree has not: someone else pushed"), "{error:?}");
    let merge = "git merge --no-commit origin/codebutler/add-b";
    assert!(error.hint.contains(merge) && error.hint.contains("`!retry`"), "{error:?}");
    let theirs = CommitId::new(fixture.run("git -C other rev-parse HEAD").await);
    assert_eq!(error.foreign, Some(theirs.clone()));
    let repository = fixture.repository();
    assert_eq!(repository.branch_has("codebutler/add-b", &theirs).await, Ok(false));
    // The advice holds: everything is here.
    fixture.run(&format!("cd '{}' && git merge -q origin/codebutler/add-b", folder_of(&git).display())).await;
    assert_eq!(repository.branch_has("codebutler/add-b", &theirs).await, Ok(true));
    let head = git.push().await.expect("pushed").head;
    let heads = repository.remote_heads(&["codebutler/add-b".to_owned(), "gone".to_owned()]).await.expect("listed");
    assert_eq!(heads, BTreeMap::from([("codebutler/add-b".to_owned(), head)]));
    let unknown = CommitId::new("0123456789012345678901234567890123456789");
    assert_eq!(repository.branch_has("codebutler/add-b", &unknown).await, Ok(false));
    assert_eq!(repository.branch_has("gone", &theirs).await, Ok(false));
}

#[tokio::test]
async fn what_the_remote_refuses_is_said_in_its_words() {
    let cases = [
        ("echo 'No pushes on Friday' >&2; exit 1", "pre-receive hook declined. It said: No pushes on Friday"),
        ("echo 'error: GH006: Protected branch update failed' >&2; exit 1", "is protected on the remote"),
        ("echo 'error: GH013: Repository rule violations: secret in a.txt' >&2; exit 1", "secret in a.txt"),
    ];
    for (hook, words) in cases {
        let fixture = Fixture::with_remote().await;
        let git = fixture.thread(&fixture.repository(), "Add b").await;
        fixture
            .run(&format!(
                "cat >remote.git/hooks/pre-receive <<'X'\n#!/bin/sh\n{hook}\nX\nchmod +x remote.git/hooks/pre-receive"
            ))
            .await;
        let error = git.push().await.expect_err("refused");
        assert!(error.what.contains(words), "{words}: {error:?}");
    }
}

#[tokio::test]
async fn failures_of_the_remote_have_their_own_words() {
    for (url, words, hint) in [
        ("https://127.0.0.1:1/o/r.git", "the remote could not be reached", "network"),
        ("ext::sh -c true", "may not use the protocol", "git remote set-url"),
        ("/nowhere/at/all.git", "the remote repository is not there", "git remote -v"),
    ] {
        let fixture = Fixture::with_remote().await;
        let git = fixture.thread(&fixture.repository(), "Add b").await;
        fixture.run(&format!("cd checkout && git remote set-url origin '{url}'")).await;
        let git = ThreadGit { repository: fixture.repository_with(&[("no_proxy", "*")]), ..git };
        let error = git.push().await.expect_err("fails");
        assert!(error.what.contains(words) && error.hint.contains(hint), "{url}: {error:?}");
    }
}

/// Runs itself once more as a child with another home: libgit2 and git must read the same settings there.
#[tokio::test]
async fn a_rewrite_in_the_user_s_own_settings_counts() {
    const CHECKOUT: &str = "CODEBUTLER_TEST_CHECKOUT";
    if let Some(checkout) = std::env::var_os(CHECKOUT) {
        let repository = Repository::open(Path::new(&checkout)).expect("opens");
        let base = repository.fetch_base(None).await.expect("fetched through the rewrite");
        assert_eq!((base.branch.as_str(), base.notice), ("main", None));
        return;
    }
    let fixture = Fixture::with_remote().await;
    fixture.run("git config --global url.\"$PWD/remote.git\".insteadOf https://github.com/octo/demo.git").await;
    fixture.run("cd checkout && git remote set-url origin https://github.com/octo/demo.git").await;
    let name = "git::tests::remotes::a_rewrite_in_the_user_s_own_settings_counts";
    let child = Program::new(std::env::current_exe().expect("this program"), fixture.root())
        .args(["--exact", name])
        .env("HOME", fixture.path("home"))
        .env(CHECKOUT, fixture.root());
    let finished = child.merged().await.expect("runs");
    let output = finished.stdout.text();
    assert!(finished.exit == Exit::Code(0) && output.contains("1 passed"), "{output}");
}

#[tokio::test]
async fn many_who_want_the_base_at_once_share_a_fetch_that_began_after_they_asked() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let first = repository.fetch_base(None).await.expect("fetched");
    fixture
        .run("git clone -q remote.git other && cd other && git commit -q --allow-empty -m Second && git push -q")
        .await;
    let asked = futures_util::future::join_all((0..100).map(|_| repository.fetch_base(None))).await;
    let second = repository.fetch_base(None).await.expect("fetched");
    assert_ne!(first, second, "whoever asks later gets what is new");
    assert!(asked.into_iter().all(|base| base.expect("fetched") == second));
    assert_eq!(repository.0.bases.begun(), 4, "one each for the first and the last, two for the hundred between");
}
