//! The async runtime of the commands that need one, and the signals that end them.

use std::future::{Future, poll_fn};
use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Ended, fail};
use crate::daemon::Failure;

/// How long what runs may take to let go of its child processes when it is ended at once.
const LET_GO: Duration = Duration::from_millis(300);

/// Runs a command to its end. It is given what the first SIGINT or SIGTERM ends, or the end of its terminal; the second
/// ends the process at once, which loses nothing: the log has everything.
pub(super) fn run<T, W>(work: impl FnOnce(WaitForCancellationFutureOwned) -> W) -> Result<T, Ended>
where
    W: Future<Output = Result<T, Vec<Failure>>>,
{
    hide_from_commands();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| {
            fail(format!("no async runtime: {error}"), "check the limits on threads and open files")
        })?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut signals = Signals::new();
        let work = work(stop.clone().cancelled_owned());
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                ended = &mut work => return Some(ended),
                () = signals.next() => {
                    if stop.is_cancelled() {
                        return None;
                    }
                    stop.cancel();
                }
            }
        }
    });
    match ended {
        Some(ended) => {
            // What still blocks a thread, such as a large search, ends with the process.
            runtime.shutdown_background();
            Ok(ended?)
        }
        None => {
            runtime.shutdown_timeout(LET_GO);
            Err(Ended::AtOnce)
        }
    }
}

/// Keeps our memory and environment, where secrets are, from commands that run as the same user: the kernel then gives
/// `/proc/PID/environ` and the like to root only.
fn hide_from_commands() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// SIGINT and SIGTERM; of a terminal also SIGHUP, which its end sends.
struct Signals(Vec<Signal>);

impl Signals {
    fn new() -> Self {
        let hangup = of_a_terminal().then(SignalKind::hangup);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()].into_iter().chain(hangup);
        // Where one cannot be had, it ends the process as it always does.
        Self(kinds.filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        poll_fn(|context| {
            let come = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if come { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Whether we end with a terminal. What `nohup` started is on none, or ignores the signal, which must stay so.
fn of_a_terminal() -> bool {
    let on_one = stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal();
    on_one && !ignores_hangup()
}

/// By `/proc`, so on Linux only: whether whoever started us has the signal ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
