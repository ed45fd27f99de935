//! Worktrees after people, commands and crashes were at them.

use std::time::SystemTime;

use super::*;
use crate::git::Condition;

const IN_WORKTREE: &str = "cd checkout/.codebutler/branches/add-b";

/// A thread with one commit, and uncommitted work after it.
async fn at_work(fixture: &Fixture) -> (Repository, ThreadGit, CommitId) {
    let repository = fixture.repository();
    let git = fixture.thread(&repository, "Add b").await;
    write(&folder_of(&git), "b.txt", "b\n");
    let done = git.commit_all("Add b", Selection::Everything).await.expect("committed");
    write(&folder_of(&git), "b.txt", "more\n");
    write(&folder_of(&git), "c.txt", "c\n");
    (repository, git, done.commit.expect("a commit"))
}

async fn restore(repository: &Repository, git: &ThreadGit) -> Result<Condition, GitError> {
    repository.restore_worktree(&key("Add b"), git.workspace().expect("a worktree")).await
}

#[tokio::test]
async fn a_deleted_worktree_is_made_again_from_its_branch() {
    for damage in [
        "rm -rf checkout/.codebutler/branches/add-b",
        "rm -rf checkout/.codebutler",
        "rm -rf checkout/.codebutler/branches/add-b checkout/.git/worktrees",
        "rm -rf checkout/.codebutler/branches/add-b && mkdir checkout/.codebutler/branches/add-b",
        "cd checkout/.codebutler/branches/add-b && rm -r *",
        "git -C checkout worktree remove --force .codebutler/branches/add-b",
        "rm -rf checkout/.codebutler/branches/add-b checkout/.git/codebutler",
        "mv checkout/.codebutler/branches/add-b elsewhere && ln -s \"$PWD/elsewhere\" checkout/.codebutler/branches/add-b",
    ] {
        let fixture = Fixture::local().await;
        let (repository, git, head) = at_work(&fixture).await;
        let workspace = git.workspace().expect("a worktree").clone();
        assert!(repository.is_whole(&workspace));
        fixture.run(damage).await;
        assert_eq!(restore(&repository, &git).await, Ok(Condition::Lost(head.clone())), "{damage}");
        assert_eq!(restore(&repository, &git).await, Ok(Condition::Whole), "{damage}");
        assert!(repository.is_whole(&workspace), "{damage}");
        let shown = fixture
            .run(&format!("{IN_WORKTREE} && cat b.txt && git status --porcelain -b && git log -1 --format=%H"))
            .await;
        assert_eq!(shown, format!("b\n## codebutler/add-b\n{head}"), "{damage}");
        assert_eq!(repository.workspace_of(&key("Add b")).await.as_ref(), Some(&*workspace), "{damage}");
    }
}

#[tokio::test]
async fn what_git_needs_is_written_anew_and_work_stays() {
    for damage in [
        "rm checkout/.codebutler/branches/add-b/.git",
        "rm -rf checkout/.git/worktrees/add-b",
        "rm checkout/.git/worktrees/add-b/index",
        "rm checkout/.git/worktrees/add-b/HEAD",
        "rm checkout/.git/worktrees/add-b/gitdir",
        "rm checkout/.git/worktrees/add-b/* || true",
        ": >checkout/.codebutler/branches/add-b/.git",
        ": >checkout/.git/worktrees/add-b/HEAD",
        ": >checkout/.git/worktrees/add-b/gitdir",
        ": >checkout/.git/worktrees/add-b/commondir && rm checkout/.git/worktrees/add-b/HEAD",
        "rm -rf checkout/.git/worktrees/add-b checkout/.codebutler/branches/add-b/.git checkout/.git/codebutler",
    ] {
        let fixture = Fixture::local().await;
        let (repository, git, head) = at_work(&fixture).await;
        fixture.run(damage).await;
        assert!(!repository.is_whole(git.workspace().expect("a worktree")), "{damage}");
        assert_eq!(restore(&repository, &git).await, Ok(Condition::Whole), "{damage}");
        assert!(repository.is_whole(git.workspace().expect("a worktree")), "{damage}");
        assert_eq!(git.uncommitted().await, Ok(vec!["b.txt".to_owned(), "c.txt".to_owned()]), "{damage}");
        let shown = fixture.run(&format!("{IN_WORKTREE} && git status --porcelain && git rev-parse HEAD")).await;
        assert_eq!(shown, format!(" M b.txt\n?? c.txt\n{head}"), "{damage}");
        assert_eq!(fixture.run("git -C checkout worktree list | wc -l").await, "2", "{damage}");
    }
}

