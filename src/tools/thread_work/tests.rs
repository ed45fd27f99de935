//! The git tools on real repositories, with the local forge.

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::forge::{ForgeError, Local, MergeError, MergeRequest, PullRequestStatus, PullState};
use crate::git::tests::{Fixture, author, folder_of, write};
use crate::git::{ThreadGit, View};
use crate::ids::CommitId;
use crate::sandbox::HostShell;
use crate::tools::workspace::Access;
use crate::tools::{KnownFiles, Place, Tool};
use crate::tools::{
    gh_create_pr::GhCreatePr, gh_status::GhStatus, git_commit::GitCommit, git_diff::GitDiff, git_log::GitLog,
    git_push::GitPush,
};

/// A forge that opens nothing.
struct Broken;

#[async_trait]
impl Forge for Broken {
    async fn open(&self, _: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        Err(ForgeError { what: "It is broken.".to_owned(), hint: "Mend it.".to_owned() })
    }
    async fn find_open(&self, _: &str) -> Result<Option<u64>, ForgeError> {
        Ok(None)
    }
    async fn status(&self, _: u64) -> Result<PullRequestStatus, ForgeError> {
        Err(ForgeError { what: "It is broken.".to_owned(), hint: "Mend it.".to_owned() })
    }
    async fn changes(&self, _: &[u64]) -> Result<Vec<PullState>, ForgeError> {
        unreachable!("nothing here watches")
    }

    async fn merge(&self, request: &MergeRequest) -> Result<CommitId, MergeError> {
        Ok(request.head.clone())
    }
    async fn close(&self, _: u64) -> Result<(), ForgeError> {
        Ok(())
    }
}

fn context(git: ThreadGit, place: &std::path::Path, forge: Arc<dyn Forge>) -> ToolContext {
    let footer = "Asked by Ana.".to_owned();
    ToolContext {
        place: Arc::new(Place::open(place, Access::Write).expect("opens")),
        known_files: KnownFiles::default(),
        cancel: CancellationToken::new(),
        bash_timeout: Duration::from_secs(120),
        home: place.join("home"),
        shell: Arc::new(HostShell),
        work: Arc::new(ThreadWork { git: Arc::new(git), forge, pull: None, footer }),
        caps: crate::agent::output::Caps::for_context(128_000),
        outputs: Arc::new(crate::tools::outputs::KeptInMemory::default()),
    }
}

async fn coder(fixture: &Fixture) -> ToolContext {
    let repository = fixture.repository();
    let own = (author().name, author().mail);
    let forge = Local::new(fixture.root(), repository.common_dir().into(), own, None);
    let git = fixture.thread(&repository, "Add b").await;
    let folder = folder_of(&git);
    context(git, &folder, Arc::new(forge))
}

async fn run(context: &ToolContext, tool: &dyn Tool, arguments: &str) -> (String, Vec<Deed>) {
    match tool.run(context, arguments).await {
        Ok(output) => (output.text, output.deeds),
        Err(error) => (format!("error: {error}"), Vec::new()),
    }
}

