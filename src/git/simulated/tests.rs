//! The simulated repository keeps what the real one promises.

use std::path::Path;

use futures_util::FutureExt as _;

use super::*;
use crate::git::diff::DiffStat;
use crate::git::{Selection, tests::key};
use crate::simulation::probe::Verdict;

struct World {
    folder: tempfile::TempDir,
    git: SimulatedGit,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let git = SimulatedGit::new(folder.path(), &[("a.txt", "one\n"), ("src/b.txt", "b\n")]);
        Self { folder, git }
    }

    async fn make(&self) -> Result<Workspace, GitError> {
        let base = self.git.fetch_base(None).await?;
        self.git.create_worktree(&key("1"), "Add b", &base, "codebutler/").await
    }

    fn thread(&self, workspace: &Workspace) -> Arc<dyn BranchGit> {
        let author = Author::parse("CodeButler <c@localhost>").expect("a good author");
        self.git.at(View::Worktree(Arc::new(workspace.clone())), author, "Ana (U1)".to_owned())
    }

    fn folder(&self) -> std::path::PathBuf {
        self.folder.path().join(".codebutler/branches/add-b")
    }
}

fn write(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).expect("written");
}

#[tokio::test]
async fn from_a_worktree_to_a_merge_and_nothing_is_done_twice() {
    let world = World::new();
    let workspace = world.make().await.expect("made");
    assert_eq!((workspace.slug.as_str(), workspace.branch.as_str()), ("add-b", "codebutler/add-b"));
    world.git.exclude(&["/node_modules/"]).expect("excluded");
    std::fs::create_dir(world.folder().join("node_modules")).expect("a folder");
    write(&world.folder(), "node_modules/x", "x");
    let thread = world.thread(&workspace);
    assert_eq!((thread.has_commits().await, thread.uncommitted().await), (Ok(false), Ok(vec![])));

    write(&world.folder(), "a.txt", "two\ntwo\n");
    write(&world.folder(), "stray", "x");
    assert_eq!(thread.diff(None, Some("a")).await.expect("a diff"), "a.txt\ntwo\ntwo\n");
    let selection = Selection::TrackedAnd(["c".to_owned()].into());
    let done = thread.commit_all("Add b", selection.clone()).await.expect("committed");
    let head = done.commit.clone().expect("a commit");
    assert_eq!((done.files.as_slice(), done.left_out.len()), (&["a.txt".to_owned()][..], 1));
    assert_eq!(thread.commit_all("Add b", selection).await, Ok(done), "a repeat finds it");
    std::fs::remove_file(world.folder().join("stray")).expect("removed");
    let nothing = thread.commit_all("Other", Selection::Everything).await.expect("nothing to do");
    assert_eq!(nothing.commit, None);
    assert_eq!(thread.diff_stat().await, Ok(DiffStat { files: 1, added: 2, removed: 1 }));
    let log = format!("* {} Add b\n* {} First commit\n", head.short(), workspace.base.short());
    assert_eq!(thread.log(None, 10).await, Ok(log));
    for _ in 0..2 {
        assert_eq!(thread.push().await.expect("pushed").head, head);
    }
    assert_eq!(world.git.remote_head(&workspace.branch).await, Ok(Some(head.clone())));
    assert_eq!(world.git.message(&head), "Add b\n\nAuthor: CodeButler <c@localhost>\nRequested-by: Ana (U1)");

    world.git.somebody_pushes("main", &[("src/b.txt", "new\n")]);
    assert!(world.git.fits(&head, "main"));
    let merged = world.git.squash(&head, "main", "Add b (#1)").expect("it fits");
    let files = owned(&[("a.txt", "two\ntwo\n"), ("src/b.txt", "new\n")]);
    assert_eq!((world.git.files(&merged), world.git.remote_heads()["main"].clone()), (files, merged.clone()));
    assert!(!world.git.is_in(&head, &merged));
    assert!(world.git.delete_remote_branch(&workspace.branch) && !world.git.delete_remote_branch(&workspace.branch));
    for _ in 0..2 {
        assert_eq!(world.git.remove_worktree(&workspace, Some(&head)).await, Vec::<String>::new());
    }
    assert_eq!((world.git.workspace_of(&key("1")).await, world.git.local_head(&workspace.branch)), (None, None));
    let (head, merged) = (head.short(), merged.short());
    let expected = [
        "create worktree add-b".to_owned(),
        format!("commit codebutler/add-b {head} Add b"),
        format!("push codebutler/add-b {head}"),
        format!("squash {head} onto main as {merged}"),
        "delete remote branch codebutler/add-b".to_owned(),
        "remove worktree add-b".to_owned(),
    ];
    assert_eq!(world.git.deeds(), expected);
}

