//! The end of the work: publishing what the Coder did, merging, cleaning up.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use super::tool::{restore, thread_work};
use crate::agent::Role;
use crate::forge::{Forge, ForgeError, MergeRequest};
use crate::git::{Git, Selection};
use crate::ids::CommitId;
use crate::offload::offload;
use crate::runtime::project::Project;
use crate::runtime::publish;
use crate::thread::command::{Deed, NotMerged};
use crate::thread::event::Failure;
use crate::thread::outside::PullFate;
use crate::thread::state::Publishing;
use crate::thread::{Command, Thread};
use crate::tools::ThreadWork;

/// Commits what the Coder left uncommitted, pushes, and opens the pull request (`contract.md` 5).
pub(super) fn publish(
    project: Arc<Project>,
    thread: &Thread,
    publishing: Publishing,
) -> impl Future<Output = Command> + use<> {
    let (key, work) = (thread.key.clone(), thread_work(&project, thread, Role::Coder));
    let title = thread
        .approved
        .as_ref()
        .map_or_else(|| "Work of a CodeButler thread".to_owned(), |(plan, _)| plan.title.clone());
    let evidence = crate::render::evidence::section(&crate::thread::evidence::report(thread, &publishing, false));
    async move {
        let run = publishing.run;
        let Some(work) = work else {
            let what = "The worktree is gone.".to_owned();
            let hint = "Open a new thread for the work.".to_owned();
            return Command::PublishDone { run, result: Err(Failure { what, hint }), deeds: Vec::new() };
        };
        if let Ok(workspace) = work.git.workspace() {
            // What a command left running would go on changing what is published.
            let root = project.repository.worktree_path(workspace);
            project.shell.end_leftovers(&root, &project.home_of(&key)).await;
        }
        let restored = match work.git.workspace() {
            Ok(workspace) => restore(&project, &key, workspace).await,
            Err(error) => Err(error),
        };
        let lost = match restored {
            Ok(lost) => lost,
            Err(error) => return Command::PublishDone { run, result: Err(error.into()), deeds: Vec::new() },
        };
        let (mut result, deeds) = publish::publish(&work, &publishing, &title, &evidence).await;
        if let (Ok(publication), Some(head)) = (&mut result, lost) {
            publication.left_out.push(format!(
                "what was not committed: the worktree had been deleted and was made again from `{}`",
                head.short()
            ));
        }
        if result.is_err() {
            // Someone else may be the reason; then `!retry` does something else.
            project.pulls_asked.notify_one();
        }
        let opened = deeds.iter().find_map(|deed| match deed {
            Deed::Opened(pull) => Some(pull),
            Deed::Committed(_) | Deed::Pushed(_) | Deed::Context(_) | Deed::Touched | Deed::FoundForeign(_) => None,
        });
        // A local pull request has no page of its own that could show its diff. What was left out is not in it.
        if let (Ok(publication), Some(pull)) = (&mut result, opened)
            && pull.url.is_empty()
        {
            publication.diff = work.git.diff_commits().await.ok();
        }
        Command::PublishDone { run, result, deeds }
    }
}

/// Squash-merges exactly the head that was reviewed.
pub(super) fn merge(project: Arc<Project>, thread: &Thread, head: CommitId) -> impl Future<Output = Command> + use<> {
    let request = match (&thread.pull, thread.workspace()) {
        (Some(pull), Some(workspace)) => Ok(MergeRequest {
            number: pull.number,
            branch: workspace.branch.clone(),
            base: workspace.base_branch.clone(),
            head,
            title: format!("{} (#{})", pull.title, pull.number),
            message: message(thread),
        }),
        _ => Err(NotMerged::Refused(Failure {
            what: "There is no pull request with a branch to merge.".to_owned(),
            hint: "Merge it by hand, then `!close` this thread.".to_owned(),
        })),
    };
    let draft = thread.pull.as_ref().is_some_and(|pull| pull.draft);
    async move {
        if let (Ok(request), true) = (&request, draft)
            && let Err(error) = project.forge.ready(request.number).await
        {
            // A person decided to merge what fails as it failed before.
            return Command::MergeDone(Err(NotMerged::Refused(error.into())));
        }
        let merged = match request {
            Ok(request) => {
                let merged = project.forge.merge(&request).await;
                if merged.is_err() {
                    project.pulls_asked.notify_one();
                }
                if merged.is_err()
                    && let Err(error) = project.repository.remote_head(&request.base).await
                {
                    // The way out of a conflict is to merge the base in the worktree; so it is fetched.
                    tracing::warn!(error = &error as &dyn std::error::Error, "the base could not be fetched");
                }
                merged.map_err(NotMerged::from)
            }
            Err(refused) => Err(refused),
        };
        Command::MergeDone(merged)
    }
}

