//! Looking: history, differences, snapshots, single files.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

async fn on_base(fixture: &Fixture) -> ThreadGit {
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("a base");
    ThreadGit::new(repository, View::Base(base.commit), author(), "Ana (U1)".to_owned())
}

#[tokio::test]
async fn the_history_marks_the_thread_s_own_commits() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    git.commit_all("Add b", Selection::Everything).await.expect("committed");
    let log = git.log(None, 10).await.expect("a history");
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].starts_with("* ") && lines[0].ends_with(" CodeButler: Add b"), "{log}");
    assert!(!lines[1].starts_with('*') && lines[1].ends_with(" Owner: First commit") && lines.len() == 2, "{log}");
    assert_eq!(git.log(Some("b.txt"), 10).await.expect("a history").lines().count(), 1);
    assert_eq!(git.log(Some("nothing"), 10).await, Ok(String::new()));
    let one = git.log(None, 1).await.expect("a history");
    assert!(one.ends_with("(older ones left out; a higher `limit` shows more)\n"), "{one}");
    assert!(on_base(&fixture).await.log(None, 10).await.expect("a history").ends_with(" Owner: First commit\n"));
}

#[tokio::test]
async fn a_diff_has_committed_and_uncommitted_changes_with_renames_and_binaries() {
    let fixture = Fixture::with_remote().await;
    fixture.run("cd checkout && seq 20 >long.txt && git add . && git commit -qm Long && git push -q").await;
    let git = fixture.thread(&fixture.repository(), "Change").await;
    let folder = folder_of(&git);
    assert!(git.diff(None, None).await.expect("a diff").starts_with("No changes between "));
    std::fs::rename(folder.join("long.txt"), folder.join("moved.txt")).expect("renamed");
    git.commit_all("Move", Selection::Everything).await.expect("committed");
    write(&folder, "a.txt", "two\n");
    write(&folder, "new.txt", "new\n");
    write(&folder, "pic.bin", [0, 1, 2]);
    let diff = git.diff(None, None).await.expect("a diff");
    for part in [
        "4 files changed from ",
        "  long.txt -> moved.txt (+0 -0)\n",
        "  a.txt (+1 -1)\n",
        "  new.txt new (+1 -0)\n",
        "  pic.bin new (binary)\n",
        "\n-one\n+two\n",
        "\n+new\n",
    ] {
        assert!(diff.contains(part), "{part}: {diff}");
    }
    let committed = git.diff_commits().await.expect("a diff");
    assert!(
        committed.starts_with("1 file changed from ") && committed.contains("long.txt -> moved.txt"),
        "{committed}"
    );
    let one = git.diff(None, Some("a.txt")).await.expect("a diff");
    assert!(one.starts_with("1 file changed") && !one.contains("new.txt"), "{one}");
    assert!(!git.diff(Some("HEAD"), None).await.expect("a diff").contains("moved.txt"));
    let error = git.diff(Some("no-such"), None).await.expect_err("no commit");
    assert!(error.what.starts_with("`no-such` is no commit"), "{error:?}");
    let stat = git.diff_stat().await.expect("figures");
    assert_eq!(stat, crate::git::diff::DiffStat { files: 1, added: 0, removed: 0 });
    // The base branch moves on: what happened there is no change of the thread's.
    fixture
        .run("cd checkout && echo x >other.txt && git add . && git commit -qm Other && git push -q && git fetch -q")
        .await;
    assert!(!git.diff(None, None).await.expect("a diff").contains("other.txt"));
    fixture.run("cd checkout && git reset -q --hard HEAD~1").await;
    let diff = git.diff(Some("main"), None).await.expect("a diff");
    assert!(diff.contains("other.txt deleted"), "the remote's branch counts, not the stale local one: {diff}");
}

#[tokio::test]
async fn a_long_diff_is_cut_by_file_and_the_rest_is_named() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Change").await;
    for name in ["1", "2", "3", "4", "5", "6"] {
        write(&folder_of(&git), name, "a line of text\n".repeat(2000));
    }
    let diff = git.diff(None, None).await.expect("a diff");
    assert!(diff.len() < 31_000, "{}", diff.len());
    assert!(diff.contains("… ") && diff.contains(" lines left out …\n"), "{diff}");
    assert!(
        diff.contains("2 more are left out here; GitDiff with a `path` shows one: 5 new, 6 new"),
        "{}",
        &diff[diff.len() - 300..]
    );
}

#[tokio::test]
async fn on_the_base_a_diff_shows_the_last_commit_and_nothing_can_be_written() {
    let fixture = Fixture::local().await;
    fixture.run("cd checkout && echo two >a.txt && git commit -qam Second").await;
    let git = on_base(&fixture).await;
    let diff = git.diff(None, None).await.expect("a diff");
    assert!(diff.contains("-one\n+two\n"), "{diff}");
    fixture.run("cd checkout && git switch -qc mine && echo three >a.txt && git commit -qam Third").await;
    assert!(git.diff(Some("HEAD"), None).await.expect("a diff").starts_with("No changes between "));
    assert_eq!(git.diff(Some("HEAD~1"), None).await, Ok(diff), "the base's head, not the checkout's");
    let error = git.commit_all("x", Selection::Everything).await.expect_err("no worktree");
    assert_eq!(error.what, "There is no worktree yet.");
    assert_eq!(git.push().await.expect_err("no worktree"), error);
}