#[tokio::test]
async fn a_life_cut_at_any_label_is_made_good_by_the_next() {
    let run = async |world: &World| {
        let workspace = world.make().await.expect("made");
        write(&world.folder(), "a.txt", "two\n");
        let thread = world.thread(&workspace);
        thread.commit_all("Add b", Selection::Everything).await.expect("committed");
        thread.push().await.expect("pushed");
    };
    let mut cut = 0;
    loop {
        let mut world = World::new();
        let passed = std::sync::atomic::AtomicUsize::new(0);
        let probe = Probe::new(move |_| {
            let at = passed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if at == cut { Verdict::Crash } else { Verdict::Go }
        });
        world.git = world.git.reborn(probe);
        let ended = run(&world).now_or_never().is_some();
        world.git = world.git.reborn(Probe::none());
        if ended {
            break;
        }
        run(&world).await;
        let deeds = world.git.deeds();
        let kinds: Vec<&str> = deeds.iter().filter_map(|deed| deed.split(' ').next()).collect();
        assert_eq!(kinds, ["create", "commit", "push"], "cut at label {cut}: {deeds:?}");
        cut += 1;
    }
    assert_eq!(cut, 9, "all labels were cut at");
}

#[tokio::test]
async fn unkind_remotes_and_owners() {
    let world = World::new();
    let workspace = world.make().await.expect("made");
    let thread = world.thread(&workspace);
    write(&world.folder(), "a.txt", "two\n");
    thread.commit_all("Add b", Selection::Everything).await.expect("committed");
    world.git.somebody_pushes(&workspace.branch, &[("a.txt", "theirs\n")]);
    let error = thread.push().await.expect_err("rejected");
    assert!(error.what.contains("has commits that this worktree has not"), "{error:?}");
    world.git.somebody_pushes("main", &[("a.txt", "three\n")]);
    let head = thread.head().await.expect("a head");
    assert!(!world.git.fits(&head, "main"));
    assert_eq!(world.git.squash(&head, "main", "x"), Err(vec!["a.txt".to_owned()]));

    world.git.set_online(false);
    assert!(world.git.fetch_base(None).await.expect("the last known").notice.is_some());
    assert!(world.git.remote_head("main").await.is_err() && thread.push().await.is_err());
    let left = world.git.remove_worktree(&workspace, None).await;
    assert_eq!(left, ["The branch `codebutler/add-b` was kept: it has commits that are nowhere else."]);

    world.git.owner_edits("a.txt", "mine");
    let texts = world.git.texts(&workspace.base, &["a.txt", "src/b.txt", "none"]).await.expect("texts");
    let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(texts, [("a.txt", "mine"), ("src/b.txt", "b\n")]);
    let snapshot = world.git.snapshot(&workspace.base, world.folder.path()).await.expect("a snapshot");
    assert_eq!(std::fs::read_to_string(snapshot.join("src/b.txt")).expect("a file"), "b\n");
}

#[tokio::test]
async fn faults_strike_before_after_or_silence_the_answer() {
    let world = World::new();
    let workspace = world.make().await.expect("made");
    let thread = world.thread(&workspace);
    let commits = async |fault, text: &str| {
        write(&world.folder(), "a.txt", text);
        world.git.inject("commit_all", fault, 1);
        let before = world.git.local_head(&workspace.branch);
        let answer = thread.commit_all("Add b", Selection::Everything).now_or_never();
        (answer.map(|result| result.is_ok()), world.git.local_head(&workspace.branch) != before)
    };
    assert_eq!(commits(Fault::Before, "1").await, (Some(false), false));
    assert_eq!(commits(Fault::After, "2").await, (Some(false), true));
    assert_eq!(commits(Fault::Unanswered, "3").await, (None, true));
    let probe = |label: &'static str| Probe::new(move |at| if at == label { Verdict::Fail } else { Verdict::Go });
    assert!(world.git.reborn(probe("git.remote_head.start")).remote_head("main").await.is_err());
    assert!(world.git.reborn(probe("git.remote_head.end")).remote_head("main").await.is_err());
    let base = world.git.fetch_base(None).await.expect("a base");
    let cut = world.git.reborn(probe("git.create_worktree.half"));
    assert!(cut.create_worktree(&key("2"), "Add b", &base, "codebutler/").await.is_err());
    let made = world.git.create_worktree(&key("2"), "Other", &base, "codebutler/").await.expect("completed");
    assert_eq!(made.slug, "add-b-2");
    assert!(world.git.worktree_path(&made).join("a.txt").exists());
    assert_eq!(world.git.restore_worktree(&key("2"), &made).await, Ok(Condition::Whole));
    world.git.delete_folder(&made);
    assert!(!world.git.is_whole(&made));
    let lost = Ok(Condition::Lost(made.base.clone()));
    assert_eq!(world.git.restore_worktree(&key("2"), &made).await, lost);
    assert!(world.git.is_whole(&made) && world.git.worktree_path(&made).join("a.txt").exists());
    world.git.delete_folder(&made);
    assert!(world.git.delete_local_branch(&made.branch));
    assert!(world.git.restore_worktree(&key("2"), &made).await.is_err());
    let theirs = world.git.somebody_pushes(&made.branch, &[]);
    assert_eq!(world.git.restore_worktree(&key("2"), &made).await, Ok(Condition::Lost(theirs)));
}
