//! The remote of a repository that is not on GitHub, as the local forge needs it: by the git program.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::forge::ForgeError;
use crate::forge::local::Upstream;
use crate::git::push::PushRefusal;
use crate::git::{GitError, Repository};
use crate::ids::CommitId;

/// The repository's remote.
pub struct GitRemote(pub Repository);

#[async_trait]
impl Upstream for GitRemote {
    async fn head(&self, branch: &str) -> Result<Option<CommitId>, ForgeError> {
        self.0.remote_head(branch).await.map_err(words)
    }

    async fn heads(&self, branches: &[String]) -> Result<BTreeMap<String, CommitId>, ForgeError> {
        self.0.remote_heads(branches).await.map_err(words)
    }

    async fn advance(&self, branch: &str, commit: &CommitId) -> Result<bool, ForgeError> {
        match self.0.push_commit(commit, branch).await {
            Ok(()) => Ok(true),
            Err(PushRefusal::Behind) => Ok(false),
            Err(PushRefusal::Other(error)) => Err(words(error)),
        }
    }
}

fn words(error: GitError) -> ForgeError {
    ForgeError { what: error.what, hint: error.hint }
}
