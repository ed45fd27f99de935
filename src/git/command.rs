//! The git program: how it is called, and what its complaints mean in plain words.
//!
//! Only for what needs the network. Hooks, monitors and helper protocols are off whatever the repository's
//! configuration says; URLs are the recorded ones, and settings that changed since the start stop it (`guard`).

use std::time::Duration;

use super::{GitError, Repository, guard};
use crate::process::{Exit, ProcessError, Program};

/// Settings that the repository's own configuration cannot override.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "push.gpgSign=false",
    "push.followTags=false",
    "gc.auto=0",
    "maintenance.auto=false",
    // A connection that gives nothing for this many seconds is dead.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=30",
];

/// Why a git command gave no result.
#[derive(Debug)]
pub(super) enum GitFault {
    /// It is not installed or could not be run.
    NotRun(ProcessError),
    /// These settings of the repository changed since it was opened.
    Changed(Vec<String>),
    /// It took too long.
    TimedOut,
    /// It failed, and said this on both streams.
    Failed(String),
}

impl Repository {
    /// Runs git on the shared `.git` folder and gives its standard output.
    pub(super) async fn run_git(&self, timeout: Duration, args: &[&str]) -> Result<String, GitFault> {
        let changed = guard::changed(&self.0.settings, &guard::read(self.common_dir()));
        if !changed.is_empty() {
            return Err(GitFault::Changed(changed));
        }
        let finished = self.program(args).timeout(timeout).run().await.map_err(GitFault::NotRun)?;
        let (stdout, stderr) = (finished.stdout.text(), finished.stderr.text());
        match finished.exit {
            Exit::Code(0) => Ok(stdout),
            Exit::TimedOut => Err(GitFault::TimedOut),
            Exit::Code(_) | Exit::Signal(_) | Exit::Cancelled => Err(GitFault::Failed(format!("{stderr}\n{stdout}"))),
        }
    }

    fn program(&self, args: &[&str]) -> Program {
        let remote = self.remote();
        let mut settings: Vec<String> = SETTINGS.iter().map(|setting| (*setting).to_owned()).collect();
        if remote.is_some_and(|remote| is_github_https(&remote.url) || is_github_https(&remote.push_url)) {
            // After the user's own helpers: git asks them in order.
            settings.push("credential.helper=!gh auth git-credential".to_owned());
        }
        let protocols = remote.map(|remote| remote.protocols.as_slice()).unwrap_or_default();
        let allowed = ["https", "ssh"].iter().chain(protocols).copied().collect::<Vec<_>>().join(":");
        let mut program = Program::new("git", self.root())
            .with_accounts()
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .args(args.iter().copied())
            .env("GIT_DIR", self.common_dir())
            .env("GIT_ALLOW_PROTOCOL", allowed)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20")
            .env("LC_ALL", "C");
        for (name, value) in &self.0.env {
            program = program.env(name, value);
        }
        program
    }
}

fn is_github_https(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    host.eq_ignore_ascii_case("github.com") || std::env::var("GH_HOST").is_ok_and(|own| own.eq_ignore_ascii_case(host))
}

/// What a failed talk with the remote means: (part of git's complaint, what happened, what to do). The first that
/// matches counts, so the particular stand before the general.
const MEANINGS: &[(&str, &str, &str)] = &[
    (
        "' not allowed",
        "git may not use the protocol of the remote's URL",
        "Use an https, ssh or file URL: `git remote set-url origin URL`.",
    ),
    (
        ".lock': File exists",
        "another git command is at work in this repository, or one that was killed left its lock file",
        "Wait until it ended, or delete the `.lock` file that `git fetch` names; then `!retry`.",
    ),
    (
        "without `workflow` scope",
        "the login may not change GitHub workflow files",
        "Run `gh auth refresh -s workflow`, then `!retry`.",
    ),
    (
        "Permission denied (publickey",
        "the remote did not accept the ssh key",
        "Load the key with `ssh-add`, or use an https remote with `gh auth login`; then `!retry`.",
    ),
    (
        "Host key verification failed",
        "the remote's ssh host key is not known",
        "Run `git fetch` once by hand to accept it, then `!retry`.",
    ),
    (
        "Authentication failed",
        "the remote did not accept the login",
        "Run `gh auth login` (or renew the credentials of this remote), then `!retry`.",
    ),
    (
        "could not read Username",
        "there is no login for the remote",
        "Run `gh auth login` (or set up credentials for this remote), then `!retry`.",
    ),
    (
        "could not read Password",
        "there is no login for the remote",
        "Run `gh auth login` (or set up credentials for this remote), then `!retry`.",
    ),
    (
        "denied to",
        "the login has no right to write to this repository",
        "Give the account write access, or log in with another one (`gh auth login`); then `!retry`.",
    ),
    (
        "error: 403",
        "the login has no right to do this in this repository",
        "Give the account write access, or log in with another one (`gh auth login`); then `!retry`.",
    ),
    (
        "not found",
        "the remote repository is not there, or the login may not see it",
        "Check the URL with `git remote -v` and the login with `gh auth status`; then `!retry`.",
    ),
    (
        "does not appear to be a git repository",
        "the remote repository is not there",
        "Check the URL with `git remote -v`; then `!retry`.",
    ),
    (
        "Could not resolve host",
        "the remote's name could not be looked up",
        "Check the network connection; then `!retry`.",
    ),
    (
        "unable to access",
        "the remote could not be reached",
        "Check the network connection and the proxy; then `!retry`.",
    ),
    ("Could not read from remote", "the remote could not be reached", "Check the network connection; then `!retry`."),
];

