//! Pushing: the thread's branch to the remote, and for repositories without GitHub the merge to its base; deleting the
//! branch there when it is merged. Nothing is forced: a branch that others have pushed to is neither moved nor deleted.

use std::time::Duration;

use super::command::{GitFault, server_said};
use super::thread_git::ThreadGit;
use super::{GitError, Repository, internal, oid};
use crate::ids::CommitId;

const PUSH: Duration = Duration::from_secs(600);

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The head of the branch on the remote now; of the local branch when there is no remote.
    pub head: CommitId,
    /// The remote's name; `None` when there is none.
    pub remote: Option<String>,
}

/// Why a commit did not become the head of a remote branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushRefusal {
    /// The remote branch has commits that this one does not build on.
    Behind,
    /// Anything else, in words.
    Other(GitError),
}

impl ThreadGit {
    /// Pushes the thread's branch. Already there is success.
    pub async fn push(&self) -> Result<Pushed, GitError> {
        let (head, workspace) = (self.head().await?, self.workspace()?.clone());
        let Some(remote) = self.repository.remote() else { return Ok(Pushed { head, remote: None }) };
        let name = remote.name.clone();
        match self.repository.push_commit(&head, &workspace.branch).await {
            Ok(()) => Ok(Pushed { head, remote: Some(name) }),
            Err(PushRefusal::Other(error)) => Err(error),
            Err(PushRefusal::Behind) => {
                // So that whoever takes them over, the Coder perhaps, who has no network, finds them here.
                let foreign = self.repository.remote_head(&workspace.branch).await?;
                let branch = &workspace.branch;
                let error = GitError::new(
                    format!(
                        "The branch `{branch}` on the remote has commits that this worktree has not: someone else \
                         pushed to it."
                    ),
                    format!(
                        "They are fetched; take them over with `git merge --no-commit {name}/{branch}` in the worktree \
                         and commit. `!retry` lets the Coder do that."
                    ),
                );
                Err(GitError { foreign, ..error })
            }
        }
    }
}

impl Repository {
    /// Makes `commit` the head of the remote's branch if it builds on what is there.
    pub async fn push_commit(&self, commit: &CommitId, branch: &str) -> Result<(), PushRefusal> {
        match self.push_refspec(&format!("{commit}:refs/heads/{branch}")).await {
            Ok(()) => {}
            Err(fault) if is_behind(&fault) => return Err(PushRefusal::Behind),
            Err(fault) => return Err(PushRefusal::Other(words(fault, branch))),
        }
        let (commit, tracking) = (commit.clone(), self.tracking(branch));
        self.blocking(move |repository| {
            let Some(tracking) = tracking else { return Ok(()) };
            let moved = repository.git2()?.reference(&tracking, oid(&commit)?, true, "codebutler: pushed").map(drop);
            moved.map_err(|error| internal("note what was pushed", &error))
        })
        .await
        .map_err(PushRefusal::Other)
    }

    /// Deletes a branch on the remote while its head is the commit that was merged; whether it still is, the remote
    /// itself looks. Gives the head for which it stays; `None` when it is gone, by whomever.
    pub async fn delete_merged_branch(&self, branch: &str, merged: &CommitId) -> Result<Option<CommitId>, GitError> {
        let lease = format!("--force-with-lease=refs/heads/{branch}:{merged}");
        let deleted = self.push_with(&[&lease], &format!(":refs/heads/{branch}")).await;
        if let Err(fault) = deleted {
            // It says much the same of one that is gone and of one that moved; what it is, a look says.
            match self.remote_head(branch).await {
                Ok(None) => {}
                Ok(Some(head)) if head != *merged => return Ok(Some(head)),
                Ok(Some(_)) | Err(_) => return Err(deletion_words(fault, branch)),
            }
        }
        // What is no longer there must not count as kept there.
        let tracking = self.tracking(branch);
        self.blocking(move |repository| {
            let git = repository.git2()?;
            let known = tracking.and_then(|name| git.find_reference(&name).ok());
            known.map_or(Ok(()), |mut known| known.delete()).map_err(|error| internal("forget the branch", &error))
        })
        .await?;
        Ok(None)
    }

    /// The head of a branch on the remote, fetched; `None` when there is none.
    pub async fn remote_head(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        self.fetch_branch(branch).await.map_err(|fault| fault.into_error("fetch from the remote"))
    }

    async fn push_refspec(&self, refspec: &str) -> Result<(), GitFault> {
        self.push_with(&[], refspec).await
    }

    async fn push_with(&self, options: &[&str], refspec: &str) -> Result<(), GitFault> {
        let Some(remote) = self.remote() else { return Ok(()) };
        let flags = ["--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"];
        let mut args = vec!["push"];
        args.extend(flags);
        args.extend(options);
        args.extend(["--receive-pack=git-receive-pack", "--", &remote.push_url, refspec]);
        self.run_git(PUSH, &args).await.map(drop)
    }
}

fn is_behind(fault: &GitFault) -> bool {
    ["(non-fast-forward)", "(fetch first)", "cannot lock ref"].iter().any(|part| fault.says(part))
}

/// A refused push in words.
fn words(fault: GitFault, branch: &str) -> GitError {
    refusal(&fault, branch).unwrap_or_else(|| fault.into_error("push"))
}

/// A refused deletion in words.
fn deletion_words(fault: GitFault, branch: &str) -> GitError {
    refusal(&fault, branch).unwrap_or_else(|| fault.into_error("delete it"))
}

/// What the remote's own rules refused; `None` when the reason is another.
fn refusal(fault: &GitFault, branch: &str) -> Option<GitError> {
    let GitFault::Failed(text) = fault else { return None };
    let said = server_said(text);
    let said = if said.is_empty() { String::new() } else { format!(" It said: {said}") };
    if text.contains("GH006") || text.contains("protected branch") {
        return Some(GitError::new(
            format!("The branch `{branch}` is protected on the remote.{said}"),
            "Allow pushes to it in the repository's branch rules, or set another `git.branchPrefix`; then `!retry`.",
        ));
    }
    if text.contains("GH013") || text.contains("GH009") {
        return Some(GitError::new(
            format!("A rule of the remote refused the push.{said}"),
            "Change what the rule names (a secret must leave the branch's history), then `!retry`.",
        ));
    }
    if text.contains("GH001") {
        return Some(GitError::new(
            format!("The remote refused a file that is too large.{said}"),
            "Take the file out of the branch's history, then `!retry`.",
        ));
    }
    if text.contains("workflow") && text.contains("scope") {
        return Some(GitError::new(
            "The login may not change GitHub workflow files.",
            "Run `gh auth refresh -s workflow`, then `!retry`.",
        ));
    }
    if text.contains("[remote rejected]") {
        let reason = text.lines().find_map(|line| line.split_once("[remote rejected]")?.1.rsplit_once('('));
        let reason = reason.map(|(_, reason)| reason.trim_end_matches(')')).unwrap_or("no reason given");
        return Some(GitError::new(
            format!("The remote refused the push: {reason}.{said}"),
            "Change what its hook or rule asks for, then `!retry`.",
        ));
    }
    None
}
