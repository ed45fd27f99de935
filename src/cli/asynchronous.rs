//! The async runtime of the commands that need one, and the signals that end them.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Ended, fail};
use crate::daemon::Failure;

/// How long what runs may take to let go of its child processes when it is ended at once.
const LET_GO: Duration = Duration::from_millis(300);

/// Runs a command to its end. It is given what the first SIGINT or SIGTERM ends; the second ends the process at once,
/// which loses nothing: the log has everything.
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

/// SIGINT and SIGTERM.
struct Signals(Option<(Signal, Signal)>);

impl Signals {
    fn new() -> Self {
        // Where they cannot be had, they end the process as they always do.
        Self(signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok()))
    }

    async fn next(&mut self) {
        let Some((interrupt, terminate)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}
