//! Programs that outlived the child of ours that started them, or an earlier life of the daemon: found by a variable that
//! every child of ours carries and hands down to all it starts, and ended.
//!
//! By `/proc`, so on Linux only; elsewhere none is found. A program that clears its environment is not found either.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Names the folder that a child of ours was started in.
pub(super) const MARK: &str = "CODEBUTLER_WORKS_FOR";

/// How long one may take to end by itself: git removes its lock files then. It is long for a program, since a machine
/// that starts again may be busy with many.
const GRACE: Duration = Duration::from_secs(1);

/// After this much more time the rest is given up: the kernel cannot end it.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// A running program that was started by a child of ours, or is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pid: Pid,
    /// The folder that our child was started in.
    pub folder: PathBuf,
    /// What it takes for its home.
    pub home: Option<PathBuf>,
    /// Whether it made a session of its own, as programs do that are to stay: ssh's shared connection, for one.
    pub own_session: bool,
}

/// Ends those that are `ours`, which the caller may only say of what nobody else drives; waits until they are gone.
/// Gives how many there were.
pub fn end_orphans(ours: impl Fn(&Orphan) -> bool) -> usize {
    end_within(GRACE, ours)
}

/// The same without asking them first, for what was to be gone already.
pub fn kill_orphans(ours: impl Fn(&Orphan) -> bool) -> usize {
    end_within(Duration::ZERO, ours)
}

fn end_within(grace: Duration, ours: impl Fn(&Orphan) -> bool) -> usize {
    let started = Instant::now();
    let mut ended = std::collections::BTreeSet::new();
    // Again and again: one that is just starting another is not outrun.
    for round in 0_usize.. {
        let found: Vec<Orphan> = marked().into_iter().filter(&ours).collect();
        if found.is_empty() || started.elapsed() > grace + GIVEN_UP {
            break;
        }
        for orphan in found {
            ended.insert(orphan.pid.as_raw_nonzero());
            if started.elapsed() > grace {
                let _ = rustix::process::kill_process(orphan.pid, Signal::KILL);
            } else if round == 0 {
                // Not those found later: one that was asked to end may have started them to tidy up.
                let _ = rustix::process::kill_process(orphan.pid, Signal::TERM);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    ended.len()
}

/// Every running program of this user that carries the mark, but for this one.
fn marked() -> Vec<Orphan> {
    let (own, user) = (rustix::process::getpid(), rustix::process::geteuid().as_raw());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| super::pid_in(entry.file_name().to_str()?));
    let of_user = |pid: &Pid| {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(folder_of(*pid)).is_ok_and(|meta| meta.uid() == user)
    };
    let orphan = |pid| {
        let environment = std::fs::read(folder_of(pid).join("environ")).ok()?;
        let folder = variable(&environment, MARK)?;
        let own_session = session_of(pid).is_some_and(|leader| leader == pid || mark_of(leader).is_some());
        Some(Orphan { pid, folder, home: variable(&environment, "HOME"), own_session })
    };
    pids.filter(|pid| *pid != own).filter(of_user).filter_map(orphan).collect()
}

fn folder_of(pid: Pid) -> PathBuf {
    Path::new("/proc").join(pid.as_raw_nonzero().to_string())
}

/// The leader of a program's session; none when that is outside of our namespace, as for what `docker exec` starts.
///
/// Not by `getsid`, which gives 0 then: `rustix` takes that for a process and panics.
fn session_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read(folder_of(pid).join("stat")).ok()?;
    session_in(&String::from_utf8_lossy(&stat))
}

/// The fields are those of `proc_pid_stat(5)`: the name, which may hold anything, is the second and ends at the last
/// bracket.
fn session_in(stat: &str) -> Option<Pid> {
    let (_, after_name) = stat.rsplit_once(')')?;
    super::pid_in(after_name.split_ascii_whitespace().nth(3)?)
}

/// The mark in a program's environment; none for one that has ended and is not yet taken off the list.
fn mark_of(pid: Pid) -> Option<PathBuf> {
    variable(&std::fs::read(folder_of(pid).join("environ")).ok()?, MARK)
}

/// A path in an environment as `/proc` gives it.
fn variable(environment: &[u8], name: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(Path::new(std::ffi::OsStr::from_bytes(value)).to_path_buf())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::{Exit, Program};
    use super::*;

    /// Starts a program that leaves another one behind, outside of its process group.
    async fn leave_behind(folder: &Path) -> u32 {
        let script =
            "setsid sh -c 'trap \"\" TERM; echo $$ >pid; while :; do sleep 1000; done' & until [ -s pid ]; do :; done";
        let finished = Program::new("sh", folder).args(["-c", script]).run().await.expect("sh runs");
        assert_eq!(finished.exit, Exit::Code(0));
        std::fs::read_to_string(folder.join("pid")).expect("a pid").trim().parse().expect("a number")
    }

    fn runs(pid: u32) -> bool {
        mark_of(Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0")).is_some()
    }

    #[test]
    fn a_session_is_read_whatever_the_program_is_called_and_wherever_its_leader_is() {
        let session = |stat| session_in(stat).map(Pid::as_raw_pid);
        assert_eq!(session("712 (sh) S 711 712 690 0 -1 4194304 91"), Some(690));
        assert_eq!(session("712 (a) 1 2 3) R 711 712 690 0 -1"), Some(690));
        // In a container: the leader is outside.
        assert_eq!(session("8 (sh) S 0 8 0 0 -1 4194304 91"), None);
        // Just being taken off the list.
        assert_eq!(session("8 (sh) X 0 -1 -1 0 -1 4194304 91"), None);
        assert_eq!(session("8 (sh"), None);
    }

    #[tokio::test]
    async fn what_was_left_behind_for_one_folder_is_ended_and_nothing_else() {
        let (ours, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (mine, theirs) = (leave_behind(ours.path()).await, leave_behind(other.path()).await);
        assert!(runs(mine) && runs(theirs));
        assert_eq!(end_orphans(|orphan| orphan.folder == ours.path() && !orphan.own_session), 0);
        // Two: the shell, which does not end when asked to, and what it started.
        assert!(end_orphans(|orphan| orphan.folder == ours.path() && orphan.own_session) >= 2);
        assert!(!runs(mine) && runs(theirs));
        assert!(end_orphans(|orphan| orphan.folder == other.path()) >= 2);
        assert!(!runs(theirs));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn one_that_ends_when_asked_to_may_tidy_up() {
        let folder = tempfile::tempdir().expect("a folder");
        // What it starts to tidy up takes a while and can be asked to end as well.
        let script = "trap 'sleep 0.1 && touch tidy; exit 4' TERM; touch begun; while :; do sleep 0.01; done";
        let running = Program::new("sh", folder.path()).args(["-c", script]).run();
        let begins = async {
            while !folder.path().join("begun").exists() {
                tokio::task::yield_now().await;
            }
        };
        let sweep = async {
            tokio::time::timeout(Duration::from_secs(60), begins).await.expect("it begins");
            end_within(Duration::from_secs(60), |orphan| orphan.folder == folder.path() && !orphan.own_session)
        };
        let (finished, ended) = tokio::join!(Box::pin(running), sweep);
        assert_eq!(finished.expect("sh runs").exit, Exit::Code(4));
        assert!(ended >= 1 && folder.path().join("tidy").exists());
    }
}
