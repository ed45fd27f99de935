//! Records and merges in real repositories; the remote is another repository on the disk.

mod checkouts;

use super::*;
use crate::forge::PullState;
use crate::process::{Exit, Program};
use crate::thread::outside::PullFate;

struct Fixture {
    folder: tempfile::TempDir,
}

/// A remote without rules: a bare repository, fetched and pushed by plain git.
struct Bare {
    fixture: PathBuf,
    /// Run before the first push.
    before_push: std::sync::Mutex<Option<&'static str>>,
    /// Run after the first push, whose answer is lost then.
    lost: std::sync::Mutex<Option<&'static str>>,
    /// There is a file of this name while the remote does not answer.
    away: PathBuf,
}

impl Bare {
    fn answers(&self) -> Result<(), ForgeError> {
        if self.away.exists() { Err(super::refused("The remote is away.", "Wait.")) } else { Ok(()) }
    }
}

#[async_trait]
impl Upstream for Bare {
    async fn head(&self, branch: &str) -> Result<Option<CommitId>, ForgeError> {
        self.answers()?;
        sh(&self.fixture, "git -C checkout fetch -q ../remote.git '+refs/heads/*:refs/remotes/origin/*'").await;
        let found = sh(&self.fixture, &format!("git -C remote.git rev-parse -q --verify {branch} || true")).await;
        Ok((!found.is_empty()).then(|| CommitId::new(found)))
    }

    async fn heads(&self, branches: &[String]) -> Result<BTreeMap<String, CommitId>, ForgeError> {
        self.answers()?;
        let mut heads = BTreeMap::new();
        for branch in branches {
            let found = sh(&self.fixture, &format!("git -C remote.git rev-parse -q --verify {branch} || true")).await;
            heads.extend((!found.is_empty()).then(|| (branch.clone(), CommitId::new(found))));
        }
        Ok(heads)
    }

    async fn advance(&self, branch: &str, commit: &CommitId) -> Result<bool, ForgeError> {
        let before = self.before_push.lock().expect("not poisoned").take();
        if let Some(script) = before {
            sh(&self.fixture, script).await;
        }
        let script =
            format!("git -C checkout push -q ../remote.git {commit}:{branch} 2>/dev/null && echo yes || echo no");
        let done = sh(&self.fixture, &script).await == "yes";
        let lost = self.lost.lock().expect("not poisoned").take();
        if let Some(script) = lost {
            sh(&self.fixture, script).await;
            return Err(super::refused("The answer was lost.", "Wait."));
        }
        Ok(done)
    }
}

async fn sh(folder: &std::path::Path, script: &str) -> String {
    let who = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
    let mut program = Program::new("sh", folder).args(["-ec", script]).env("HOME", folder);
    for name in who {
        program = program.env(name, "owner");
    }
    let finished = program.merged().await.expect("sh runs");
    assert_eq!(finished.exit, Exit::Code(0), "{script}\n{}", finished.stdout.text());
    finished.stdout.text().trim_end().to_owned()
}

impl Fixture {
    /// A checkout on `main` with a branch `work` that adds `b.txt` and changes `a.txt` in two commits.
    async fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fixture
            .run("git init -q -b main checkout && cd checkout && echo one >a.txt && git add . && git commit -qm First")
            .await;
        fixture.run("cd checkout && git switch -qc work && echo two >a.txt && git commit -qam Change && echo b >b.txt && git add . && git commit -qm Add && git switch -q main").await;
        fixture
    }

    async fn run(&self, script: &str) -> String {
        sh(self.folder.path(), script).await
    }

    fn forge(&self, upstream: Option<Arc<dyn Upstream>>) -> Local {
        let root = self.folder.path().join("checkout");
        Local::new(root.clone(), root.join(".git"), ("CodeButler".to_owned(), "cb@localhost".to_owned()), upstream)
    }

    async fn with_remote(&self, before_push: Option<&'static str>) -> Local {
        self.with_faulty_remote(before_push, None).await
    }

    async fn with_faulty_remote(&self, before_push: Option<&'static str>, lost: Option<&'static str>) -> Local {
        self.run("git clone -q --bare checkout remote.git").await;
        let fixture = self.folder.path().to_path_buf();
        let (before_push, lost) = (std::sync::Mutex::new(before_push), std::sync::Mutex::new(lost));
        self.forge(Some(Arc::new(Bare { away: fixture.join("away"), fixture, before_push, lost })))
    }

    /// The fate of pull request 1 by a look at all of them.
    async fn fate(&self, forge: &Local) -> PullFate {
        let states = forge.changes(&[1]).await.expect("looked at");
        states.into_iter().next().expect("it is known").fate
    }

    async fn remote_main(&self, back: usize) -> CommitId {
        CommitId::new(self.run(&format!("git -C remote.git rev-parse main~{back}")).await)
    }

    async fn request(&self, number: u64) -> MergeRequest {
        MergeRequest {
            number,
            branch: "work".to_owned(),
            base: "main".to_owned(),
            head: CommitId::new(self.run("git -C checkout rev-parse work").await),
            title: "Do the work (#1)".to_owned(),
            message: "Because.\n\nRequested-by: Ana (U1)".to_owned(),
        }
    }
}

