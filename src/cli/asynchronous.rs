//! The async runtime of the commands that need one, and the signals that end them.

use std::future::Future;

use super::{Ended, fail};
use crate::daemon::Failure;

/// Runs a command to its end.
pub(super) fn run<T>(work: impl Future<Output = Result<T, Vec<Failure>>>) -> Result<T, Ended> {
    hide_from_commands();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| {
            fail(format!("no async runtime: {error}"), "check the limits on threads and open files")
        })?;
    let ended = runtime.block_on(work);
    // What still blocks a thread, such as a large search, ends with the process.
    runtime.shutdown_background();
    Ok(ended?)
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

/// Done at the first SIGINT or SIGTERM. A second one ends the process at once: the log has everything.
pub(super) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