/// The squash commit's message: what was wanted, and who asked and approved.
fn message(thread: &Thread) -> String {
    let summary = thread.approved.as_ref().map(|(plan, _)| plan.summary.trim()).unwrap_or_default();
    let by = |user: &crate::ids::UserId| format!("{} ({user})", thread.name_of(user));
    let mut text = summary.to_owned();
    if let Some(opened_by) = &thread.opened_by {
        text.push_str(&format!("\n\nRequested-by: {}", by(opened_by)));
    }
    if let Some(merging) = &thread.merging {
        text.push_str(&format!("\nMerged-by: {}", by(&merging.by)));
    }
    text.trim().to_owned()
}

/// What a close or a merge on the forge cut is kept under this name.
const UNFINISHED_WORK: &str = "Keep unfinished work";

/// Commits what the Coder had not brought out when its thread ended. Names what is lost.
async fn keep_unfinished(work: &ThreadWork, wrote: BTreeSet<String>) -> Vec<String> {
    match work.git.commit_all(UNFINISHED_WORK, Selection::TrackedAnd(wrote)).await {
        Ok(kept) => kept.left_out.iter().map(|file| format!("not kept: {file}")).collect(),
        Err(error) => vec![format!("the Coder's last changes could not be committed: {}", error.what)],
    }
}

/// Deletes the branch of merged work on the remote, exactly as it was merged: others may have pushed to it since, and
/// hours may lie between the merge and this. `asked`: the pull request, when this thread was asked to merge it. Gives
/// what is left of it, and why.
async fn delete_merged(
    git: &dyn Git,
    forge: &dyn Forge,
    asked: Option<u64>,
    branch: &str,
    merged: Option<&CommitId>,
) -> Option<String> {
    let left = |why: &str| {
        let step = "Look at it there, and delete it when nobody needs it.";
        Some(format!("branch `{branch}` on the remote: {why} {step}"))
    };
    let Some(merged) = merged else { return left("it is not known which head of it was merged.") };
    let mut deleted = git.delete_merged_branch(branch, merged).await;
    if let (Ok(Some(head)), Some(number)) = (&deleted, asked)
        && let Ok(states) = forge.changes(&[number]).await
        && states.iter().any(|state| matches!(state.fate, PullFate::Merged { .. }) && state.head == *head)
    {
        // People were faster, with a newer head than the one that we were to merge.
        let head = head.clone();
        deleted = git.delete_merged_branch(branch, &head).await;
    }
    match deleted {
        Ok(None) => None,
        Ok(Some(later)) => left(&format!("it has `{}`, which was not merged.", later.short())),
        Err(error) => left(&format!("it was kept, since others may have pushed to it. {}", error.what)),
    }
}

/// Closes the pull request that is known, and one that was being opened when the thread was closed: its number never
/// came. Names what is left.
async fn close_pulls(forge: &dyn Forge, known: Option<u64>, branch: Option<&str>) -> Vec<String> {
    let left = |what: String, error: ForgeError| format!("{what}: {} {}", error.what, error.hint);
    let mut leftovers = Vec::new();
    let found = match branch {
        Some(branch) => forge.find_open(branch).await,
        None => Ok(None),
    };
    let found = found.unwrap_or_else(|error| {
        // A known one is closed all the same; a second one is rare.
        leftovers
            .extend(known.is_none().then(|| left("a pull request, if one was just being opened".to_owned(), error)));
        None
    });
    for number in known.into_iter().chain(found.filter(|found| known != Some(*found))) {
        if let Err(error) = forge.close(number).await {
            leftovers.push(left(format!("pull request #{number}"), error));
        }
    }
    leftovers
}

