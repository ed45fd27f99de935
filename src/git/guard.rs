//! Guards the repository's own configuration: the network must not be used with settings that were changed since the
//! program started, since a command of the Coder can write them as well as the owner can.
//!
//! Changing them can lead a push elsewhere (`url.*.insteadOf`) or hand out a login (`credential.helper`). The sandbox
//! will keep commands away from the file; this notices it until then. Reads files, changes none.

use std::collections::BTreeMap;
use std::path::Path;

/// The settings that matter, name to values.
pub(super) type Settings = BTreeMap<String, Vec<String>>;

/// Sections that people's everyday commands write and that lead nowhere.
const HARMLESS: [&str; 2] = ["branch.", "user."];

/// Whether this is a setting of a remote with an ordinary name. One that is named like a URL would be taken for that URL.
fn is_plain_remote(name: &str) -> bool {
    let of_remote = name.strip_prefix("remote.").and_then(|rest| rest.rsplit_once('.'));
    of_remote.is_some_and(|(remote, _)| !remote.contains(['/', ':', '\\', '@']))
}

/// Reads the repository's own settings, files that it includes among them.
pub(super) fn read(common: &Path) -> Settings {
    let mut settings = Settings::new();
    for name in ["config", "config.worktree"] {
        let path = common.join(name);
        let mut read = || -> Result<(), git2::Error> {
            let config = git2::Config::open(&path)?;
            config.entries(None)?.for_each(|entry| {
                let (Ok(name), Ok(value)) = (entry.name(), entry.value()) else { return };
                if !HARMLESS.iter().any(|section| name.starts_with(section)) && !is_plain_remote(name) {
                    settings.entry(name.to_owned()).or_default().push(value.to_owned());
                }
            })
        };
        if path.is_file() && read().is_err() {
            settings.entry(format!("{name} cannot be read")).or_default();
        }
    }
    settings
}

/// The names whose values differ between two readings.
pub(super) fn changed(before: &Settings, now: &Settings) -> Vec<String> {
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}
