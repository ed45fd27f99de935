//! One daemon per Slack app: two would take each other's messages, since Slack hands each event to any one connection of
//! the app (`decisions.md` 1).
//!
//! A lock file names the process that holds it and the app by a hash, never by its token. It is held in our home and in
//! the system's temporary folder, so that a daemon with another home sees it, too.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{Holder, Refused};

/// Keeps others away as long as it lives.
#[derive(Debug)]
pub struct AppLock {
    _files: Vec<File>,
}

/// Why this process may not serve the app.
#[derive(Debug, thiserror::Error)]
pub enum AppInUse {
    /// Another does.
    #[error("another codebutler ({0}) already serves this Slack app")]
    Held(Holder),
    /// The lock file cannot be made.
    #[error("{path} cannot be locked: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl AppInUse {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let rule = "one daemon serves all repositories of an app: list them in `repos` of its config.json; to take its \
                    place,";
        match self {
            Self::Held(Holder::Other(pid)) => format!("{rule} stop it first: kill {pid}"),
            Self::Held(Holder::OwnId(_)) => format!("{rule} stop it first, in the container that it runs in"),
            Self::Held(Holder::Unknown) => {
                format!("{rule} start again in a moment: by then it says which process it is")
            }
            Self::Io { .. } => "check the folder's owner and permissions, and the disk".to_owned(),
        }
    }
}

/// Takes the lock of the app with this token at this Slack.
pub fn hold(home: &Path, api_url: &str, app_token: &SecretString) -> Result<AppLock, AppInUse> {
    let hash = Sha256::digest(format!("{}\n{}", api_url.trim_end_matches('/'), app_token.expose_secret()));
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let uid = rustix::process::geteuid().as_raw();
    let folder = home.join("locks");
    let path = folder.join(format!("slack-{name}.lock"));
    let io = |source| AppInUse::Io { path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io)?;
    let mut files = Vec::new();
    files.extend(hold_file(&path, uid)?);
    match hold_file(&std::env::temp_dir().join(format!("codebutler-{uid}-slack-{name}.lock")), uid) {
        Ok(file) => files.extend(file),
        Err(AppInUse::Held(holder)) => return Err(AppInUse::Held(holder)),
        Err(AppInUse::Io { path, source }) => {
            tracing::debug!(path = %path.display(), %source, "no lock there; the one in our home holds");
        }
    }
    Ok(AppLock { _files: files })
}

/// Holds a lock file. A file of somebody else says nothing, and is left alone: anybody may
/// put anything into a temporary folder.
fn hold_file(path: &Path, uid: u32) -> Result<Option<File>, AppInUse> {
    let io = |source| AppInUse::Io { path: path.to_owned(), source };
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600).custom_flags(no_link);
    let file = options.open(path).map_err(io)?;
    if file.metadata().map_err(io)?.uid() != uid {
        return Ok(None);
    }
    match super::hold(path, file) {
        Ok(file) => Ok(Some(file)),
        Err(Refused::Held(holder)) => Err(AppInUse::Held(holder)),
        Err(Refused::Io(source)) => Err(io(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_is_told_what_can_be_done() {
        let words = |holder| {
            let error = AppInUse::Held(holder);
            let hint = error.hint();
            (error.to_string(), hint.rsplit_once("place, ").expect("the rule comes first").1.to_owned())
        };
        let told = |who: &str| format!("another codebutler ({who}) already serves this Slack app");
        assert_eq!(words(Holder::Other(12)), (told("process 12"), "stop it first: kill 12".to_owned()));
        let there = "stop it first, in the container that it runs in".to_owned();
        assert_eq!(words(Holder::OwnId(1)), (told("process 1, which is this one's id"), there));
        let again = "start again in a moment: by then it says which process it is".to_owned();
        assert_eq!(words(Holder::Unknown), (told("process not known yet"), again));
    }
}
