//! A probe in the fakes: each says where it is, and a simulation may cut the process exactly there, slow it down, or
//! have the operation fail.
//!
//! Labels are `<port>.<operation>.start` and `.end`, and names of steps between: `git.create_worktree.half`.

use std::sync::Arc;
use std::time::Duration;

/// The label that is asked at the end of a wait.
pub const WAITED: &str = "waited";

/// What becomes of a fake's call at a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Go,
    /// It never comes back: the process dies here. Whoever asked drops the future.
    Crash,
    /// It goes on after this time on tokio's clock.
    Wait(Duration),
    /// It fails: at `.start` before anything was done, at `.end` although all was done.
    Fail,
}

/// Asked at every label. Clones ask the same.
#[derive(Clone)]
pub struct Probe(Arc<dyn Fn(&str) -> Verdict + Send + Sync>);

impl Probe {
    /// Never in the way.
    pub fn none() -> Self {
        Self::new(|_| Verdict::Go)
    }

    /// Asks the function at every label.
    pub fn new(verdict: impl Fn(&str) -> Verdict + Send + Sync + 'static) -> Self {
        Self(Arc::new(verdict))
    }

    /// Passes a label; whether the operation is to go on rather than to fail.
    pub async fn at(&self, label: &str) -> bool {
        match (self.0)(label) {
            Verdict::Go => true,
            Verdict::Crash => std::future::pending().await,
            Verdict::Wait(time) => {
                tokio::time::sleep(time).await;
                // The process may have died meanwhile.
                if (self.0)(WAITED) == Verdict::Crash {
                    std::future::pending::<()>().await;
                }
                true
            }
            Verdict::Fail => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_label_passes_crashes_waits_or_fails() {
        assert!(Probe::none().at("a").await);
        let probe = Probe::new(|label| match label {
            "a" => Verdict::Crash,
            "b" => Verdict::Wait(Duration::from_secs(3600)),
            "c" => Verdict::Fail,
            _ => Verdict::Go,
        });
        assert_eq!(probe.at("a").now_or_never(), None);
        assert_eq!(probe.at("b").now_or_never(), None);
        assert_eq!(probe.at("c").now_or_never(), Some(false));
        assert_eq!(probe.at("d").now_or_never(), Some(true));
    }
}
