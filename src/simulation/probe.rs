//! A probe in the fakes: each says where it is, and a simulation may cut the process exactly there, or slow it down.
//!
//! Labels are `<port>.<operation>.start` and `.end`, and names of steps between: `git.create_worktree.half`.

use std::sync::Arc;
use std::time::Duration;

/// What becomes of a fake's call at a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Go,
    /// It never comes back: the process dies here. Whoever asked drops the future.
    Crash,
    /// It goes on after this time on tokio's clock.
    Wait(Duration),
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

    /// Passes a label.
    pub async fn at(&self, label: &str) {
        match (self.0)(label) {
            Verdict::Go => {}
            Verdict::Crash => std::future::pending().await,
            Verdict::Wait(time) => tokio::time::sleep(time).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_label_passes_crashes_or_waits() {
        Probe::none().at("a").await;
        let probe = Probe::new(|label| match label {
            "a" => Verdict::Crash,
            "b" => Verdict::Wait(Duration::from_secs(3600)),
            _ => Verdict::Go,
        });
        assert_eq!(probe.at("a").now_or_never(), None);
        assert_eq!(probe.at("b").now_or_never(), None);
        assert_eq!(probe.at("c").now_or_never(), Some(()));
    }
}
