//! The command line: what can be typed, the words for people, the exit codes. One file per command.
//!
//! Only parses and prints; what a command does is in `daemon` and `config`, what a thread is in the core. The async
//! runtime of the commands that need one, and the signals that end them, are in `asynchronous`.

mod asynchronous;
mod chat;
mod config;
mod conversation;
mod demo;
mod exec;
mod out;
mod paint;
mod replay;
mod repos;
mod run;
mod saved;
mod show;
mod stores;
mod threads;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::config::{home, process_env};
use crate::daemon::Failure;

/// Exit code of a command line that cannot be understood.
const USAGE: u8 = 2;
/// The exit code after a second signal, as shells give it for SIGINT.
const AT_ONCE: u8 = 130;

/// An AI dev team in a Slack thread: describe it, approve the plan, get a pull request.
#[derive(Debug, Parser)]
#[command(
    name = "codebutler",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    after_help = "Example:\n  codebutler demo        see it work, with no account and no key"
)]
struct Cli {
    /// Change to this directory first.
    #[arg(short = 'C', value_name = "PATH", global = true)]
    directory: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Chat(chat::Args),
    Exec(exec::Args),
    Threads(threads::Args),
    Show(show::Args),
    Replay(replay::Args),
    Config(config::Args),
}

/// Why the program ends with something other than success.
#[derive(Debug)]
enum Ended {
    /// The command failed: exit code 1.
    Failed(Vec<Failure>),
    /// It was asked for in a way that makes no sense: exit code 2.
    Usage(Failure),
    /// A second signal ended it before it had stopped by itself.
    AtOnce,
}

impl From<Vec<Failure>> for Ended {
    fn from(failures: Vec<Failure>) -> Self {
        Self::Failed(failures)
    }
}

/// The whole program: parses the command line, does what it says, returns the exit code.
pub fn main() -> ExitCode {
    match Cli::try_parse_from(std::env::args_os()) {
        Ok(cli) => finish(obey(cli)),
        Err(error) => not_understood(&error),
    }
}

fn obey(cli: Cli) -> Result<(), Ended> {
    if let Some(directory) = &cli.directory {
        std::env::set_current_dir(directory).map_err(|error| {
            fail(
                format!("cannot change to `{}`: {error}", directory.display()),
                "give the path of a directory after -C",
            )
        })?;
    }
    match cli.command {
        Command::Demo(args) => demo::obey(args),
        Command::Run(args) => run::obey(args),
        Command::Chat(args) => chat::obey(args),
        Command::Exec(args) => exec::obey(args),
        Command::Threads(args) => threads::obey(args),
        Command::Show(args) => show::obey(args),
        Command::Replay(args) => replay::obey(args),
        Command::Config(args) => config::obey(args),
    }
}

fn finish(result: Result<(), Ended>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Failed(failures)) => {
            failures.iter().for_each(say);
            ExitCode::FAILURE
        }
        Err(Ended::AtOnce) => ExitCode::from(AT_ONCE),
        Err(Ended::Usage(failure)) => {
            say(&failure);
            ExitCode::from(USAGE)
        }
    }
}

/// Help and version go to standard output; everything else is an error in our own form.
fn not_understood(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Clap colours help when, and only when, the output is a terminal that wants it.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(USAGE)
        }
        _ => {
            say(&in_our_form(&error.render().to_string(), std::env::args_os().nth(1)));
            ExitCode::from(USAGE)
        }
    }
}

/// Clap's message as `error` and `hint`: its first paragraph, and its tip or else the help to look at.
fn in_our_form(message: &str, command: Option<OsString>) -> Failure {
    let mut paragraphs = message.split("\n\n");
    let what = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let what = what.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
    let tip = paragraphs.find_map(|paragraph| paragraph.trim().strip_prefix("tip: "));
    let hint = tip.map_or_else(
        || {
            let known = ["demo", "run", "chat", "exec", "threads", "show", "replay", "config"];
            let command = command.and_then(|name| known.into_iter().find(|known| name == *known));
            command.map_or("see codebutler --help".to_owned(), |name| format!("see codebutler {name} --help"))
        },
        |tip| tip.lines().next().unwrap_or(tip).to_owned(),
    );
    Failure { what, hint }
}

fn say(failure: &Failure) {
    out::error(&format!("error: {}\nhint: {}\n", failure.what, failure.hint));
}

fn fail(what: impl Into<String>, hint: impl Into<String>) -> Ended {
    Ended::Failed(vec![Failure { what: what.into(), hint: hint.into() }])
}

/// `CODEBUTLER_HOME`, or why there is none.
fn codebutler_home() -> Result<PathBuf, Ended> {
    home(&process_env).ok_or_else(|| {
        fail("neither CODEBUTLER_HOME nor HOME is set", "set CODEBUTLER_HOME to the folder of the global config.json")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, in_our_form};
    use crate::daemon::Failure;

    #[test]
    fn the_definition_is_consistent_and_every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{} shows no example", command.get_name());
            assert!(command.get_about().is_some(), "{} is not described", command.get_name());
            command.get_subcommands().for_each(check);
        }
        Cli::command().debug_assert();
        check(&Cli::command());
    }

    #[test]
    fn claps_messages_become_an_error_and_a_hint() {
        let cases = [
            (
                "error: unexpected argument '--auot' found\n\n  tip: a similar argument exists: '--auto'\n\nUsage: x\n",
                Some("demo"),
                ("unexpected argument '--auot' found", "a similar argument exists: '--auto'"),
            ),
            (
                "error: the following required arguments were not provided:\n  --model <ID>\n\nUsage: x\n",
                Some("demo"),
                ("the following required arguments were not provided: --model <ID>", "see codebutler demo --help"),
            ),
            (
                "error: unrecognized subcommand 'x'\n\nUsage: y\n",
                Some("x"),
                ("unrecognized subcommand 'x'", "see codebutler --help"),
            ),
        ];
        for (message, command, (what, hint)) in cases {
            let failure = Failure { what: what.into(), hint: hint.into() };
            assert_eq!(in_our_form(message, command.map(Into::into)), failure);
        }
    }
}
