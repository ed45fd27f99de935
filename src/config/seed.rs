//! What a first run puts into a repository: prompts, memory, and the lines of `.gitignore`.
//!
//! Never overwrites a file, never writes through a link in place of a file, never writes `config.json`, never touches git.
//! A file is there whole or not at all: half a prompt would pass for what the owner wants.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::prompts::DEFAULTS;

/// What is made on this machine and belongs in no commit.
const IGNORED: [&str; 3] = [".codebutler/store.db*", ".codebutler/branches/", ".codebutler/images/"];

/// A file could not be seeded.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` could not be written")]
pub struct SeedError {
    /// Which.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub source: std::io::Error,
}

/// Writes what is missing; returns what it wrote, relative to the repository, in a fixed order.
pub fn seed(repo: &Path) -> Result<Vec<PathBuf>, SeedError> {
    let mut written = Vec::new();
    for (path, text) in DEFAULTS {
        let path = PathBuf::from(path);
        let fail = |source| SeedError { path: path.clone(), source };
        if write_new(&repo.join(&path), text).map_err(fail)? {
            written.push(path);
        }
    }
    let path = PathBuf::from(".gitignore");
    match ignore_ours(&repo.join(&path)) {
        Ok(true) => written.push(path),
        Ok(false) => {}
        Err(source) => return Err(SeedError { path, source }),
    }
    Ok(written)
}

/// Writes a file that is not there yet; `false` when something of that name is.
fn write_new(path: &Path, text: &str) -> std::io::Result<bool> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    // Of a first run that was cut.
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Most starts seed nothing; a link to nowhere is there, too.
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let written = OpenOptions::new().write(true).create_new(true).open(part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    // Not by renaming: that would overwrite what came meanwhile.
    let placed = written.and_then(|()| match std::fs::hard_link(part, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        // A file system without links.
        Err(_) if path.symlink_metadata().is_err() => std::fs::rename(part, path).map(|()| true),
        Err(error) => Err(error),
    });
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != ErrorKind::NotFound => placed.and(Err(error)),
        Ok(()) | Err(_) => placed,
    }
}

/// Appends the lines that `.gitignore` lacks; `false` when it lacks none.
fn ignore_ours(path: &Path) -> std::io::Result<bool> {
    let current = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&current);
    let bare = |line: &str| line.trim().trim_matches('/').to_owned();
    let present: Vec<String> = text.lines().map(bare).collect();
    let missing: Vec<&str> = IGNORED.into_iter().filter(|line| !present.contains(&bare(line))).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut added = String::new();
    if !text.is_empty() && !text.ends_with('\n') {
        added.push_str(end);
    }
    for line in missing {
        added.push_str(line);
        added.push_str(end);
    }
    OpenOptions::new().append(true).create(true).open(path)?.write_all(added.as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{DEFAULTS, IGNORED, seed};

    fn read(repo: &tempfile::TempDir, path: &str) -> String {
        std::fs::read_to_string(repo.path().join(path)).expect("the file is there")
    }

    #[test]
    fn a_first_run_writes_everything_and_a_second_nothing() {
        let repo = tempfile::tempdir().expect("a folder");
        let mut expected: Vec<PathBuf> = DEFAULTS.iter().map(|(path, _)| path.into()).collect();
        expected.push(".gitignore".into());
        assert_eq!(seed(repo.path()).expect("it can be written"), expected);
        for (name, text) in DEFAULTS {
            assert_eq!(read(&repo, name), text, "{name}");
        }
        assert_eq!(read(&repo, ".gitignore"), IGNORED.join("\n") + "\n");
        assert!(!repo.path().join(".codebutler/config.json").exists());
        assert_eq!(seed(repo.path()).expect("it can be read"), Vec::<PathBuf>::new());
        assert_eq!(read(&repo, ".gitignore"), IGNORED.join("\n") + "\n");
    }

    #[test]
    fn a_first_run_that_was_cut_is_done_again() {
        let repo = tempfile::tempdir().expect("a folder");
        let (path, text) = DEFAULTS[0];
        let file = repo.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file.with_extension("md.part"), &text[..10]).expect("written");
        assert_eq!(seed(repo.path()).expect("it can be written").len(), DEFAULTS.len() + 1);
        assert_eq!(read(&repo, path), text);
        let folder = std::fs::read_dir(file.parent().expect("a folder")).expect("read");
        let parts: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        assert!(
            !parts.is_empty() && parts.iter().all(|path| path.extension().is_none_or(|ending| ending != "part")),
            "{parts:?}"
        );
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let repo = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(repo.path().join(".codebutler/prompts")).expect("a folder");
        std::fs::write(repo.path().join(".codebutler/prompts/pm.md"), "mine").expect("a file");
        let outside = tempfile::tempdir().expect("a folder");
        let target = outside.path().join("coder.md");
        std::os::unix::fs::symlink(&target, repo.path().join(".codebutler/prompts/coder.md")).expect("a link");
        let written = seed(repo.path()).expect("it can be written");
        assert_eq!(written.len(), DEFAULTS.len() - 2 + 1);
        assert_eq!(read(&repo, ".codebutler/prompts/pm.md"), "mine");
        assert!(!target.exists(), "a dangling link was followed");
    }

    #[test]
    fn gitignore_is_extended_by_what_it_lacks() {
        let all = IGNORED.join("\n") + "\n";
        let cases = [
            ("target\n", format!("target\n{all}")),
            ("target", format!("target\n{all}")),
            ("target\r\n", format!("target\r\n{}", all.replace('\n', "\r\n"))),
            ("/.codebutler/branches\n", "/.codebutler/branches\n.codebutler/store.db*\n.codebutler/images/\n".into()),
            (&all, all.clone()),
        ];
        for (before, after) in cases {
            let repo = tempfile::tempdir().expect("a folder");
            std::fs::write(repo.path().join(".gitignore"), before).expect("a file");
            seed(repo.path()).expect("it can be written");
            assert_eq!(read(&repo, ".gitignore"), after, "{before:?}");
        }
    }
}