#[tokio::test]
async fn without_a_local_branch_the_remote_s_is_taken() {
    let fixture = Fixture::with_remote().await;
    let (repository, git, head) = at_work(&fixture).await;
    git.push().await.expect("pushed");
    fixture.run("rm -rf checkout/.codebutler/branches && cd checkout && git worktree prune && git branch -D codebutler/add-b && git update-ref -d refs/remotes/origin/codebutler/add-b").await;
    assert_eq!(restore(&repository, &git).await, Ok(Condition::Lost(head.clone())));
    assert_eq!(git.head().await, Ok(head));
    assert_eq!(git.uncommitted().await, Ok(vec![]));
}

#[tokio::test]
async fn what_cannot_be_made_again_says_what_to_do() {
    let fixture = Fixture::with_remote().await;
    let (repository, git, _) = at_work(&fixture).await;
    let gone = "rm -rf checkout/.codebutler/branches && cd checkout && git worktree prune";
    fixture.run(&format!("{gone} && git switch -q codebutler/add-b")).await;
    let error = restore(&repository, &git).await.expect_err("the owner has it");
    assert_eq!(error.what, "The branch `codebutler/add-b` is checked out elsewhere.");
    fixture.run("cd checkout && git switch -q main && git branch -D codebutler/add-b").await;
    let error = restore(&repository, &git).await.expect_err("nowhere");
    assert_eq!(error.what, "The branch `codebutler/add-b` is gone, and the remote does not have it either.");
    assert!(error.hint.contains("git reflog --all"), "{}", error.hint);
    fixture.run("rm -rf remote.git").await;
    let error = restore(&repository, &git).await.expect_err("nobody knows");
    assert!(error.what.starts_with("The branch `codebutler/add-b` is gone, and Could not fetch it"), "{}", error.what);
}

#[tokio::test]
async fn a_restoring_that_was_cut_is_begun_anew_and_a_finished_one_is_not() {
    let incomplete = "sed -i 's/\"complete\":true/\"complete\":false/' checkout/.git/codebutler/workspaces/add-b.json";
    let fixture = Fixture::local().await;
    let (repository, git, head) = at_work(&fixture).await;
    fixture.run(&format!("{incomplete} && rm checkout/.git/worktrees/add-b/index && {IN_WORKTREE} && rm a.txt")).await;
    assert_eq!(restore(&repository, &git).await, Ok(Condition::Lost(head)));
    assert_eq!(git.uncommitted().await, Ok(vec![]));
    // All was there but the word that it is; then work went on.
    write(&folder_of(&git), "c.txt", "c\n");
    fixture.run(&format!("{incomplete} && rm checkout/.codebutler/branches/add-b/.git")).await;
    assert_eq!(restore(&repository, &git).await, Ok(Condition::Whole));
    assert_eq!(git.uncommitted().await, Ok(vec!["c.txt".to_owned()]));
}

/// Undoes the making of a worktree from its last step back to its first, as cuts before each step would leave it.
const CUTS: &[&str] = &[
    "sed -i 's/\"complete\":true/\"complete\":false/' .git/codebutler/workspaces/add-b.json",
    "rm .git/worktrees/add-b/index",
    "rm .codebutler/branches/add-b/a.txt",
    "rm .codebutler/branches/add-b/.git",
    "rm -r .codebutler/branches/add-b",
    "rm .git/worktrees/add-b/HEAD",
    "rm -r .git/worktrees/add-b/*",
    "rm -r .git/worktrees",
    "git branch -qD codebutler/add-b",
    "rm -r .codebutler/branches",
    "rm -r .codebutler",
    "mv .git/codebutler/workspaces/add-b.json .git/codebutler/workspaces/add-b.tmp",
];

