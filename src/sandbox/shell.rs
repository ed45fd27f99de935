//! The shell port: a script runs to its end somewhere and tells its output and how it ended.
//!
//! Today's only implementation runs it with the daemon's own rights; the kernel's layers will stand behind the same port.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::process::{AtGate, Finished, ProcessError, Program};

/// Where scripts run.
#[async_trait]
pub trait Shell: Send + Sync {
    /// Runs a script to its end, both output streams merged into `stdout`. Its process group ends with it, also when the
    /// future is dropped; what put itself into a session of its own lives on until the daemon's next start.
    async fn run(&self, script: Script) -> Result<Finished, ShellError>;

    /// Gets ready to run a script that is likely to be run at once, without beginning it.
    fn prepare(&self, _root: &Path, _home: &Path, _text: &str) {}
}

/// A script to be run.
#[derive(Clone, Debug)]
pub struct Script {
    /// The folder that it begins in: a thread's worktree.
    pub root: PathBuf,
    /// The private folder that it sees as its home; made when it is not there.
    pub home: PathBuf,
    /// What is run, for bash where there is one.
    pub text: String,
    /// After this time it is killed with all it started.
    pub timeout: Duration,
    /// How many bytes of its output are kept from the beginning and from the end.
    pub keep: (usize, usize),
    /// When this is cancelled it is killed with all it started.
    pub cancel: CancellationToken,
}

/// Why a script was not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// Its private home could not be made.
    #[error("its home could not be made ({0})")]
    Home(#[source] std::io::Error),
    /// The shell could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Runs scripts with the daemon's own rights.
#[derive(Debug, Default)]
pub struct HostShell {
    /// Shells that were started ahead and wait. A std lock, held for one look.
    ready: Mutex<Vec<Ready>>,
}

/// A shell that has its script and waits.
#[derive(Debug)]
struct Ready {
    root: PathBuf,
    text: String,
    since: Instant,
    shell: AtGate,
}

/// Shells that wait at most, and how long: whoever has not come by then does not come.
const READY: usize = 4;
const WAITS: Duration = Duration::from_secs(5);

/// Stands before a script, on its first line, so that the lines keep their numbers. It ends without the script when the
/// one who started it is gone.
const GATE: &str = "read -r || exit 125; exec </dev/null; unset REPLY; ";

impl HostShell {
    /// The shell that waits with this script.
    fn take(&self, script: &Script) -> Option<AtGate> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|ready| ready.since.elapsed() < WAITS);
        let at = ready.iter().position(|ready| ready.root == script.root && ready.text == script.text)?;
        Some(ready.swap_remove(at).shell)
    }
}

#[async_trait]
impl Shell for HostShell {
    fn prepare(&self, root: &Path, home: &Path, text: &str) {
        if super::shell() != "bash" {
            return;
        }
        let started = super::command(root, home, &format!("{GATE}{text}")).map(Program::at_gate);
        // What is wrong with it is said when it is run.
        let Ok(Ok(shell)) = started else { return };
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|ready| ready.since.elapsed() < WAITS);
        ready.truncate(READY - 1);
        ready.push(Ready { root: root.to_owned(), text: text.to_owned(), since: Instant::now(), shell });
    }

    async fn run(&self, script: Script) -> Result<Finished, ShellError> {
        if let Some(shell) = self.take(&script) {
            let Script { timeout, keep, cancel, .. } = script;
            let mut finished = Box::pin(shell.open(timeout, keep, cancel)).await?;
            // Only a fault in the first line shows it.
            finished.stdout.leave_out(GATE);
            return Ok(finished);
        }
        let Script { root, home, text, timeout, keep: (head, tail), cancel } = script;
        let program = super::command(&root, &home, &text).map_err(ShellError::Home)?;
        Ok(Box::pin(program.timeout(timeout).keep(head, tail).cancelled_by(cancel).merged()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell in a folder, and how a script ends there, from `ready` or from the beginning.
    async fn ends(folder: &Path, text: &str, ready: bool) -> (String, crate::process::Exit) {
        let (shell, home) = (HostShell::default(), folder.join("home"));
        if ready {
            shell.prepare(folder, &home, text);
            assert_eq!(shell.ready.lock().expect("ours").len(), 1, "it waits");
        }
        let (timeout, cancel) = (Duration::from_secs(60), CancellationToken::new());
        let script = Script { root: folder.into(), home, text: text.into(), timeout, keep: (999, 999), cancel };
        let finished = shell.run(script).await.expect("it runs");
        assert!(shell.ready.lock().expect("ours").is_empty(), "none waits any more");
        (finished.stdout.text(), finished.exit)
    }

    #[tokio::test]
    async fn a_shell_that_was_ready_does_what_a_fresh_one_does() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in [
            "echo a; echo b >&2; exit 3",
            "echo $LINENO\nnosuch\necho $LINENO",
            "echo )",
            "echo a\nif",
            "echo $- $0 $#; cat; echo \"[${REPLY-unset}]\"",
            "kill -9 $$",
            "cat <<E\nhi\nE",
            "# only words",
            "",
            "cd / && pwd",
            "set -eu; false; echo not",
            "f() { return 4; }; f",
        ] {
            let (fresh, ready) = (ends(folder.path(), text, false).await, ends(folder.path(), text, true).await);
            assert_eq!(fresh, ready, "{text:?}");
        }
    }

    #[tokio::test]
    async fn what_is_never_run_never_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        let (shell, home) = (HostShell::default(), folder.path().join("home"));
        for number in 0..READY + 2 {
            shell.prepare(folder.path(), &home, &format!("touch begun{number}"));
        }
        assert_eq!(shell.ready.lock().expect("ours").len(), READY);
        drop(shell);
        // As after our own death: the input ends, nobody kills.
        let script = format!("{GATE}touch begun");
        let closed = Program::new("bash", folder.path()).args(["-c", &script]).run().await.expect("bash runs");
        assert_eq!(closed.exit, crate::process::Exit::Code(125));
        let (text, _) = ends(folder.path(), "ls", false).await;
        assert_eq!(text, "home\n");
    }
}
