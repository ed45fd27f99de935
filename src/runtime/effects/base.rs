//! Prepares what a thread stands on: the fetched base commit, its snapshot, the prompts, what was said before us.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use crate::agent::Role;
use crate::config::prompts::{self, PromptSource};
use crate::git::{BaseCommit, GitError};
use crate::ids::MessageTs;
use crate::runtime::project::Project;
use crate::thread::event::{Base, Earlier, Failure};
use crate::thread::{Command, Thread};

pub(super) fn prepare(project: Arc<Project>, thread: &Thread) -> impl Future<Output = Command> + use<> {
    let key = thread.key.clone();
    // A thread whose first message to us is not its first message began before us.
    let first = thread.first_message().filter(|first| **first != thread.key.ts).cloned();
    async move {
        let prepared = async {
            let mut base = base(&project).await?;
            // Last, so that it is as people left it when the PM reads it.
            if let Some(before) = &first {
                base.history = read_history(&project, &key, before).await;
            }
            Ok::<_, GitError>(base)
        };
        Command::BasePrepared(prepared.await.map_err(Failure::from))
    }
}

async fn base(project: &Project) -> Result<Base, GitError> {
    let BaseCommit { commit, branch, notice } = project.repository.fetch_base(project.settings.base.as_deref()).await?;
    project.repository.snapshot(&commit, &project.settings.home).await?;
    let paths: Vec<&str> = prompts::paths().collect();
    let files = Files(project.repository.texts(&commit, &paths).await?);
    let prompts = Role::ALL.into_iter().map(|role| (role, prompts::assemble(role, &files))).collect();
    Ok(Base { commit, branch, prompts, history: Vec::new(), notice })
}

async fn read_history(project: &Project, key: &crate::ids::ThreadKey, before: &MessageTs) -> Vec<Earlier> {
    match project.chat.history(key, before).await {
        Ok(history) => history,
        Err(error) => {
            tracing::warn!(thread.ts = %key, error = &error as &dyn std::error::Error, "no history of the thread");
            vec![Earlier::remark("(earlier messages of this thread could not be read)")]
        }
    }
}

/// The files that prompts are made of, read before.
struct Files(BTreeMap<String, String>);

impl PromptSource for Files {
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }
}