/// Removes remote branch, worktree and local branch; closes an unmerged pull request. Names what is left.
pub(super) fn clean_up(project: Arc<Project>, thread: &Thread, merged: bool) -> impl Future<Output = Command> + use<> {
    let (key, home) = (thread.key.clone(), project.home_of(&thread.key));
    let workspace = thread.workspace().cloned();
    let elsewhere = thread.closing.as_ref().and_then(|closing| closing.elsewhere.clone());
    let (pull, pushed) = (thread.pull.as_ref().map(|pull| pull.number), thread.head.clone());
    // A merge that nobody asked us for is of the head that it was of, whatever we pushed since.
    let head = elsewhere.as_ref().map(|elsewhere| elsewhere.head.clone()).or(pushed);
    let unfinished = thread.closing.as_ref().is_some_and(|closing| closing.unfinished);
    let unfinished = unfinished.then(|| thread_work(&project, thread, Role::Coder)).flatten();
    let wrote = thread.wrote.clone();
    async move {
        let mut leftovers = Vec::new();
        if let Some(work) = unfinished
            && workspace.as_ref().is_some_and(|workspace| project.repository.worktree_path(workspace).is_dir())
        {
            leftovers.extend(keep_unfinished(&work, wrote).await);
        }
        // One that was being made when the thread was closed is known by its record.
        let workspace = match workspace {
            Some(workspace) => Some(workspace),
            None => project.repository.workspace_of(&key).await.map(Arc::new),
        };
        if !merged {
            let branch = workspace.as_ref().map(|workspace| workspace.branch.as_str());
            leftovers.extend(close_pulls(&*project.forge, pull, branch).await);
        }
        let folder = home.clone();
        if let Some(Err(error)) = offload(move || std::fs::remove_dir_all(folder)).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            leftovers.push(format!("`{}`: {error}", home.display()));
        }
        if let Some(workspace) = &workspace {
            // The branch of unmerged work stays on the remote: it is the only copy.
            if merged {
                let (git, forge) = (&*project.repository, &*project.forge);
                let asked = pull.filter(|_| elsewhere.is_none());
                leftovers.extend(delete_merged(git, forge, asked, &workspace.branch, head.as_ref()).await);
            }
            leftovers.extend(project.repository.remove_worktree(workspace, head.as_ref()).await);
        }
        Command::CleanUpDone(leftovers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::forge::{MergeError, NewPullRequest, PullRequestStatus, PullState};
    use crate::git::simulated::SimulatedGit;
    use crate::simulation::fate::Fate;
    use crate::simulation::forge::SimulatedForge;
    use crate::thread::event::PullRequest;

    /// A forge that has an open pull request of every branch and notes which are closed.
    struct Open {
        number: Option<u64>,
        closed: Mutex<Vec<u64>>,
    }

    #[async_trait]
    impl Forge for Open {
        async fn open(&self, _: &NewPullRequest) -> Result<PullRequest, ForgeError> {
            unreachable!("nothing is opened at the end")
        }
        async fn find_open(&self, _: &str) -> Result<Option<u64>, ForgeError> {
            let away = || ForgeError { what: "GitHub is away.".to_owned(), hint: "Wait.".to_owned() };
            self.number.map(Some).ok_or_else(away)
        }
        async fn status(&self, _: u64) -> Result<PullRequestStatus, ForgeError> {
            unreachable!("nobody looks")
        }
        async fn changes(&self, _: &[u64]) -> Result<Vec<PullState>, ForgeError> {
            unreachable!("nobody watches")
        }
        async fn ready(&self, _: u64) -> Result<(), ForgeError> {
            unreachable!("nothing is made ready")
        }
        async fn merge(&self, _: &MergeRequest) -> Result<CommitId, MergeError> {
            unreachable!("nothing is merged")
        }
        async fn close(&self, number: u64) -> Result<(), ForgeError> {
            self.closed.lock().expect("no test panics within").push(number);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_pull_request_that_was_being_opened_at_the_close_is_found_and_closed() {
        let cases = [
            (None, Some("codebutler/row"), Some(7), &[7][..], 0),
            (Some(7), Some("codebutler/row"), Some(7), &[7], 0),
            (Some(3), Some("codebutler/row"), Some(7), &[3, 7], 0),
            (Some(3), Some("codebutler/row"), None, &[3], 0),
            (None, Some("codebutler/row"), None, &[], 1),
            (None, None, Some(7), &[], 0),
        ];
        for (known, branch, number, closed, left) in cases {
            let forge = Open { number, closed: Mutex::default() };
            let leftovers = close_pulls(&forge, known, branch).await;
            assert_eq!(*forge.closed.lock().expect("no test panics within"), closed, "{known:?} {branch:?}");
            assert_eq!(leftovers.len(), left, "{leftovers:?}");
        }
    }

    const BRANCH: &str = "codebutler/row";

    /// A repository and a forge with pull request #1 of [`BRANCH`], whose head we know.
    async fn pulled() -> (SimulatedGit, SimulatedForge, CommitId) {
        let git = SimulatedGit::new("nowhere", &[("a.txt", "one\n")]);
        let ours = git.somebody_pushes(BRANCH, &[("a.txt", "one\n"), ("b.txt", "ours\n")]);
        let forge = SimulatedForge::new(Fate::new(Vec::new(), None), git.clone());
        let own = str::to_owned;
        let new = NewPullRequest {
            branch: own(BRANCH),
            base: own("main"),
            title: own("b"),
            body: own(""),
            evidence: None,
            draft: false,
        };
        forge.open(&new).await.expect("opened");
        (git, forge, ours)
    }

    /// What is left when it was merged with this head, by us or by others.
    async fn left(git: &SimulatedGit, forge: &SimulatedForge, by_us: bool, merged: &CommitId) -> Option<String> {
        delete_merged(git, forge, by_us.then_some(1), BRANCH, Some(merged)).await
    }

    #[tokio::test]
    async fn a_merged_branch_goes_and_is_gone_for_a_repeat() {
        let (git, forge, ours) = pulled().await;
        forge.merge_by_hand(BRANCH);
        for _ in 0..2 {
            assert_eq!(left(&git, &forge, true, &ours).await, None);
            assert!(!git.remote_heads().contains_key(BRANCH));
        }
    }

    #[tokio::test]
    async fn what_others_pushed_after_the_merge_stays_and_is_named() {
        for by_us in [true, false] {
            let (git, forge, ours) = pulled().await;
            forge.merge_by_hand(BRANCH);
            let theirs = git.somebody_pushes(BRANCH, &[("c.txt", "theirs\n")]);
            let told = left(&git, &forge, by_us, &ours).await.expect("it is told");
            assert!(told.contains(&format!("it has `{}`, which was not merged. Look", theirs.short())), "{told}");
            assert_eq!(git.remote_heads().get(BRANCH), Some(&theirs));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_looked_at_stays_and_the_reason_is_told() {
        for by_us in [true, false] {
            let (git, forge, ours) = pulled().await;
            forge.merge_by_hand(BRANCH);
            let theirs = git.somebody_pushes(BRANCH, &[("c.txt", "theirs\n")]);
            git.set_online(false);
            let told = left(&git, &forge, by_us, &ours).await.expect("it is told");
            for part in
                ["branch `codebutler/row` on the remote", "The remote could not be reached.", "Look at it there"]
            {
                assert!(told.contains(part), "{part}: {told}");
            }
            assert_eq!(git.remote_heads().get(BRANCH), Some(&theirs));
        }
    }

    #[tokio::test]
    async fn what_people_merged_with_a_newer_head_than_ours_goes_as_well() {
        let (git, forge, ours) = pulled().await;
        git.somebody_pushes(BRANCH, &[("c.txt", "theirs\n")]);
        forge.merge_by_hand(BRANCH);
        assert_eq!(left(&git, &forge, true, &ours).await, None);
        assert!(!git.remote_heads().contains_key(BRANCH));
    }
}
