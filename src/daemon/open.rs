//! Opens a repository: its git, its default files, its store, and an end to what an earlier life left running for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Failure, Notice, store_problem};
use crate::chat::Chat;
use crate::config::settings::Author;
use crate::config::{self, RepoSettings};
use crate::forge::local::Upstream;
use crate::forge::{Forge, GitHub, Local};
use crate::git::Repository;
use crate::ids::ChannelId;
use crate::llm::ChatModel;
use crate::offload::offload;
use crate::runtime::Clock;
use crate::runtime::ledger::Ledger;
use crate::runtime::models::Models;
use crate::runtime::project::{ChannelModels, Project, ProjectSettings};
use crate::runtime::slots::Slots;
use crate::runtime::upstream::GitRemote;
use crate::runtime::witness::Witness;
use crate::store::{self, Store};
use crate::{process, sandbox};

/// A repository with its store, before it is known which chat serves it.
pub(super) struct Opened {
    pub(super) repository: Repository,
    pub(super) store: Store,
    pub(super) notices: Vec<Notice>,
    forge: Arc<dyn Forge>,
}

/// A repository that is open, and how it was named: by its root, a folder in it or a worktree of it.
pub(super) struct Listed {
    root: PathBuf,
    path: PathBuf,
}

impl Opened {
    /// Opens the repository, which must not be one of the `others`. Away from the async threads: a slow disk or an old
    /// store must not keep a stop waiting.
    pub(super) async fn open(repo: &RepoSettings, author: &Author, others: Vec<Listed>) -> Result<Self, Failure> {
        let path = repo.path.clone();
        let opened = offload(move || open(&path, &others)).await;
        let (repository, store, mut notices) = opened.unwrap_or_else(|| Err(Failure::stopping()))?;
        // Only we drive this repository now: what still works for it was left by one that was killed.
        let left = repository.clone();
        let is_left = move |orphan: &process::Orphan| {
            // In the checkout run git and gh. What they put into a session of its own is to stay, for the user.
            left.is_of_worktrees(&orphan.folder) || (orphan.folder == left.root() && !orphan.own_session)
        };
        let ended = offload(move || process::end_orphans(is_left)).await.unwrap_or_default();
        if ended > 0 {
            let root = repository.root().display();
            notices.push(format!("ended {ended} programs that an earlier run had left behind in {root}"));
        }
        let forge = forge_of(&repository, author);
        Ok(Self { repository, store, notices, forge })
    }

    /// Under which path it was found, for [`Self::open`] to know it again.
    pub(super) fn listed_as(&self, path: &Path) -> Listed {
        Listed { root: self.repository.root().to_owned(), path: path.to_owned() }
    }

    /// What serves it in this channel.
    pub(super) async fn project(
        self,
        channel: &ChannelId,
        chat: Arc<dyn Chat>,
        (model, models, ledger): (Arc<dyn ChatModel>, Models, Ledger),
        settings: ProjectSettings,
        slots: Slots,
        witness: Witness,
    ) -> Result<Arc<Project>, Vec<Failure>> {
        let channel_models = ChannelModels::load(&self.store, channel).await;
        let clock = Clock::system();
        let joined = ledger.join(self.repository.root(), &self.store, clock.now()).await;
        joined.map_err(|error| vec![store_problem(&error)])?;
        Ok(Arc::new(Project {
            store: self.store,
            outbox_changed: Arc::new(Notify::new()),
            presence: Arc::default(),
            chat,
            model,
            models,
            ledger,
            repository: Arc::new(self.repository),
            shell: Arc::new(sandbox::HostShell::default()),
            forge: self.forge,
            pulls_asked: Arc::new(Notify::new()),
            settings,
            clock,
            channel_models: channel_models.map_err(|error| vec![store_problem(&error)])?,
            slots,
            witness,
        }))
    }
}

fn open(path: &Path, others: &[Listed]) -> Result<(Repository, Store, Vec<Notice>), Failure> {
    let repository = Repository::open(path).map_err(|error| Failure::new(error.what, error.hint))?;
    let root = repository.root();
    if let Some(other) = others.iter().find(|other| other.root == root) {
        let (path, other, root) = (path.display(), other.path.display(), root.display());
        let what = format!("`{path}` and `{other}` are the same repository, {root}");
        return Err(Failure::new(what, format!("name it once, as {root}, in `repos` or with --repo")));
    }
    let seeded = config::seed::seed(root).map_err(|error| {
        Failure::new(
            format!("{} cannot be written: {}", error.path.display(), error.source),
            "check the folder's owner and permissions",
        )
    })?;
    let mut notices = Vec::new();
    if !seeded.is_empty() {
        notices.push(format!("wrote {} default files below {}", seeded.len(), root.join(".codebutler").display()));
    }
    let store = Store::open(&store::path_in(root)).map_err(|error| store_problem(&error))?;
    Ok((repository, store, notices))
}

/// GitHub when the remote is there, else our own records.
fn forge_of(repository: &Repository, author: &Author) -> Arc<dyn Forge> {
    let root = repository.root().to_owned();
    if let Some(github) = repository.remote().and_then(|remote| GitHub::detect(&remote.url, root.clone())) {
        return Arc::new(github);
    }
    let upstream = repository.remote().map(|_| Arc::new(GitRemote(repository.clone())) as Arc<dyn Upstream>);
    let author = (author.name.clone(), author.email.clone());
    Arc::new(Local::new(root, repository.common_dir().to_owned(), author, upstream))
}
