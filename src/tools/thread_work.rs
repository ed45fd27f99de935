//! The thread's work outside its files: branch, remote, pull request. What the git tools act on, and what the runtime
//! publishes at the end of a run.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{ToolContext, ToolError};
use crate::forge::{Forge, NewPullRequest};
use crate::git::{BranchGit, GitError};
use crate::thread::command::Deed;
use crate::thread::event::{Failure, PullRequest};

/// A thread's git and pull request.
#[derive(Clone)]
pub struct ThreadWork {
    /// Its worktree's git, or the base commit's.
    pub git: Arc<dyn BranchGit>,
    /// Where its pull request lives.
    pub forge: Arc<dyn Forge>,
    /// The pull request, when there is one.
    pub pull: Option<PullRequest>,
    /// What the daemon adds to a pull request's body, as Markdown: a link to the thread, who asked.
    pub footer: String,
}

impl ThreadWork {
    /// Pushes the branch and opens its pull request, or finds the open one. What was done is in `deeds`, also when
    /// the rest failed. Without `evidence` what the pull request says of it stays.
    pub async fn deliver(
        &self,
        title: &str,
        body: &str,
        evidence: Option<&str>,
        draft: bool,
        deeds: &mut Vec<Deed>,
    ) -> Result<PullRequest, Failure> {
        let pushed = self.git.push().await.inspect_err(|error| {
            deeds.extend(error.foreign.clone().map(Deed::FoundForeign));
        })?;
        deeds.push(Deed::Pushed(pushed.head));
        let workspace = self.git.workspace()?;
        let new = NewPullRequest {
            branch: workspace.branch.clone(),
            base: workspace.base_branch.clone(),
            title: title.trim().to_owned(),
            body: format!("{}\n\n---\n{}", body.trim(), self.footer.trim()).trim().to_owned(),
            evidence: evidence.map(str::to_owned),
            draft,
        };
        let pull = self.forge.open(&new).await?;
        deeds.push(Deed::Opened(pull.clone()));
        Ok(pull)
    }
}

impl ToolContext {
    /// A path as a model wrote it, relative to the place.
    pub(super) fn git_path(&self, path: Option<&str>) -> Result<Option<String>, ToolError> {
        let path = path.map(str::trim).filter(|path| !path.is_empty());
        Ok(path.map(|path| self.place.path(path)).transpose()?.map(|path| path.to_string()))
    }

    /// A sentence on what is not committed, to be appended; empty when everything is.
    pub(super) async fn uncommitted(&self) -> Result<String, ToolError> {
        let files = self.work.git.uncommitted().await?;
        let (shown, more) = (files.iter().take(10).map(String::as_str).collect::<Vec<_>>(), files.len() > 10);
        Ok(match shown.as_slice() {
            [] => String::new(),
            shown => format!(" Not committed and so not in it: {}{}.", shown.join(", "), if more { ", …" } else { "" }),
        })
    }
}

impl From<GitError> for ToolError {
    fn from(error: GitError) -> Self {
        Self::for_model(format!("{} {}", error.what, error.hint))
    }
}

/// Waits for a result unless the run is stopped; what was begun outside is cut then.
pub(super) async fn unless_stopped<T>(
    context: &ToolContext,
    work: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    tokio::select! {
        biased;
        result = work => result,
        () = context.cancel.cancelled() => Err(ToolError::for_model("Stopped before it was done.")),
    }
}
