//! Work that blocks, run where it may block.
//!
//! On a runtime of one thread it runs in place: nothing else could run meanwhile anyway, and a simulation stays
//! deterministic.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs the work on a thread where blocking is allowed. `None` when the program is stopping and it was not begun. A
/// panic in it goes on in the caller.
pub async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Some(work());
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Some(result),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::thread::current;

    use super::*;

    #[tokio::test]
    async fn a_runtime_of_one_thread_works_in_place() {
        let here = current().id();
        assert_eq!(offload(move || current().id() == here).await, Some(true));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_runtime_of_more_threads_works_elsewhere_and_panics_come_back() {
        let here = current().id();
        assert_eq!(offload(move || current().id() == here).await, Some(false));
        let work = std::panic::AssertUnwindSafe(offload(|| panic!("broken")));
        let panic = futures_util::FutureExt::catch_unwind(work).await.expect_err("it panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken"));
    }
}
