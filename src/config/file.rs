//! Reading one configuration file: there or not, readable, private, JSON.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use super::problem::Problems;

/// The file's tree; an empty object when there is no file or it cannot be used, which is then a problem.
pub(super) fn read(path: &Path, private: bool, problems: &mut Problems<'_>) -> Value {
    let empty = || Value::Object(serde_json::Map::new());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return empty(),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            problems.unreadable("is not UTF-8 text", "save it as UTF-8");
            return empty();
        }
        Err(error) => {
            problems.unreadable(format!("cannot be read: {error}"), "make it a file that you can read");
            return empty();
        }
    };
    if private {
        check_private(path, problems);
    }
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(tree) => tree,
        Err(error) => {
            let what = format!("is not JSON: {error}");
            problems.unreadable(what, "look at that place; JSON has no comments and no comma after the last entry");
            empty()
        }
    }
}

/// The global file holds tokens: only its owner may read or write it.
#[cfg(unix)]
fn check_private(path: &Path, problems: &mut Problems<'_>) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!("can be read by others (mode {mode:04o}), and it holds secrets");
        problems.add("", what, format!("chmod 600 {}", path.display()));
    }
}

#[cfg(not(unix))]
fn check_private(_path: &Path, _problems: &mut Problems<'_>) {}