fn new(draft: bool) -> NewPullRequest {
    let own = str::to_owned;
    NewPullRequest {
        branch: own("work"),
        base: own("main"),
        title: own("Do the work"),
        body: own("Body"),
        evidence: None,
        draft,
    }
}

fn pull(number: u64, draft: bool) -> PullRequest {
    PullRequest { number, url: String::new(), title: "Do the work".to_owned(), draft }
}

#[tokio::test]
async fn opening_twice_finds_the_same_and_takes_the_draft_mark_off() {
    let fixture = Fixture::new().await;
    let forge = fixture.forge(None);
    assert_eq!(forge.open(&new(true)).await, Ok(pull(1, true)));
    assert_eq!(forge.open(&new(true)).await, Ok(pull(1, true)));
    assert_eq!(fixture.forge(None).open(&new(false)).await, Ok(pull(1, false)), "another process");
    assert_eq!(forge.find_open(&new(false).branch).await, Ok(Some(1)));
    assert_eq!(forge.find_open("codebutler/other").await, Ok(None));
    let head = fixture.request(1).await.head;
    let status = |state: &str, mergeable| PullRequestStatus {
        state: state.to_owned(),
        mergeable,
        head: head.clone(),
        reviews: vec![],
        checks: vec![],
    };
    assert_eq!(forge.status(1).await, Ok(status("open", Some(true))));
    for _ in 0..2 {
        forge.close(1).await.expect("closed");
    }
    assert_eq!(forge.status(1).await, Ok(status("closed", None)));
    assert_eq!(forge.find_open(&new(false).branch).await, Ok(None));
    assert_eq!(forge.open(&new(false)).await, Ok(pull(2, false)), "a closed one stays closed");
    let error = refused(forge.merge(&fixture.request(1).await).await);
    assert_eq!(error.what, "Pull request #1 is closed.");
    assert_eq!(forge.status(7).await.expect_err("none").what, "There is no pull request #7.");
}

#[tokio::test]
async fn without_a_remote_a_merge_moves_the_clean_checkout_along() {
    let fixture = Fixture::new().await;
    let forge = fixture.forge(None);
    forge.open(&new(false)).await.expect("opened");
    fixture
        .run("cd checkout && echo mine >untracked.txt && echo x >c.txt && git add c.txt && git commit -qm Other")
        .await;
    let request = fixture.request(1).await;
    let commit = forge.merge(&request).await.expect("merged");
    let shown = fixture.run("cd checkout && git status --porcelain && git rev-parse HEAD && git log -1 --format='%an%n%B' && cat a.txt b.txt c.txt && git log --oneline | wc -l").await;
    let message =
        format!("Do the work (#1)\n\nBecause.\n\nRequested-by: Ana (U1)\nCodebutler-Pull: 1 head={}", request.head);
    assert_eq!(shown, format!("?? untracked.txt\n{commit}\nCodeButler\n{message}\n\ntwo\nb\nx\n3"));
    assert_eq!(forge.merge(&request).await, Ok(commit.clone()), "merged is merged");
    assert_eq!(forge.status(1).await.map(|status| (status.state, status.head)), Ok(("merged".to_owned(), commit)));
}