#[tokio::test]
async fn from_a_change_to_a_pull_request() {
    let fixture = Fixture::with_remote().await;
    let mut context = coder(&fixture).await;
    let root = context.place.root().to_path_buf();
    let (text, _) = run(&context, &GitPush, "{}").await;
    assert_eq!(
        text,
        "error: The branch `codebutler/add-b` has no commits of its own yet. Commit with GitCommit first."
    );
    write(&root, "b.txt", "b\n");
    let (text, _) = run(&context, &GhCreatePr, r#"{"title":"Add b","body":""}"#).await;
    assert!(text.ends_with("Commit with GitCommit first. Not committed and so not in it: b.txt."), "{text}");
    let (text, _) = run(&context, &GitDiff, &format!(r#"{{"path":"{}/b.txt"}}"#, root.display())).await;
    assert!(text.contains("  b.txt new (+1 -0)\n") && text.contains("+b\n"), "{text}");

    write(&root, ".env", "S=1");
    let (text, deeds) = run(&context, &GitCommit, r#"{"message":"Add b"}"#).await;
    let head = context.work.git.head().await.expect("a head");
    assert_eq!(
        text,
        format!("Committed `{}` with 1 file:\n- b.txt\nLeft out:\n- `.env` may hold secrets", head.short())
    );
    assert_eq!(deeds, [Deed::Committed(head.clone())]);
    std::fs::remove_file(root.join(".env")).expect("removed");
    let (text, deeds) = run(&context, &GitCommit, r#"{"message":"Again"}"#).await;
    assert_eq!(
        (text.as_str(), deeds),
        ("There was nothing to commit: the workspace is as in the last commit.", vec![])
    );
    let (text, _) = run(&context, &GitLog, r#"{"limit":"1","path":"b.txt"}"#).await;
    assert!(text.starts_with("* ") && text.ends_with(": Add b\n"), "{text}");
    assert_eq!(run(&context, &GitLog, r#"{"path":"none"}"#).await.0, "No commit changed `none`.");

    write(&root, "a.txt", "more\n");
    let (text, deeds) = run(&context, &GitPush, "{}").await;
    let at = head.short();
    assert_eq!(text, format!("`codebutler/add-b` on `origin` is at `{at}`. Not committed and so not in it: a.txt."));
    assert_eq!(deeds, [Deed::Pushed(head.clone())]);
    let (text, deeds) = run(&context, &GhCreatePr, r#"{"title":" Add b ","body":"Why."}"#).await;
    assert_eq!(text, "Pull request #1 “Add b” is open. Not committed and so not in it: a.txt.");
    let pull = PullRequest { number: 1, url: String::new(), title: "Add b".to_owned(), draft: false };
    assert_eq!(deeds, [Deed::Pushed(head.clone()), Deed::Opened(pull.clone())]);
    let record = std::fs::read_to_string(fixture.root().join(".git/codebutler/pulls/1.json")).expect("a record");
    assert!(record.contains(r#""body": "Why.\n\n---\nAsked by Ana.""#), "{record}");

    assert_eq!(run(&context, &GhStatus, "{}").await.0, "This thread has no pull request yet.");
    context.work = Arc::new(ThreadWork { pull: Some(pull), ..(*context.work).clone() });
    let (text, _) = run(&context, &GhStatus, "").await;
    let expected = "Mergeable: no conflicts with its base\nReviews: none\nChecks: none";
    assert_eq!(text, format!("Pull request #1 “Add b”: open.\nHead: {at}\n{expected}"));
    let (text, _) = run(&context, &GhCreatePr, r#"{"title":"Other","body":""}"#).await;
    assert!(text.starts_with("Pull request #1 “Add b” was open already and has your commits now."), "{text}");
}

#[tokio::test]
async fn a_pull_request_that_fails_still_tells_of_the_push() {
    let fixture = Fixture::with_remote().await;
    let mut context = coder(&fixture).await;
    write(context.place.root(), "b.txt", "b\n");
    run(&context, &GitCommit, r#"{"message":"Add b"}"#).await;
    context.work = Arc::new(ThreadWork { forge: Arc::new(Broken), ..(*context.work).clone() });
    let (text, deeds) = run(&context, &GhCreatePr, r#"{"title":"Add b","body":""}"#).await;
    assert_eq!(text, "The branch was pushed, but there is no pull request: It is broken. Mend it.");
    assert_eq!(deeds, [Deed::Pushed(context.work.git.head().await.expect("a head"))]);
    assert_eq!(run(&context, &GhCreatePr, r#"{"title":" ","body":""}"#).await.1, []);
}

#[tokio::test]
async fn before_a_worktree_one_can_look_and_no_more() {
    let fixture = Fixture::local().await;
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("a base");
    let git = ThreadGit::new(repository, View::Base(base.commit), author(), "Ana (U1)".to_owned());
    let context = context(git, &fixture.root(), Arc::new(Broken));
    assert!(run(&context, &GitLog, "{}").await.0.ends_with(" Owner: First commit\n"));
    assert!(run(&context, &GitDiff, "{}").await.0.contains("a.txt new (+1 -0)"));
    for (tool, arguments) in
        [(&GitCommit as &dyn Tool, r#"{"message":"x"}"#), (&GitPush, "{}"), (&GhCreatePr, r#"{"title":"x","body":""}"#)]
    {
        let (text, _) = run(&context, tool, arguments).await;
        assert!(text.starts_with("error: There is no worktree yet. "), "{text}");
    }
}

#[tokio::test]
async fn a_stop_ends_the_wait() {
    let fixture = Fixture::local().await;
    let context = coder(&fixture).await;
    context.cancel.cancel();
    let waited = unless_stopped(&context, std::future::pending::<Result<(), ToolError>>()).await;
    assert_eq!(waited, Err(ToolError::for_model("Stopped before it was done.")));
}
