//! `codebutler chat`: the same daemon with the local chat page in place of Slack.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Ended, asynchronous, codebutler_home, fail, out, repos};
use crate::config::process_env;
use crate::daemon::{self, LocalSetup, Served};
use crate::runtime::Tasks;
use crate::telemetry;

/// Serve one repository with a chat page on this machine in place of Slack.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  codebutler chat --repo ~/src/shop\n\n\
    Needs a model (openrouter in $CODEBUTLER_HOME/config.json) and no Slack. Open the address that it prints.")]
pub(super) struct Args {
    /// The repository. Default: the one around the working directory.
    #[arg(long, value_name = "PATH")]
    repo: Option<PathBuf>,
    /// The loopback address of the page. Default: a free port.
    #[arg(long, value_name = "ADDR", value_parser = listen)]
    listen: Option<SocketAddr>,
}

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    let Some(repo) = repos::chosen(args.repo.as_slice()).pop() else {
        return Err(fail("there is no git repository here", "go into one, or name it: codebutler chat --repo PATH"));
    };
    let setup = LocalSetup {
        home: codebutler_home()?,
        repository: repo,
        listen: args.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
        notice: None,
    };
    telemetry::init(&process_env, telemetry::Level::Activity);
    let on_notice = |notice: &String| out::error(&format!("{notice}\n"));
    let on_ready = |served: &Served, url: &str| {
        out::error(&format!("ready channel={} repo={}\n", served.channel, served.repository.display()));
        out::output(&format!("{url}\n"));
    };
    asynchronous::run(|stop| daemon::serve_local(setup, Tasks::default(), on_notice, on_ready, stop))?;
    Ok(())
}

/// Reads `--listen`.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    crate::config::loopback(text).map_err(|(what, fix)| format!("{what}; {fix}"))
}
