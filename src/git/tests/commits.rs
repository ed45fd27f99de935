//! Commits: what goes in, what stays out, in whose name.

use std::time::Duration;

use super::*;
use crate::git::commit::Commit;

fn all(left_out: &[&str], files: &[&str], commit: Option<CommitId>) -> Commit {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Commit { commit, files: own(files), left_out: own(left_out) }
}

#[tokio::test]
async fn a_commit_takes_everything_that_is_not_ignored_in_the_daemon_s_name() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let folder = folder_of(&git);
    fixture.run("cd checkout/.codebutler/branches/add-b && echo build >.gitignore && mkdir build && touch build/x && echo two >a.txt").await;
    fixture.run("cd checkout/.codebutler/branches/add-b && echo '#!/bin/sh' >run.sh && chmod +x run.sh && ln -s a.txt link && mkdir -p x/y && touch x/y/z").await;
    let done = git.commit_all("Add things\n\nBecause.", Selection::Everything).await.expect("committed");
    let files = [".gitignore", "a.txt", "link", "run.sh", "x/y/z"];
    assert_eq!(done, all(&[], &files, Some(git.head().await.expect("a head"))));
    let shown = fixture.run("cd checkout/.codebutler/branches/add-b && git log -1 --format='%an <%ae> %cn%n%B' && git ls-files -s run.sh link | cut -c1-6 && git status --porcelain").await;
    assert_eq!(
        shown,
        "CodeButler <codebutler@localhost> CodeButler\nAdd things\n\nBecause.\n\nRequested-by: Ana (U1)\n\n120000\n100755"
    );
    std::fs::remove_file(folder.join("link")).expect("removed");
    let done = git.commit_all("Drop the link", Selection::Everything).await.expect("committed");
    assert_eq!(done.files, ["link"]);
    assert_eq!(git.commit_all("Drop the link", Selection::Everything).await, Ok(done), "a repeat finds it");
    assert_eq!(git.commit_all("Nothing", Selection::Everything).await, Ok(all(&[], &[], None)));
}

#[tokio::test]
async fn the_daemon_s_own_commit_takes_tracked_and_named_files_only() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let folder = folder_of(&git);
    for name in ["a.txt", "named.txt", "stray.txt"] {
        write(&folder, name, "new");
    }
    let selection = Selection::TrackedAnd(["named.txt".to_owned()].into());
    let done = git.commit_all("Work", selection).await.expect("committed");
    assert_eq!(done.files, ["a.txt", "named.txt"]);
    assert_eq!(done.left_out, ["`stray.txt` is new and was not written by the Coder's own tools"]);
}

#[tokio::test]
async fn large_secret_and_foreign_files_are_left_out_even_when_staged() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let folder = folder_of(&git);
    write(&folder, "big.bin", vec![0; (5 << 20) + 1]);
    write(&folder, ".env", "SECRET=1");
    write(&folder, ".env.example", "SECRET=");
    write(&folder, ".gitattributes", "*.psd filter=lfs\n");
    write(&folder, "art.psd", "pixels");
    fixture
        .run("cd checkout/.codebutler/branches/add-b && git init -q nested && touch nested/x && git add big.bin .env")
        .await;
    let done = git.commit_all("Work", Selection::Everything).await.expect("committed");
    assert_eq!(done.files, [".env.example", ".gitattributes"]);
    assert_eq!(
        done.left_out,
        [
            "`.env` may hold secrets",
            "`art.psd` needs the filter program `lfs`, which is not run here",
            "`big.bin` has 5.0 MB, more than 5",
            "`nested/` is a git repository of its own",
        ]
    );
}

#[tokio::test]
async fn a_worktree_on_another_branch_or_in_conflict_is_not_committed() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let in_worktree = "cd checkout/.codebutler/branches/add-b";
    fixture.run(&format!("{in_worktree} && git switch -q -c elsewhere && echo x >a.txt")).await;
    let error = git.commit_all("Work", Selection::Everything).await.expect_err("another branch");
    assert_eq!(error.what, "The worktree is on `elsewhere` instead of its branch `codebutler/add-b`.");
    fixture.run(&format!("{in_worktree} && git commit -qam Theirs && git switch -q codebutler/add-b && echo y >a.txt && git commit -qam Ours")).await;
    fixture.run(&format!("{in_worktree} && ! git merge -q elsewhere")).await;
    let error = git.commit_all("Work", Selection::Everything).await.expect_err("in conflict");
    assert_eq!(error.what, "`a.txt` has an unresolved merge conflict.");
    fixture.run(&format!("{in_worktree} && echo both >a.txt && git add a.txt")).await;
    git.commit_all("Merge", Selection::Everything).await.expect("committed").commit.expect("a commit");
    let shown = fixture.run(&format!("{in_worktree} && git log -1 --format=%p | wc -w && git status")).await;
    assert!(shown.starts_with('2') && shown.contains("nothing to commit, working tree clean"), "{shown}");
}

