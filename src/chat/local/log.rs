//! The daemon's log as the page's API gives it. The page keeps no log itself: whoever serves it hands in a reader.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

/// Where the log's last lines come from.
pub trait LogReader: Debug + Send + Sync {
    /// The lines that are asked for, oldest first.
    fn read(&self, query: &LogQuery) -> Vec<LogLine>;
}

/// Which lines.
#[derive(Clone, Debug, Deserialize)]
pub struct LogQuery {
    /// Only those of this thread.
    pub thread: Option<String>,
    /// The first ones after this number; without it the last ones.
    pub after: Option<u64>,
    /// At most so many.
    #[serde(default = "usual")]
    pub limit: usize,
}

fn usual() -> usize {
    200
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Counts the lines since the daemon started, from 1.
    pub seq: u64,
    /// When, in UTC.
    pub time: String,
    /// What kind: `INF`, `WRN`, `ERR`, `MSG`, `PM`, …
    pub tag: String,
    /// The thread it is about.
    pub thread: Option<String>,
    /// The text.
    pub text: String,
}