#[tokio::test]
async fn a_checkout_elsewhere_is_left_alone_and_a_dirty_one_is_refused() {
    let fixture = Fixture::new().await;
    let forge = fixture.forge(None);
    forge.open(&new(false)).await.expect("opened");
    let request = fixture.request(1).await;
    for mess in ["echo mine >a.txt", "echo mine >a.txt && git add a.txt", "git checkout -q -f main && echo mine >b.txt"]
    {
        fixture.run(&format!("cd checkout && {mess}")).await;
        let error = refused(forge.merge(&request).await);
        assert_eq!(error.what, "Your checkout is on `main` and has changes that are not committed.", "{mess}");
        assert!(error.hint.contains("merge --squash work && git -C "), "{error:?}");
        assert_eq!(fixture.run("git -C checkout log -1 --format=%s main").await, "First");
    }
    fixture.run("cd checkout && git switch -qc mine && git worktree add -q ../beside main").await;
    let error = refused(forge.merge(&request).await);
    assert!(error.what.starts_with("`main` is checked out in `"), "{error:?}");
    fixture.run("cd checkout && git worktree remove ../beside && echo dirty >a.txt").await;
    let commit = forge.merge(&request).await.expect("merged");
    let shown = fixture.run("cd checkout && git rev-parse main && git status --porcelain").await;
    assert_eq!(shown, format!("{commit}\n M a.txt\n?? b.txt"));
}

#[tokio::test]
async fn a_merge_cut_at_any_point_is_done_once() {
    let fixture = Fixture::new().await;
    let forge = fixture.forge(None);
    forge.open(&new(false)).await.expect("opened");
    let request = fixture.request(1).await;
    // Between checkout and branch.
    fixture.run("cd checkout && git read-tree -u --reset work").await;
    let commit = forge.merge(&request).await.expect("merged");
    assert_eq!(fixture.run("git -C checkout status --porcelain").await, "");
    // Between branch and record, and someone went on meanwhile.
    fixture
        .run(
            "sed -i 's/\"merged\"/\"open\"/; s/\"merged\": .*/\"merged\": null/' checkout/.git/codebutler/pulls/1.json",
        )
        .await;
    fixture.run("cd checkout && sed -i 's/\"open\": null/\"merged\": null/' .git/codebutler/pulls/1.json && git commit -q --allow-empty -m Later").await;
    assert_eq!(forge.status(1).await.map(|status| status.state), Ok("open".to_owned()));
    assert_eq!(forge.merge(&request).await, Ok(commit));
    assert_eq!(fixture.run("git -C checkout log --format=%s main").await, "Later\nDo the work (#1)\nFirst");
}

#[tokio::test]
async fn drafts_other_heads_and_conflicts_are_refused_in_words() {
    let fixture = Fixture::new().await;
    let forge = fixture.forge(None);
    forge.open(&new(true)).await.expect("opened");
    let request = fixture.request(1).await;
    assert_eq!(refused(forge.merge(&request).await).what, "Pull request #1 is a draft: its work is not finished.");
    forge.open(&new(false)).await.expect("ready");
    fixture.run("cd checkout && echo other >a.txt && git commit -qam Other").await;
    assert_eq!(forge.status(1).await.map(|status| status.mergeable), Ok(Some(false)));
    let error = refused(forge.merge(&request).await);
    assert_eq!(error.what, "`work` conflicts with `main` in `a.txt`.");
    fixture.run("cd checkout && git reset -q --hard HEAD~ && git switch -q work && git commit -q --allow-empty -m More && git switch -q main").await;
    let error = refused(forge.merge(&request).await);
    assert!(error.what.contains("has another head than the reviewed"), "{error:?}");
}

#[tokio::test]
async fn what_was_merged_by_hand_counts_as_merged() {
    let fixture = Fixture::new().await;
    let forge = fixture.forge(None);
    forge.open(&new(false)).await.expect("opened");
    let request = fixture.request(1).await;
    fixture.run("cd checkout && git merge -q --no-ff -m Merge work && git branch -D work").await;
    let main = CommitId::new(fixture.run("git -C checkout rev-parse main").await);
    assert_eq!(forge.merge(&request).await, Ok(main));
}

