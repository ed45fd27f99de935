//! Files that one process at a time holds, with its process id in them. [`slack_app`] holds one for the whole daemon, the
//! store one for each repository.
//!
//! Never says what to do about a holder: whose file it is knows that.
//!
//! That a holder has died is seen at once by its id, and on Linux, by `/proc`, even before whoever started it has asked
//! for its status. Elsewhere such a one counts as alive until then, and its lock is refused.

pub mod slack_app;

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::process::pid_in;

/// How long a lock may outlive its holder. A child gets a copy of every descriptor, and with it of the lock, until it has
/// become another program: when the holder is killed just then, on a busy machine, that takes a moment.
const LINGERS: Duration = Duration::from_secs(10);

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a file is not ours.
#[derive(Debug)]
pub enum Refused {
    /// A process holds it.
    Held(Holder),
    /// The system's reason.
    Io(io::Error),
}

/// Who holds a file, as far as the file says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Another process, by its id.
    Other(i32),
    /// A process with our own id: this one, or one in another container.
    OwnId(i32),
    /// One that has only just taken the lock and not said yet who it is.
    Unknown,
}

impl Holder {
    fn of(pid: Option<Pid>) -> Self {
        match pid.map(Pid::as_raw_pid) {
            Some(pid) if pid == rustix::process::getpid().as_raw_pid() => Self::OwnId(pid),
            Some(pid) => Self::Other(pid),
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(pid) => write!(f, "process {pid}"),
            Self::OwnId(pid) => write!(f, "process {pid}, which is this one's id"),
            Self::Unknown => f.write_str("process not known yet"),
        }
    }
}

/// Locks the file, which must be open to read and write and lies at this path, and puts our process id into it. Blocks
/// for a while when its holder has just died, and tells the operator of it.
pub fn hold(path: &Path, file: File) -> Result<File, Refused> {
    let begun = Instant::now();
    let mut told = false;
    hold_with(file, || {
        if !std::mem::replace(&mut told, true) {
            let (path, most) = (path.display(), LINGERS.as_secs());
            tracing::warn!(%path, "the lock's holder has died, its last child still has it; waiting up to {most} s");
        }
        std::thread::sleep(PAUSE);
        begun.elapsed() < LINGERS
    })
}

/// `pause` waits, and says whether to go on trying.
fn hold_with(mut file: File, mut pause: impl FnMut() -> bool) -> Result<File, Refused> {
    loop {
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(Refused::Io)?;
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) => {
                let pid = pid_in(&written(&mut file).map_err(Refused::Io)?);
                if !pid.is_some_and(is_dead) || !pause() {
                    return Err(Refused::Held(Holder::of(pid)));
                }
            }
            Err(TryLockError::Error(source)) => return Err(Refused::Io(source)),
        }
    }
}

fn written(file: &mut File) -> io::Result<String> {
    use std::io::Seek as _;
    let mut pid = String::new();
    file.rewind()?;
    // What is no text is no process id either.
    let _ = file.read_to_string(&mut pid);
    file.rewind()?;
    Ok(pid)
}

/// Whether no such process is there, or, where `/proc` tells, only what is left of it until its status is asked for.
fn is_dead(pid: Pid) -> bool {
    match rustix::process::test_kill_process(pid) {
        Err(error) => error == rustix::io::Errno::SRCH,
        Ok(()) => {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            // The state comes after the name, which may hold anything.
            status.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['Z', 'X']))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::process::Program;

    /// Above any that a system gives.
    const NOBODY: i32 = i32::MAX;

    fn open(path: &Path) -> File {
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).expect("opens")
    }

    #[test]
    fn whoever_lives_and_holds_it_is_named_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let _held = hold(&path, open(&path)).expect("free");
        let refused = |text: &str| {
            std::fs::write(&path, text).expect("written");
            match hold_with(open(&path), || panic!("nothing to wait for")) {
                Err(Refused::Held(holder)) => holder,
                other => panic!("{other:?}"),
            }
        };
        let own = std::process::id().cast_signed();
        assert_eq!(refused(&own.to_string()), Holder::OwnId(own));
        // There is always one.
        assert_eq!(refused("1\n"), Holder::Other(1));
        for text in ["", "soon", "0", "-1"] {
            assert_eq!(refused(text), Holder::Unknown, "{text:?}");
        }
    }

    #[test]
    fn what_a_dead_holder_left_locked_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let mut left = Some(open(&path));
        left.as_ref().expect("open").try_lock().expect("free");
        std::fs::write(&path, NOBODY.to_string()).expect("written");
        let refused = hold_with(open(&path), || false);
        assert!(matches!(refused, Err(Refused::Held(Holder::Other(NOBODY)))), "not for ever: {refused:?}");
        let mut tries = 0;
        let held = hold_with(open(&path), || {
            tries += 1;
            left.take_if(|_| tries == 2);
            true
        });
        held.expect("it is free now");
        assert_eq!(tries, 2);
        assert_eq!(std::fs::read_to_string(&path).expect("text"), std::process::id().to_string());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_nobody_has_waited_for_is_dead_too() {
        let folder = tempfile::tempdir().expect("a folder");
        // What takes the shell's place knows nothing of the shell's child.
        let script = ": & echo $! >pid; exec sleep 1000";
        let running = Program::new("sh", folder.path()).args(["-c", script]).run();
        let written = || pid_in(&std::fs::read_to_string(folder.path().join("pid")).unwrap_or_default());
        let dies = async {
            while !written().is_some_and(is_dead) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = running => panic!("{:?}", ended.map(|ended| ended.exit)),
            dead = tokio::time::timeout(Duration::from_secs(60), dies) => dead.expect("it is seen to be dead"),
        }
        assert!(!is_dead(rustix::process::getpid()));
    }
}
