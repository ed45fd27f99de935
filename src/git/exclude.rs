//! `.git/info/exclude`: names that git is to overlook in this clone only.

use std::io::Write as _;

use super::{GitError, Repository, io_error};

impl Repository {
    /// Adds patterns to `.git/info/exclude`, each once. Holds for the checkout and every worktree.
    pub fn exclude(&self, patterns: &[&str]) -> Result<(), GitError> {
        let folder = self.common_dir().join("info");
        let path = folder.join("exclude");
        let present = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io_error("read", &path, &error)),
        };
        let missing: Vec<&str> =
            patterns.iter().copied().filter(|pattern| !present.lines().any(|line| line.trim() == *pattern)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut text = if present.is_empty() || present.ends_with('\n') { String::new() } else { "\n".to_owned() };
        for pattern in missing {
            text.push_str(pattern);
            text.push('\n');
        }
        // One write at the end: whoever else adds a line at the same time loses nothing.
        let append = || {
            std::fs::create_dir_all(&folder)?;
            std::fs::OpenOptions::new().create(true).append(true).open(&path)?.write_all(text.as_bytes())
        };
        append().map_err(|error| io_error("write", &path, &error))
    }
}