#[tokio::test]
async fn a_making_that_was_cut_anywhere_is_completed() {
    for cut in 1..=CUTS.len() {
        let fixture = Fixture::local().await;
        let git = fixture.thread(&fixture.repository(), "Add b").await;
        fixture.run(&format!("cd checkout\n{}", CUTS[..cut].join("\n"))).await;
        let repository = fixture.repository();
        let again = fixture.thread(&repository, "Add b").await;
        assert_eq!(again.workspace(), git.workspace(), "{cut}");
        assert_eq!(again.uncommitted().await, Ok(vec![]), "{cut}");
        assert!(folder_of(&again).join("a.txt").exists(), "{cut}");
        let lists = "git worktree list | wc -l && git branch --list 'codebutler/*' | wc -l && ls .codebutler/branches";
        assert_eq!(fixture.run(&format!("cd checkout && {lists}")).await, "2\n1\nadd-b", "{cut}");
    }
}

#[tokio::test]
async fn a_half_made_worktree_and_a_half_removed_one_are_removed() {
    // The same steps: removing takes the folder, the registration, the branch and the record, in this order.
    for cut in 0..=CUTS.len() {
        let fixture = Fixture::local().await;
        let git = fixture.thread(&fixture.repository(), "Add b").await;
        fixture.run(&format!("cd checkout\n{}", CUTS[..cut].join("\n"))).await;
        let repository = fixture.repository();
        let workspace = git.workspace().expect("a worktree");
        assert_eq!(repository.remove_worktree(workspace, None).await, Vec::<String>::new(), "{cut}");
        let lists = "git worktree list | wc -l && git branch --list 'codebutler/*' && ls .git/codebutler/workspaces";
        assert_eq!(fixture.run(&format!("cd checkout && {lists}")).await, "1", "{cut}");
    }
}

const OURS: &[&str] = &[
    ".git/worktrees/add-b/index.lock",
    ".git/worktrees/add-b/HEAD.lock",
    ".git/refs/heads/codebutler/add-b.lock",
    ".git/refs/remotes/origin/codebutler/add-b.lock",
];

#[tokio::test]
async fn locks_that_a_life_before_left_in_our_worktree_block_nothing() {
    let fixture = Fixture::with_remote().await;
    let (_, git, _) = at_work(&fixture).await;
    git.push().await.expect("pushed");
    let theirs = ".git/index.lock .git/refs/heads/main.lock";
    fixture.run(&format!("cd checkout && touch {} {theirs}", OURS.join(" "))).await;
    let held = git.commit_all("More", Selection::Everything).await.expect_err("a fresh lock may be held");
    assert!(held.what.contains("another git command is at work"), "{held:?}");
    assert!(OURS.iter().all(|path| fixture.root().join(path).exists()));

    let next_life = fixture.thread(&fixture.repository(), "Add b").await;
    let done = next_life.commit_all("More", Selection::Everything).await.expect("committed");
    assert_eq!(next_life.push().await.expect("pushed").head, done.commit.expect("a commit"));
    assert!(!OURS.iter().any(|path| fixture.root().join(path).exists()));
    assert!(theirs.split(' ').all(|path| fixture.root().join(path).exists()), "the owner's are his");
}

#[tokio::test]
async fn a_lock_older_than_any_work_takes_is_removed() {
    let fixture = Fixture::local().await;
    let mut repository = fixture.repository();
    Arc::get_mut(&mut repository.0).expect("nobody else has it yet").opened = SystemTime::UNIX_EPOCH;
    let git = fixture.thread(&repository, "Add b").await;
    write(&folder_of(&git), "b.txt", "b\n");
    for (age, ok) in [("1 second ago", false), ("70 seconds ago", true)] {
        fixture.run(&format!("touch -d '{age}' checkout/.git/refs/heads/codebutler/add-b.lock")).await;
        assert_eq!(git.commit_all("Add b", Selection::Everything).await.is_ok(), ok, "{age}");
    }
}

#[tokio::test]
async fn what_a_killed_life_left_of_a_snapshot_is_collected() {
    let fixture = Fixture::local().await;
    let (home, repository) = (fixture.path("home"), fixture.repository());
    let base = repository.fetch_base(None).await.expect("a base");
    let snapshot = repository.snapshot(&base.commit, &home).await.expect("a snapshot");
    let folder = snapshot.parent().expect("a folder above").to_path_buf();
    std::fs::create_dir(folder.join(format!(".writing-{:016x}-1", repository.0.life))).expect("made");
    std::fs::create_dir(folder.join(".writing-0000000000000000-1")).expect("made");
    std::fs::remove_dir_all(&snapshot).expect("removed");
    repository.snapshot(&base.commit, &home).await.expect("a snapshot");
    let names: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(names.len(), 2, "the snapshot and what this life may be writing: {names:?}");
}