#[tokio::test]
async fn with_another_remote_the_squash_goes_to_its_base_and_the_checkout_stays() {
    let fixture = Fixture::new().await;
    let forge = fixture.with_remote(None).await;
    forge.open(&new(false)).await.expect("opened");
    let commit = forge.merge(&fixture.request(1).await).await.expect("merged");
    assert_eq!(fixture.run("git -C remote.git rev-parse main").await, commit.to_string());
    assert_eq!(fixture.run("git -C checkout log -1 --format=%s main").await, "First");
}

#[tokio::test]
async fn a_base_that_moves_during_the_merge_is_merged_to_anew() {
    let fixture = Fixture::new().await;
    let moves = "git clone -q remote.git other && cd other && echo x >x.txt && git add . && git commit -qm Meanwhile && git push -q";
    let forge = fixture.with_remote(Some(moves)).await;
    forge.open(&new(false)).await.expect("opened");
    forge.merge(&fixture.request(1).await).await.expect("merged");
    let shown = fixture.run("git -C remote.git log --format=%s main").await;
    assert_eq!(shown, "Do the work (#1)\nMeanwhile\nFirst");
}

#[tokio::test]
async fn one_look_says_what_became_of_the_records_and_their_branches() {
    let fixture = Fixture::new().await;
    let forge = fixture.with_remote(None).await;
    let state = |head: &CommitId, fate, branch_gone| PullState {
        number: 1,
        fate,
        branch: "work".to_owned(),
        head: head.clone(),
        branch_gone,
        by: None,
        author: None,
    };
    assert_eq!(forge.changes(&[1]).await, Ok(Vec::new()), "none is known");
    forge.open(&new(false)).await.expect("opened");
    let head = fixture.request(1).await.head;
    assert_eq!(forge.changes(&[1, 2]).await, Ok(vec![state(&head, PullFate::Open, false)]));
    // A branch that was only set back is not merged.
    fixture.run("git -C remote.git update-ref refs/heads/work main").await;
    let main = CommitId::new(fixture.run("git -C remote.git rev-parse main").await);
    assert_eq!(forge.changes(&[1]).await, Ok(vec![state(&main, PullFate::Open, false)]));
    fixture.run("git -C remote.git branch -D work").await;
    assert_eq!(forge.changes(&[1]).await, Ok(vec![state(&head, PullFate::Closed, true)]));
    fixture.run("cd checkout && git push -q ../remote.git work && git push -q ../remote.git work:main").await;
    let merged = PullFate::Merged { commit: head.clone() };
    assert_eq!(forge.changes(&[1]).await, Ok(vec![state(&head, merged, false)]));
    forge.close(1).await.expect("closed");
    assert_eq!(forge.changes(&[1]).await, Ok(vec![state(&head, PullFate::Closed, false)]));
}

/// Someone else pushes on top of what the remote has.
const ON_TOP: &str =
    "git clone -q remote.git other && cd other && git commit -q --allow-empty -m Later && git push -q && cd ..";

/// Someone else pushes on top of the branch.
const PUSHED_TO: &str = "git clone -q -b work remote.git other && cd other && git commit -q --allow-empty -m Later && \
                         git push -q && cd ../checkout && git fetch -q ../remote.git work";

#[tokio::test]
async fn a_merge_in_doubt_is_found_by_the_next_look() {
    // The reviewed head is not the one that it was opened with, and may not even build on it.
    let cases = [
        ("-m More", "true", "true", 0),
        ("--amend -m Anew", ON_TOP, "true", 1),
        ("-m More", "true", "git -C remote.git branch -D work", 0),
        ("-m More", ON_TOP, "git -C remote.git update-ref refs/heads/work main", 1),
        ("-m More", "true", PUSHED_TO, 0),
    ];
    for (more, after, branch, back) in cases {
        let fixture = Fixture::new().await;
        let forge = fixture.with_faulty_remote(None, Some("touch away")).await;
        forge.open(&new(false)).await.expect("opened");
        let more = format!("git switch -q work && git commit -q --allow-empty {more} && git switch -q main");
        fixture.run(&format!("cd checkout && {more} && git push -qf ../remote.git work")).await;
        let request = fixture.request(1).await;
        let merged = forge.merge(&request).await;
        assert!(matches!(merged, Err(MergeError::Unknown(_))), "{merged:?}");
        forge.changes(&[1]).await.expect_err("the remote is away");
        fixture.run(&format!("rm away && {after}")).await;
        fixture.run(branch).await;
        let commit = fixture.remote_main(back).await;
        assert_eq!(fixture.fate(&forge).await, PullFate::Merged { commit }, "{more}; {after}; {branch}");
        let states = forge.changes(&[1]).await.expect("a look");
        assert_eq!(states[0].head, request.head, "what came to the branch later was not merged: {branch}");
    }
}

