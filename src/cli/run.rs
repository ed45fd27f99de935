//! `codebutler run`: the daemon for Slack, in the foreground.

use std::path::PathBuf;

use super::{Ended, codebutler_home, repos};
use crate::config::process_env;
use crate::daemon::{self, RunOptions};
use crate::telemetry;

/// Serve Slack in the foreground, for every repository of the global config and those given here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  codebutler run --repo ~/src/shop\n\n\
    Needs the Slack tokens in $CODEBUTLER_HOME/config.json and the channel in the repository's \
    .codebutler/config.json. Ctrl-C stops it; nothing is lost.")]
pub(super) struct Args {
    /// A repository to serve; may be given more than once. Default: the one around the working directory.
    #[arg(long, value_name = "PATH")]
    repo: Vec<PathBuf>,
}

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    let options = RunOptions { home: codebutler_home()?, repos: repos::chosen(&args.repo) };
    telemetry::init(process_env("RUST_LOG").as_deref());
    Ok(daemon::run(options)?)
}
