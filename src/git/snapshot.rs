//! Snapshots: the tracked files of a commit as plain read-only files, for roles that only look (`decisions.md` 22b).
//!
//! Not registered with git, so that nothing in it can lead back to the repository. Written whole or not at all: a
//! folder under its final name is complete.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::ObjectType;
use sha2::{Digest as _, Sha256};

use super::{GitError, Repository, internal, io_error, oid};
use crate::ids::CommitId;

/// A snapshot that nobody has asked for in this time is removed; whoever asks again gets it written again.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a tree entry is, by git's file modes.
const EXECUTABLE: i32 = 0o100_755;
const LINK: i32 = 0o120_000;

impl Repository {
    /// Writes the tracked files of a commit to `HOME/snapshots/<repository>/<commit>` and gives that folder. Files that
    /// hold secrets by their name (`.env`) are left out; submodules are empty folders. Two at once are fine.
    pub async fn snapshot(&self, commit: &CommitId, home: &Path) -> Result<PathBuf, GitError> {
        let folder = home.join("snapshots").join(self.id());
        let (commit, target) = (commit.clone(), folder.join(commit.as_str()));
        self.blocking(move |repository| {
            if !target.is_dir() {
                repository.write_snapshot(&commit, &folder, &target)?;
            } else if let Ok(folder) = std::fs::File::open(&target) {
                // It is in use; if that cannot be noted it is written again some day.
                let _ = folder.set_modified(std::time::SystemTime::now());
            }
            Ok(target)
        })
        .await
    }

    /// Text files as whoever works here knows them: the owner's uncommitted edit in his checkout where there is one, else
    /// as the commit has it. What is not there, or is no text, is left out. All in one look: threads begin with this.
    pub async fn texts(&self, commit: &CommitId, paths: &[&str]) -> Result<BTreeMap<String, String>, GitError> {
        let (commit, paths) = (commit.clone(), paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        self.blocking(move |repository| {
            let git = repository.git2()?;
            let tree = git.find_commit(oid(&commit)?).and_then(|commit| commit.tree());
            let tree = tree.map_err(|error| internal("read the base commit", &error))?;
            let committed = git.head().and_then(|head| head.peel_to_tree()).ok();
            let text = |path: String| {
                let own = std::fs::read_to_string(repository.root().join(&path)).ok().filter(|own| {
                    let committed = committed.as_ref().and_then(|committed| text_in(&git, committed, &path));
                    committed.as_ref() != Some(own)
                });
                let text = own.or_else(|| text_in(&git, &tree, &path))?;
                Some((path, text))
            };
            Ok(paths.into_iter().filter_map(text).collect())
        })
        .await
    }

    /// Names the repository among others of this machine.
    fn id(&self) -> String {
        let digest = Sha256::digest(self.common_dir().as_os_str().as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    fn write_snapshot(&self, commit: &CommitId, folder: &Path, target: &Path) -> Result<(), GitError> {
        let git = self.git2()?;
        let tree = git.find_commit(oid(commit)?).and_then(|commit| commit.tree());
        let tree = tree.map_err(|error| internal("read the base commit", &error))?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| io_error("make the folder", folder, &error))?;
        let ours = format!("{TEMPORARY}{:016x}-", self.0.life);
        remove_left(folder, &ours);
        let temporary = folder.join(format!("{ours}{:016x}", random()));
        std::fs::create_dir(&temporary).map_err(|error| io_error("make the folder", &temporary, &error))?;
        let written = write_tree(&git, &tree, &temporary);
        let moved = written.and_then(|()| match std::fs::rename(&temporary, target) {
            // Someone else was faster with the same content.
            Err(_) if target.is_dir() => Ok(()),
            result => result.map_err(|error| io_error("write", target, &error)),
        });
        let _ = std::fs::remove_dir_all(&temporary);
        moved
    }
}

/// A text file of a tree.
fn text_in(git: &git2::Repository, tree: &git2::Tree<'_>, path: &str) -> Option<String> {
    let blob = tree.get_path(Path::new(path)).ok()?.to_object(git).ok()?.into_blob().ok()?;
    String::from_utf8(blob.content().to_vec()).ok()
}

const TEMPORARY: &str = ".writing-";

/// A number that no one else has. Falls back to the clock, where only two at the same nanosecond would collide, and
/// then one of them reports an error.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
    })
}

/// Removes what other lives of the program were writing when they were killed, for only one drives a repository at a time,
/// and what nobody uses any more.
fn remove_left(folder: &Path, ours: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let left = match name.as_bytes().starts_with(TEMPORARY.as_bytes()) {
            true => !name.as_bytes().starts_with(ours.as_bytes()),
            false => {
                let used = entry.metadata().and_then(|meta| meta.modified()).ok();
                used.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > UNUSED)
            }
        };
        if left {
            // Under a name that says so: a folder under its own, of which a cut left the half, would count as whole.
            let aside = folder.join(format!("{ours}{:016x}", random()));
            let _ = std::fs::rename(entry.path(), &aside).and_then(|()| std::fs::remove_dir_all(&aside));
        }
    }
}

/// Writes a tree into an empty folder. Nothing that exists is ever written to or through: a tree with two entries of
/// one name, one of them a link out, fails instead.
fn write_tree(git: &git2::Repository, tree: &git2::Tree<'_>, folder: &Path) -> Result<(), GitError> {
    for entry in tree {
        let name = OsStr::from_bytes(entry.name_bytes());
        if !is_plain_name(name) {
            continue;
        }
        let path = folder.join(name);
        let made = |result: std::io::Result<()>| result.map_err(|error| io_error("write", &path, &error));
        match entry.kind() {
            Some(ObjectType::Tree) => {
                let subtree = git.find_tree(entry.id()).map_err(|error| internal("read the base commit", &error))?;
                made(std::fs::create_dir(&path))?;
                write_tree(git, &subtree, &path)?;
            }
            Some(ObjectType::Blob) if !holds_secrets(name) => {
                let blob = git.find_blob(entry.id()).map_err(|error| internal("read the base commit", &error))?;
                made(write_blob(&path, blob.content(), entry.filemode()))?;
            }
            Some(ObjectType::Commit) => made(std::fs::create_dir(&path))?,
            _ => {}
        }
    }
    Ok(())
}

fn write_blob(path: &Path, content: &[u8], mode: i32) -> std::io::Result<()> {
    if mode == LINK {
        return std::os::unix::fs::symlink(OsStr::from_bytes(content), path);
    }
    let permissions = if mode == EXECUTABLE { 0o555 } else { 0o444 };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(permissions).open(path)?;
    file.write_all(content)
}

/// Whether a name of a tree entry is one that git itself would write: a crafted tree may have others.
fn is_plain_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && !matches!(bytes, b"." | b"..")
        && !bytes.contains(&b'/')
        && !bytes.eq_ignore_ascii_case(b".git")
}

/// Whether a file holds secrets by its name: `.env` and `.env.local`, but not `.env.example`.
pub(super) fn holds_secrets(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let name = name.to_ascii_lowercase();
    let Some(rest) = name.strip_prefix(".env") else { return false };
    let examples = [".example", ".sample", ".template", ".dist", ".defaults"];
    (rest.is_empty() || rest.starts_with('.')) && !examples.iter().any(|example| rest.ends_with(example))
}
