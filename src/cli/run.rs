//! `codebutler run`: the daemon for Slack, in the foreground.

use std::path::PathBuf;

use super::{Ended, asynchronous, codebutler_home, out, repos};
use crate::config::process_env;
use crate::daemon::{self, Served};
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
    let (home, repos) = (codebutler_home()?, repos::chosen(&args.repo));
    telemetry::init(&process_env, telemetry::Level::Activity);
    let on_notice = |notice: &String| out::error(&format!("{notice}\n"));
    let on_ready = |served: &[Served]| {
        for Served { channel, repository } in served {
            out::error(&format!("ready channel={channel} repo={}\n", repository.display()));
        }
    };
    asynchronous::run(|stop| daemon::serve_slack(&home, &repos, on_notice, on_ready, stop))?;
    Ok(())
}
