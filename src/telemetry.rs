//! Logs: plain lines on standard error, chosen by `RUST_LOG`. Never a token, never a message's text at `info`.
//!
//! Without colour, always: the lines go into files and journals.

use tracing_subscriber::EnvFilter;

/// What is logged when `RUST_LOG` says nothing.
const DEFAULT: &str = "codebutler=info,warn";

/// Always added: these libraries log contents at error level, one a model's words, the other a socket's one-time ticket.
const SILENT: [&str; 2] = ["async_openai=off", "slack_morphism=off"];

/// Starts logging; a second call does nothing. `rust_log` is the variable's value; one that cannot be read is said
/// and the default holds.
pub fn init(rust_log: Option<&str>) {
    let wanted = rust_log.map(str::trim).filter(|text| !text.is_empty());
    let (filter, error) = match wanted.map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(DEFAULT), Some(error)),
        None => (EnvFilter::new(DEFAULT), None),
    };
    let filter = SILENT.iter().filter_map(|rule| rule.parse().ok()).fold(filter, EnvFilter::add_directive);
    let started =
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_env_filter(filter).try_init();
    if let (Ok(()), Some(error)) = (started, error) {
        tracing::warn!(%error, "RUST_LOG cannot be read, so {DEFAULT} holds");
    }
}
