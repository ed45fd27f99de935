//! Which repositories a command is about: those that were named, else the one around the working directory.

use std::path::{Path, PathBuf};

/// The named repositories as absolute paths; with none named, the one around the working directory, if there is one.
pub(super) fn chosen(named: &[PathBuf]) -> Vec<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    if named.is_empty() {
        return around(&here).into_iter().collect();
    }
    named.iter().map(|path| here.join(path)).collect()
}

/// The nearest folder from `start` upwards that holds a `.git`.
fn around(start: &Path) -> Option<PathBuf> {
    start.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::around;

    #[test]
    fn the_repository_is_found_from_any_folder_in_it() {
        let outer = tempfile::tempdir().expect("a folder");
        let inner = outer.path().join("a/b");
        std::fs::create_dir_all(&inner).expect("folders");
        assert_eq!(around(&inner).filter(|found| found.starts_with(outer.path())), None);
        std::fs::create_dir(outer.path().join(".git")).expect("a folder");
        assert_eq!(around(&inner), Some(outer.path().to_owned()));
        std::fs::write(outer.path().join("a/.git"), "gitdir: elsewhere").expect("a file");
        assert_eq!(around(&inner), Some(outer.path().join("a")));
    }
}