#[tokio::test]
async fn a_mark_of_another_pull_request_is_no_merge_of_this_one() {
    let fixture = Fixture::new().await;
    let forge = fixture.with_remote(None).await;
    forge.open(&new(false)).await.expect("opened");
    let request = fixture.request(1).await;
    let first = fixture.run("git -C checkout rev-parse main").await;
    // Of another clone, which counts from one too; and of a number that begins with this one.
    for mark in [format!("1 head={first}"), format!("11 head={}", request.head)] {
        fixture
            .run(&format!(
                "git -C checkout commit -q --allow-empty -m 'Other' -m 'Codebutler-Pull: {mark}' && \
                 git -C checkout push -q ../remote.git main"
            ))
            .await;
        assert_eq!(fixture.fate(&forge).await, PullFate::Open, "{mark}");
    }
}

#[tokio::test]
async fn a_merge_that_cannot_be_recorded_is_a_merge() {
    for remote in [true, false] {
        let fixture = Fixture::new().await;
        let forge = if remote { fixture.with_remote(None).await } else { fixture.forge(None) };
        forge.open(&new(false)).await.expect("opened");
        // Where the new record is written before it takes the old one's place.
        fixture.run("mkdir checkout/.git/codebutler/pulls/1.tmp").await;
        let request = fixture.request(1).await;
        let commit = forge.merge(&request).await.expect("merged");
        assert_eq!(forge.status(1).await.map(|status| status.state), Ok("open".to_owned()), "it was not recorded");
        assert_eq!(fixture.fate(&forge).await, PullFate::Merged { commit: commit.clone() });
        fixture.run("rmdir checkout/.git/codebutler/pulls/1.tmp").await;
        assert_eq!(forge.merge(&request).await, Ok(commit.clone()));
        assert_eq!(forge.status(1).await.map(|status| status.head), Ok(commit));
    }
}

#[tokio::test]
async fn a_remote_that_cannot_be_looked_at_leaves_a_merge_unknown() {
    let fixture = Fixture::new().await;
    let forge = fixture.with_remote(None).await;
    forge.open(&new(false)).await.expect("opened");
    let request = fixture.request(1).await;
    fixture.run("touch away").await;
    let merged = forge.merge(&request).await;
    assert!(matches!(merged, Err(MergeError::Unknown(_))), "{merged:?}");
    fixture.run("rm away && git -C remote.git branch -D work").await;
    assert_eq!(refused(forge.merge(&request).await).what, "The branch `work` is gone.");
}

#[tokio::test]
async fn after_a_lost_answer_the_base_tells_whether_it_is_merged() {
    for (lost, back) in [("true", 0), (ON_TOP, 1)] {
        let fixture = Fixture::new().await;
        let forge = fixture.with_faulty_remote(None, Some(lost)).await;
        forge.open(&new(false)).await.expect("opened");
        let merged = forge.merge(&fixture.request(1).await).await;
        assert_eq!(merged, Ok(fixture.remote_main(back).await), "{lost}");
    }
    for lost in
        ["git -C remote.git update-ref refs/heads/main main~", "git -C remote.git update-ref -d refs/heads/main"]
    {
        let fixture = Fixture::new().await;
        let forge = fixture.with_faulty_remote(None, Some(lost)).await;
        forge.open(&new(false)).await.expect("opened");
        let error = refused(forge.merge(&fixture.request(1).await).await);
        assert_eq!(error.what, "The answer was lost.", "{lost}");
    }
}

/// Why it is certain that nothing was merged.
fn refused(merged: Result<CommitId, MergeError>) -> ForgeError {
    match merged {
        Err(MergeError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}