#[tokio::test]
async fn a_message_keeps_its_trailers_together_and_must_say_something() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let error = git.commit_all(" \n", Selection::Everything).await.expect_err("empty");
    assert_eq!(error.what, "The commit has no message.");
    write(&folder_of(&git), "b.txt", "b");
    git.commit_all("Add b\n\nCo-authored-by: X <x@y>\u{0}\n", Selection::Everything).await.expect("committed");
    let shown = fixture.run("git -C checkout log -1 --format=%B codebutler/add-b").await;
    assert_eq!(shown, "Add b\n\nCo-authored-by: X <x@y>\nRequested-by: Ana (U1)");
}

#[tokio::test]
async fn two_threads_commit_at_once_without_seeing_each_other() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let (one, two) = tokio::join!(fixture.thread(&repository, "One"), fixture.thread(&repository, "Two"));
    write(&folder_of(&one), "one.txt", "1");
    write(&folder_of(&two), "two.txt", "2");
    let (a, b) =
        tokio::join!(one.commit_all("One", Selection::Everything), two.commit_all("Two", Selection::Everything));
    assert_eq!(
        (a.expect("committed").files, b.expect("committed").files),
        (vec!["one.txt".to_owned()], vec!["two.txt".to_owned()])
    );
    let (a, b) = tokio::join!(one.push(), two.push());
    assert_eq!((a.map(|pushed| pushed.head), b.map(|pushed| pushed.head)), (one.head().await, two.head().await));
}

#[test]
fn an_author_is_a_name_and_a_mail() {
    let author = Author::parse(" Code Butler <cb@localhost> ").expect("good");
    assert_eq!((author.name.as_str(), author.mail.as_str()), ("Code Butler", "cb@localhost"));
    for bad in ["", "Name", "<a@b>", "Name <>", "A <b> <c>", "Name <a@b> x"] {
        assert_eq!(Author::parse(bad), None, "{bad}");
    }
}

const IN_WORKTREE: &str = "cd checkout/.codebutler/branches/add-b";

#[tokio::test]
async fn a_take_over_that_was_cut_before_its_clean_up_is_committed_once() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let theirs = "git switch -q -c elsewhere && echo x >x.txt && git add . && git commit -qm Theirs";
    let ours = "git switch -q codebutler/add-b && echo y >y.txt && git add . && git commit -qm Ours";
    let merge = "git merge -q --no-commit elsewhere && cp $(git rev-parse --git-path MERGE_HEAD) ../../../../saved";
    fixture.run(&format!("{IN_WORKTREE} && {theirs} && {ours} && {merge}")).await;
    let first = git.commit_all("Take over", Selection::Everything).await.expect("committed");
    let left = "cp ../../../../saved $(git rev-parse --git-path MERGE_HEAD)";
    fixture.run(&format!("{IN_WORKTREE} && {left}")).await;
    assert_eq!(git.commit_all("Take over", Selection::Everything).await, Ok(first.clone()), "a repeat finds it");
    let state = "ls $(git rev-parse --git-path MERGE_HEAD) 2>/dev/null | wc -l && git rev-list --count HEAD";
    assert_eq!(fixture.run(&format!("{IN_WORKTREE} && {state}")).await, "0\n4", "nothing of the merge is left");

    // The next piece of work is no merge either.
    fixture.run(&format!("{IN_WORKTREE} && {left} && echo z >z.txt")).await;
    let next = git.commit_all("Add z", Selection::Everything).await.expect("committed");
    let parents = fixture.run(&format!("{IN_WORKTREE} && git log -1 --format=%P")).await;
    assert_eq!((next.files, Some(CommitId::new(parents))), (vec!["z.txt".to_owned()], first.commit));
}

