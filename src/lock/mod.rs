//! Files that one process at a time holds, with its process id in them. [`slack_app`] holds one for the whole daemon, the
//! store one for each repository.
//!
//! Never says what to do about a holder: whose file it is knows that.

pub mod slack_app;

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

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
    Held {
        /// What the file says of it: its process id, or nothing when it has only just taken the lock.
        pid: String,
    },
    /// The system's reason.
    Io(io::Error),
}

/// Locks the file, which must be open to read and write, and puts our process id into it. Blocks for a while when its
/// holder has just died.
pub fn hold(file: File) -> Result<File, Refused> {
    let begun = Instant::now();
    hold_with(file, || {
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
                let pid = written(&mut file).map_err(Refused::Io)?;
                if !is_dead(&pid) || !pause() {
                    return Err(Refused::Held { pid });
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

/// Whether there was such a process and it has ended, taken off the list or not.
fn is_dead(pid: &str) -> bool {
    let Some(pid) = pid_in(pid) else { return false };
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
    use std::path::Path;

    use super::*;
    use crate::process::Program;

    fn open(path: &Path) -> File {
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).expect("opens")
    }

    /// A process that has ended.
    async fn dead() -> String {
        let finished = Program::new("sh", std::env::temp_dir()).args(["-c", "echo $$"]).run().await.expect("sh runs");
        finished.stdout.text().trim().to_owned()
    }

    #[test]
    fn whoever_lives_and_holds_it_is_named_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let _held = hold(open(&path)).expect("free");
        let refused = hold_with(open(&path), || panic!("nothing to wait for"));
        assert!(matches!(refused, Err(Refused::Held { pid }) if pid == std::process::id().to_string()));
    }

    #[tokio::test]
    async fn what_a_dead_holder_left_locked_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let mut left = Some(open(&path));
        left.as_ref().expect("open").try_lock().expect("free");
        let pid = dead().await;
        std::fs::write(&path, &pid).expect("written");
        let refused = hold_with(open(&path), || false);
        assert!(matches!(refused, Err(Refused::Held { pid: of }) if of == pid), "not for ever");
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
        let written = || std::fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
        let dies = async {
            while !is_dead(&written()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = running => panic!("{:?}", ended.map(|ended| ended.exit)),
            () = dies => {}
        }
        assert!(!is_dead(&std::process::id().to_string()) && !is_dead("") && !is_dead("x"));
    }
}
