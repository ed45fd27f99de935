//! The log: one plain line per record on standard error, chosen by `RUST_LOG`, and the last of them kept in memory.
//!
//! A line is a timestamp, a tag, the thread, a text (section 22 of the specification). Never a token, never a message's
//! text at `info`: activity lines say who did what and how much, and only at `debug` the first words of it. Without
//! colour, always: the lines go into files and journals. What people write cannot forge a line: whatever would break
//! or hide one is written out.

pub mod escape;
mod layer;
mod record;
mod ring;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use layer::LogLayer;
use record::Style;

pub use ring::{Kept, Query, recent};

/// What is logged when `RUST_LOG` says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What happens: for a daemon.
    Activity,
    /// Only what goes wrong: for a terminal that shows something else.
    Trouble,
}

/// The directives of [`Level::Activity`], which the memory keeps at least.
const ACTIVITY: &str = "codebutler=info,warn";

/// Always added: these libraries log contents at error level, one a model's words, the other a socket's one-time ticket.
const SILENT: [&str; 2] = ["async_openai=off", "slack_morphism=off"];

/// Starts logging; a second call does nothing. `env` gives `RUST_LOG`, and `JOURNAL_STREAM`, by which systemd says that
/// it reads standard error. A `RUST_LOG` that cannot be read is said and `level` holds.
pub fn init(env: &dyn Fn(&str) -> Option<String>, level: Level) {
    let default = match level {
        Level::Activity => ACTIVITY,
        Level::Trouble => "warn",
    };
    let wanted = env("RUST_LOG").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let error = wanted.as_ref().and_then(|text| EnvFilter::try_new(text).err());
    let filter = |otherwise: &str| {
        let filter = wanted.as_ref().and_then(|text| EnvFilter::try_new(text).ok());
        let filter = filter.unwrap_or_else(|| EnvFilter::new(otherwise));
        SILENT.iter().filter_map(|rule| rule.parse().ok()).fold(filter, EnvFilter::add_directive)
    };
    let style = if record::is_journal(env("JOURNAL_STREAM").as_deref()) { Style::Journal } else { Style::Plain };
    let started = tracing_subscriber::registry()
        .with(LogLayer::lines(style).with_filter(filter(default)))
        .with(LogLayer::ring().with_filter(filter(ACTIVITY)))
        .try_init();
    if let (Ok(()), Some(error)) = (started, error) {
        tracing::warn!(%error, "RUST_LOG cannot be read, so {default} holds");
    }
}