#[tokio::test]
async fn a_snapshot_has_the_tracked_files_read_only_and_no_secrets() {
    let fixture = Fixture::local().await;
    fixture.run("cd checkout && mkdir -p d && touch d/run && chmod +x d/run && ln -s ../a.txt d/link && echo S >.env && echo S >d/.env.local && echo T >.env.example").await;
    fixture.run("cd checkout && git add -f . && git commit -qm More && git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub && git commit -qm Sub && echo untracked >u.txt").await;
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("a base").commit;
    let home = fixture.path("home");
    let (one, two) = tokio::join!(repository.snapshot(&base, &home), repository.snapshot(&base, &home));
    let folder = one.expect("written");
    assert_eq!(two, Ok(folder.clone()));
    assert_eq!(folder.file_name().and_then(|name| name.to_str()), Some(base.as_str()));
    let listing = fixture.run(&format!("cd {} && find . ! -name . | sort", folder.display())).await;
    assert_eq!(listing, "./.env.example\n./a.txt\n./d\n./d/link\n./d/run\n./sub");
    let mode = |name: &str| folder.join(name).symlink_metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("a.txt"), mode("d/run")), (0o444, 0o555));
    assert_eq!(std::fs::read_link(folder.join("d/link")).expect("a link"), Path::new("../a.txt"));
    let others = fixture.run(&format!("ls -A {}", folder.parent().expect("above").display())).await;
    assert_eq!(others, base.as_str(), "nothing half-written is left");
    let asked = ["a.txt", "missing", "d", "d/none", ""];
    let text = |text: &str| Ok([("a.txt".to_owned(), text.to_owned())].into());
    assert_eq!(repository.texts(&base, &asked).await, text("one\n"));
    write(&fixture.root(), "a.txt", "mine\n");
    assert_eq!(repository.texts(&base, &asked).await, text("mine\n"));
    repository.snapshot(&no_commit(), &home).await.expect_err("no such commit");
}

#[tokio::test]
async fn a_crafted_tree_writes_nothing_outside_its_snapshot() {
    let fixture = Fixture::local().await;
    let commit = {
        let git = git2::Repository::open(fixture.root()).expect("a repository");
        let odb = git.odb().expect("a store");
        let write = |kind, bytes: &[u8]| odb.write(kind, bytes).expect("written");
        let entry =
            |mode: &str, name: &str, id: git2::Oid| [format!("{mode} {name}\0").as_bytes(), id.as_bytes()].concat();
        let link = write(git2::ObjectType::Blob, fixture.path("outside").as_os_str().as_encoded_bytes());
        let file = write(git2::ObjectType::Blob, b"x");
        let inner = write(git2::ObjectType::Tree, &entry("100644", "x", file));
        // Two entries of one name, a link out and a folder to be written through it; and git's own folder.
        let entries = [entry("40000", ".GIT", inner), entry("120000", "a", link), entry("40000", "a", inner)];
        let tree = git.find_tree(write(git2::ObjectType::Tree, &entries.concat())).expect("a tree");
        let who = git2::Signature::now("X", "x@y").expect("someone");
        commit_id(git.commit(None, &who, &who, "Bad", &tree, &[]).expect("a commit"))
    };
    fixture.run("mkdir outside").await;
    let error = fixture.repository().snapshot(&commit, &fixture.path("home")).await.expect_err("refused");
    assert!(error.what.starts_with("Could not write"), "{error:?}");
    assert_eq!(fixture.run("ls outside").await, "");
}

#[tokio::test]
async fn a_snapshot_that_nobody_uses_any_more_is_removed_and_written_again_when_it_is_wanted() {
    let fixture = Fixture::local().await;
    let (repository, home) = (fixture.repository(), fixture.path("home"));
    let commit_of = |folder: &PathBuf| CommitId::new(folder.file_name().expect("a name").to_string_lossy());
    let mut snapshots: Vec<PathBuf> = Vec::new();
    for name in ["used", "unused", "new"] {
        fixture.run(&format!("cd checkout && git commit -q --allow-empty -m {name}")).await;
        let commit = repository.fetch_base(None).await.expect("a base").commit;
        if name == "new" {
            let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(8 * 24 * 3600);
            for folder in &snapshots {
                std::fs::File::open(folder).and_then(|folder| folder.set_modified(long_ago)).expect("set");
            }
            repository.snapshot(&commit_of(&snapshots[0]), &home).await.expect("it is there");
        }
        snapshots.push(repository.snapshot(&commit, &home).await.expect("written"));
    }
    assert_eq!(snapshots.iter().map(|folder| folder.is_dir()).collect::<Vec<_>>(), [true, false, true]);
    repository.snapshot(&commit_of(&snapshots[1]), &home).await.expect("written again");
    assert!(snapshots[1].join("a.txt").is_file());
}