impl GitFault {
    /// The fault in words; `doing` completes “Could not …”.
    pub(super) fn into_error(self, doing: &str) -> GitError {
        match self {
            Self::Changed(names) => GitError::new(
                format!(
                    "Could not {doing}: the repository's git settings changed since CodeButler started ({}).",
                    names.join(", ")
                ),
                "Look at `.git/config` first: a command of the Coder may have written it. If it was you, restart \
                 codebutler, then `!retry`.",
            ),
            Self::NotRun(ProcessError::NotFound { .. }) => {
                GitError::new(format!("Could not {doing}: `git` is not installed."), "Install git, then `!retry`.")
            }
            Self::NotRun(error @ ProcessError::Io { .. }) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                GitError::new(format!("Could not {doing}: {error}: {reason}."), "Check the system, then `!retry`.")
            }
            Self::TimedOut => GitError::new(
                format!("Could not {doing}: the remote did not answer in time."),
                "Check the network connection; then `!retry`.",
            ),
            Self::Failed(text) => {
                let meaning = MEANINGS.iter().find(|(part, _, _)| text.contains(part));
                let (meaning, hint) = match meaning {
                    Some((_, meaning, hint)) => ((*meaning).to_owned(), *hint),
                    None => (complaint(&text), "Try it by hand to see more; then `!retry`."),
                };
                GitError::new(format!("Could not {doing}: {}.", meaning.trim_end_matches('.')), hint)
            }
        }
    }

    /// Whether the text of the failure has this part.
    pub(super) fn says(&self, part: &str) -> bool {
        matches!(self, Self::Failed(text) if text.contains(part))
    }
}

/// The first line by which git says what is wrong.
fn complaint(text: &str) -> String {
    let marked = |line: &&str| ["fatal: ", "error: "].iter().any(|mark| line.starts_with(mark));
    let line = text.lines().find(marked).or_else(|| text.lines().find(|line| !line.trim().is_empty()));
    let line = line.unwrap_or("git gave no reason");
    without_logins(line.trim_start_matches("fatal: ").trim_start_matches("error: ").trim())
}

/// The text with logins taken out of its URLs: it goes to the chat.
fn without_logins(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let host_end = part.find(['/', ' ', '\'', '"']).unwrap_or(part.len());
        let start = part[..host_end].rfind('@').map_or(0, |at| at + 1);
        clean.push_str("://");
        clean.push_str(&part[start..]);
    }
    clean
}

/// The lines that the remote's server sent (`remote: …`), joined.
pub(super) fn server_said(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim);
    lines.filter(|line| !line.is_empty()).take(8).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_carry_no_logins() {
        let text = "hint: x\nfatal: odd 'https://ana:t0ken@h.test/o/r.git' and ssh://git@h.test/x\nfatal: more";
        assert_eq!(complaint(text), "odd 'https://h.test/o/r.git' and ssh://h.test/x");
        assert_eq!(complaint("\n"), "git gave no reason");
    }

    #[test]
    fn gh_answers_for_github_over_https_only() {
        for (url, expected) in [
            ("https://github.com/o/r", true),
            ("https://x:y@GitHub.com:443/o/r", true),
            ("https://github.com.evil.test/o/r", false),
            ("http://github.com/o/r", false),
            ("git@github.com:o/r", false),
        ] {
            assert_eq!(is_github_https(url), expected, "{url}");
        }
    }
}