#[tokio::test]
async fn a_commit_that_was_cut_before_its_index_leaves_nothing_uncommitted() {
    for again in ["Work", "In other words"] {
        let fixture = Fixture::local().await;
        let git = fixture.thread(&fixture.repository(), "Add b").await;
        fixture.run(&format!("{IN_WORKTREE} && echo c >c.txt && git add . && git commit -qm Before")).await;
        fixture.run(&format!("{IN_WORKTREE} && cp $(git rev-parse --git-path index) ../../../../saved")).await;
        fixture.run(&format!("{IN_WORKTREE} && echo two >a.txt && echo b >b.txt && rm c.txt")).await;
        let first = git.commit_all("Work", Selection::Everything).await.expect("committed");
        fixture.run(&format!("{IN_WORKTREE} && cp ../../../../saved $(git rev-parse --git-path index)")).await;
        let repeat = git.commit_all(again, Selection::Everything).await.expect("found");
        assert_eq!(repeat.commit, first.commit.filter(|_| again == "Work"), "{again}");
        assert_eq!(fixture.run(&format!("{IN_WORKTREE} && git status --porcelain")).await, "", "{again}");
    }
}

#[tokio::test]
async fn what_a_cut_write_left_is_neither_committed_nor_kept() {
    for rules in ["", "!.codebutler-*\n"] {
        let fixture = Fixture::local().await;
        let git = fixture.thread(&fixture.repository(), "Add b").await;
        let folder = folder_of(&git);
        let (left, staged) = (".codebutler-0123456789abcdef.tmp", "x/.codebutler-00000000000000ff.tmp");
        let (own, tracked) = (".codebutler-notes.tmp", "y/.codebutler-00000000000000aa.tmp");
        write(&folder, ".gitignore", rules);
        for path in [left, staged, own, tracked] {
            write(&folder, path, "half of a.txt");
        }
        fixture.run(&format!("{IN_WORKTREE} && git add -f {tracked} && git commit -qm 'Of the owner'")).await;
        write(&folder, tracked, "more");
        fixture.run(&format!("{IN_WORKTREE} && git add -f {staged}")).await;
        let done = git.commit_all("Work", Selection::Everything).await.expect("committed");
        assert_eq!(done.files, [own, ".gitignore", tracked], "{rules}");
        assert!(done.left_out.iter().any(|line| line.contains(staged)), "{:?}", done.left_out);
        assert!(folder.join(left).exists(), "this life may be writing it");

        let next_life = fixture.thread(&fixture.repository(), "Add b").await;
        fixture.run(&format!("{IN_WORKTREE} && git status --porcelain --ignored")).await;
        let here = |path: &str| folder.join(path).exists();
        assert_eq!([left, staged, own, tracked].map(here), [false, false, true, true], "{rules}");
        assert_eq!(next_life.uncommitted().await, Ok(vec![]), "{rules}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_commit_waits_for_one_that_nobody_awaits_any_more() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let folder = folder_of(&git);
    let fill = |text: String| (0..400).for_each(|n| write(&folder, &format!("d{}/f{n}.txt", n % 20), &text));
    fill("x".repeat(2000));
    git.commit_all("Begin", Selection::Everything).await.expect("committed");
    for round in 0..12 {
        fill(format!("{round} {}", "y".repeat(2000)));
        // `!stop` drops the tool's future; its blocking half goes on.
        let tool = git.commit_all("The tool's", Selection::Everything);
        let _ = tokio::time::timeout(Duration::from_millis(1 + round % 8), tool).await;
        git.commit_all("The plan's title", Selection::TrackedAnd(Default::default())).await.expect("committed");
        assert_eq!(git.uncommitted().await, Ok(vec![]), "{round}");
    }
}

#[tokio::test]
async fn work_that_never_ends_is_not_waited_for_without_end() {
    let fixture = Fixture::local().await;
    let repository = fixture.repository();
    tokio::time::pause();
    let held = repository.hold("add-b").await.expect("nobody has it");
    repository.hold("another").await.expect("another worktree");
    let error = repository.hold("add-b").await.expect_err("it is held");
    assert_eq!(error.what, "Other work on the worktree `add-b` does not come to its end.");
    drop(held);
    repository.hold("add-b").await.expect("nobody has it any more");
}
