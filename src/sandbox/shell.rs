//! The shell port: a script runs to its end somewhere and tells its output and how it ended.
//!
//! Today's only implementation runs it with the daemon's own rights; the kernel's layers will stand behind the same port.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::offload::offload;
use crate::process::{AtGate, Exit, Finished, ProcessError, Program, kill_orphans};

/// Where scripts run.
#[async_trait]
pub trait Shell: Send + Sync {
    /// Runs a script to its end, both output streams merged into `stdout`. Its process group ends with it, also when the
    /// future is dropped. What put itself into a session of its own ends a moment after one that was cut or that it holds
    /// the output of; else with [`Self::end_leftovers`].
    async fn run(&self, script: Script) -> Result<Finished, ShellError>;

    /// Ends what scripts with this root and home left running; no other of them may be running. Gives how many there were.
    async fn end_leftovers(&self, _root: &Path, _home: &Path) -> usize {
        0
    }

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
    /// Shells that were started ahead and wait, the oldest first. A std lock, held for one look.
    ready: Mutex<Vec<Ready>>,
}

/// A shell that has its script and waits.
#[derive(Debug)]
struct Ready {
    since: Instant,
    shell: AtGate,
}

/// Shells that wait at most, and how long: whoever has not come by then does not come.
const READY: usize = 4;
const WAITS: Duration = Duration::from_secs(5);

/// Stands before a script, on its first line, so that the lines keep their numbers. It ends without the script when the
/// one who started it is gone, and long after anybody may take it.
const GATE: &str = "read -r -t 60 || exit 125; exec </dev/null; unset REPLY; ";

impl HostShell {
    /// The shell that waits with this script, if it still stands where a fresh one would: the initialisation of the
    /// worktree may have given commands another environment meanwhile.
    fn take(&self, script: &Script) -> std::io::Result<Option<AtGate>> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|ready| ready.since.elapsed() < WAITS);
        if ready.is_empty() {
            return Ok(None);
        }
        let program = super::command(&script.root, &script.home, &gated(&script.text))?;
        let at = ready.iter().position(|ready| ready.shell.is_of(&program));
        Ok(at.map(|at| ready.remove(at).shell))
    }
}

fn gated(text: &str) -> String {
    format!("{GATE}{text}")
}

#[async_trait]
impl Shell for HostShell {
    fn prepare(&self, root: &Path, home: &Path, text: &str) {
        if super::shell() != "bash" {
            return;
        }
        let started = super::command(root, home, &gated(text)).map(Program::at_gate);
        // What is wrong with it is said when it is run.
        let Ok(Ok(shell)) = started else { return };
        let mut waiting = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|ready| ready.since.elapsed() < WAITS);
        while waiting.len() >= READY {
            waiting.remove(0);
        }
        waiting.push(Ready { since: Instant::now(), shell });
    }

    async fn end_leftovers(&self, root: &Path, home: &Path) -> usize {
        let left = Leftovers::of(root, home);
        offload(move || left.end()).await.unwrap_or_default()
    }

    async fn run(&self, script: Script) -> Result<Finished, ShellError> {
        let mut cut = Cut(Some(Leftovers::of(&script.root, &script.home)));
        let finished = self.run_to_its_end(script).await?;
        if matches!(finished.exit, Exit::Code(_) | Exit::Signal(_)) && !finished.left {
            cut.0 = None;
        }
        Ok(finished)
    }
}

