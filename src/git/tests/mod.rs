//! Git for real: repositories in temporary folders, remotes as bare repositories beside them.

mod commits;
mod hostile;
mod remotes;
mod restore;
mod views;
mod worktrees;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::ids::{ChannelId, CommitId, MessageTs, ThreadKey};
use crate::process::{Exit, Program};
use crate::thread::event::Workspace;

/// A bare remote, an owner's checkout of it, and a home without any settings.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// With a remote that has one commit on `main`.
    pub(crate) async fn with_remote() -> Self {
        let fixture = Self::local().await;
        fixture.run("git init -q --bare -b main remote.git").await;
        fixture.run("cd checkout && git remote add origin \"$PWD/../remote.git\" && git push -q -u origin main").await;
        fixture
    }

    /// Without a remote.
    pub(crate) async fn local() -> Self {
        let fixture = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fixture.run("mkdir home && git init -q -b main checkout && cd checkout && echo one >a.txt").await;
        fixture.run("cd checkout && git add . && git commit -q -m 'First commit'").await;
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(self.folder.path()).expect("it is there").join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("checkout")
    }

    pub(crate) fn repository(&self) -> Repository {
        self.repository_with(&[])
    }

    pub(crate) fn repository_with(&self, env: &[(&str, &str)]) -> Repository {
        let home = (OsString::from("HOME"), self.path("home").into_os_string());
        let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Repository::open_with(&self.root(), env.chain([home]).collect()).expect("a repository")
    }

    /// Runs a shell script in the fixture's folder and gives its output.
    pub(crate) async fn run(&self, script: &str) -> String {
        let who = "git config --global user.name Owner && git config --global user.email owner@localhost";
        let finished = Program::new("sh", self.folder.path())
            .args(["-ec", &format!("{who}\n{script}")])
            .env("HOME", self.folder.path().join("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .merged()
            .await
            .expect("sh runs");
        assert_eq!(finished.exit, Exit::Code(0), "{script}\n{}", finished.stdout.text());
        finished.stdout.text().trim_end().to_owned()
    }

    pub(crate) async fn workspace(&self, repository: &Repository, title: &str) -> Arc<Workspace> {
        let base = repository.fetch_base(None).await.expect("a base");
        let made = repository.create_worktree(&key(title), title, &base, "codebutler/").await;
        Arc::new(made.expect("a worktree"))
    }

    /// A thread with a worktree of its own.
    pub(crate) async fn thread(&self, repository: &Repository, title: &str) -> ThreadGit {
        let workspace = self.workspace(repository, title).await;
        ThreadGit::new(repository.clone(), View::Worktree(workspace), author(), "Ana (U1)".to_owned())
    }
}

pub(crate) fn author() -> Author {
    Author::parse("CodeButler <codebutler@localhost>").expect("a good author")
}

/// The key of the thread of that name.
pub(crate) fn key(name: &str) -> ThreadKey {
    ThreadKey { workspace: "T1".to_owned(), channel: ChannelId::new("C1"), ts: MessageTs::new(name) }
}

pub(crate) fn folder_of(git: &ThreadGit) -> PathBuf {
    git.repository.worktree_path(git.workspace().expect("a worktree"))
}

pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder above")).expect("made");
    std::fs::write(path, content).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_waits_for_any_more_keeps_its_turn() {
    let fixture = Fixture::local().await;
    let repository = fixture.repository();
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (closed, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    for _ in 0..AT_ONCE {
        let (gate, begun) = (Arc::clone(&gate), begun.clone());
        let mut work = Box::pin(repository.blocking(move |_| {
            begun.send(()).expect("the test listens");
            // Ends when the gate is opened.
            let _ = gate.lock().expect("nobody panics").recv();
            Ok(())
        }));
        tokio::select! {
            biased;
            _ = &mut work => unreachable!("the gate is closed"),
            _ = begins.recv() => {}
        }
    }
    assert_eq!(repository.0.turns.available_permits(), 0, "all are at work, though none is waited for");
    drop(closed);
    repository.blocking(|_| Ok(())).await.expect("its turn comes");
}

fn no_commit() -> CommitId {
    CommitId::new("0".repeat(40))
}
