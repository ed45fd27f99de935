//! What others did to our branches on the remote: where they stand there, and whether a commit is known to ours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{GitError, Repository, internal, oid};
use crate::ids::CommitId;

const ASK: Duration = Duration::from_secs(45);

impl Repository {
    /// Whether a local branch has this commit, as its head or before it.
    pub async fn branch_has(&self, branch: &str, commit: &CommitId) -> Result<bool, GitError> {
        let (name, commit) = (format!("refs/heads/{branch}"), commit.clone());
        self.blocking(move |repository| {
            let git = repository.git2()?;
            let Ok(head) = git.refname_to_id(&name) else { return Ok(false) };
            let commit = oid(&commit)?;
            if head == commit {
                return Ok(true);
            }
            if git.find_commit(commit).is_err() {
                return Ok(false);
            }
            git.graph_descendant_of(head, commit).map_err(|error| internal("look through the branch", &error))
        })
        .await
    }

    /// The heads that these branches have on the remote, by one call and without fetching. One that is not there is
    /// left out; without a remote there are none.
    pub async fn remote_heads(&self, branches: &[String]) -> Result<BTreeMap<String, CommitId>, GitError> {
        let Some(remote) = self.remote() else { return Ok(BTreeMap::new()) };
        let patterns: Vec<String> = branches.iter().map(|branch| format!("refs/heads/{branch}")).collect();
        let mut args = vec!["ls-remote", "--heads", "--upload-pack=git-upload-pack", "--", &remote.url];
        args.extend(patterns.iter().map(String::as_str));
        let listing = self.run_git(ASK, &args).await.map_err(|fault| fault.into_error("look at the remote"))?;
        let head = |line: &str| {
            let (commit, branch) = line.split_once("\trefs/heads/")?;
            branches.iter().any(|wanted| wanted == branch).then(|| (branch.to_owned(), CommitId::new(commit)))
        };
        Ok(listing.lines().filter_map(head).collect())
    }
}