impl HostShell {
    async fn run_to_its_end(&self, script: Script) -> Result<Finished, ShellError> {
        if let Some(shell) = self.take(&script).map_err(ShellError::Home)? {
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

/// What scripts may have left running in sessions of their own. Git of the same folder is not meant: it has the user's
/// home.
struct Leftovers {
    root: PathBuf,
    home: PathBuf,
}

impl Leftovers {
    fn of(root: &Path, home: &Path) -> Self {
        Self { root: root.to_owned(), home: home.to_owned() }
    }

    fn end(&self) -> usize {
        kill_orphans(|orphan| {
            orphan.own_session && orphan.folder == self.root && orphan.home.as_ref() == Some(&self.home)
        })
    }
}

/// A script that has not ended by itself: what it left is looked for when it is cut.
struct Cut(Option<Leftovers>);

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(left) = self.0.take() {
            // Nobody waits for it. Where no thread can be had, the end of the work or the next start finds them.
            let _ = std::thread::Builder::new().name("leftovers".to_owned()).spawn(move || left.end());
        }
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
    async fn a_fault_in_the_first_line_is_told_by_the_shell_that_it_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let (shell, home) = (HostShell::default(), folder.path().join("home"));
        for text in ["echo )", "echo \"it's", "if then"] {
            let fresh = ends(folder.path(), text, false).await;
            shell.prepare(folder.path(), &home, text);
            while !shell.ready.lock().expect("ours")[0].shell.has_ended() {
                tokio::task::yield_now().await;
            }
            let (timeout, cancel) = (Duration::from_secs(60), CancellationToken::new());
            let (root, home) = (folder.path().to_owned(), home.clone());
            let script = Script { root, home, text: text.into(), timeout, keep: (999, 999), cancel };
            let finished = shell.run(script).await.expect("it was run");
            assert_eq!((finished.stdout.text(), finished.exit), fresh, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_shell_from_before_the_initialisation_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let (shell, home) = (HostShell::default(), folder.path().join("home"));
        let text = "echo ${VIRTUAL_ENV:+made}";
        shell.prepare(folder.path(), &home, text);
        std::fs::create_dir_all(folder.path().join(".venv/bin")).expect("made");
        let (timeout, cancel) = (Duration::from_secs(60), CancellationToken::new());
        let script =
            Script { root: folder.path().to_owned(), home, text: text.into(), timeout, keep: (999, 999), cancel };
        assert_eq!(shell.run(script).await.expect("it runs").stdout.text(), "made\n");
    }

    /// Runs a script that leaves a program behind, in a session of its own; gives the folder where it lives.
    async fn leaves(folder: &Path, redirected: &str, rest: &str, cancel: CancellationToken) -> (HostShell, PathBuf) {
        let (shell, home) = (HostShell::default(), folder.join("home"));
        let text = format!(
            "setsid sh -c 'echo $$ >pid; while :; do sleep 1000; done' {redirected} & until [ -s pid ]; do :; done; {rest}"
        );
        let (timeout, keep) = (Duration::from_secs(60), (999, 999));
        shell
            .run(Script { root: folder.into(), home: home.clone(), text, timeout, keep, cancel })
            .await
            .expect("it runs");
        let pid = std::fs::read_to_string(folder.join("pid")).expect("a pid");
        (shell, Path::new("/proc").join(pid.trim()))
    }

    /// Whether it is there; one that has ended and is not yet taken off the list is not.
    fn lives(process: &Path) -> bool {
        std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z"))
    }

    async fn ends_soon(process: &Path) {
        let ends = async {
            while lives(process) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ends).await.expect("it ends");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[cfg(target_os = "linux")]
    async fn what_a_command_left_in_a_session_of_its_own_is_ended() {
        // It holds the output open.
        let folder = tempfile::tempdir().expect("a folder");
        let (_, left) = leaves(folder.path(), "", "", CancellationToken::new()).await;
        ends_soon(&left).await;
        // The command is cut.
        let folder = tempfile::tempdir().expect("a folder");
        let cancel = CancellationToken::new();
        let stop = async {
            while !std::fs::read_to_string(folder.path().join("pid")).is_ok_and(|pid| pid.ends_with('\n')) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
        };
        let (left, ()) = tokio::join!(leaves(folder.path(), ">/dev/null 2>&1", "sleep 1000", cancel.clone()), stop);
        ends_soon(&left.1).await;
        // Nobody saw it: the end of the work does.
        let folder = tempfile::tempdir().expect("a folder");
        let (shell, left) = leaves(folder.path(), ">/dev/null 2>&1", "", CancellationToken::new()).await;
        assert!(lives(&left));
        assert!(shell.end_leftovers(folder.path(), &folder.path().join("home")).await >= 1);
        assert!(!lives(&left));
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
