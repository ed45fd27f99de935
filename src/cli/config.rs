//! `codebutler config`: what is wrong with the two files, and their schema.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::{Ended, codebutler_home, out, repos};
use crate::config::{self, Need, process_env, schema};

/// Check the two config files, or print their JSON Schema.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Example:\n  codebutler config check"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(CheckArgs),
    Schema(SchemaArgs),
}

/// Say every problem of the global file and of each repository's file, with its fix.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  codebutler config check --repo ~/src/shop\n\n\
    Checks what `codebutler run` needs; with --chat what `codebutler chat` needs, which is nothing of Slack.\n\
    Exit code 1 when there is a problem.")]
struct CheckArgs {
    /// A repository beside those of the global file; may be given more than once. Default: the one around the working
    /// directory.
    #[arg(long, value_name = "PATH")]
    repo: Vec<PathBuf>,
    /// Ask for nothing that only Slack needs.
    #[arg(long)]
    chat: bool,
}

/// Print the JSON Schema of the config files, for editors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  codebutler config schema repository > .codebutler/config.schema.json\n\n\
    Then name it in the file: \"$schema\": \"./config.schema.json\"")]
struct SchemaArgs {
    /// Which file. Default: one schema that fits both.
    #[arg(value_enum)]
    file: Option<File>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum File {
    Global,
    Repository,
}

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    match args.command {
        Command::Check(args) => check(&args),
        Command::Schema(args) => {
            let schema = match args.file {
                Some(File::Global) => schema::global(),
                Some(File::Repository) => schema::repository(),
                None => schema::both(),
            };
            out::output(&format!("{schema:#}\n"));
            Ok(())
        }
    }
}

fn check(args: &CheckArgs) -> Result<(), Ended> {
    let home = codebutler_home()?;
    let need = if args.chat { Need::Local } else { Need::Slack };
    match config::load(&home, &repos::chosen(&args.repo), need, &process_env) {
        Ok(settings) => {
            let files = settings.repos.iter().map(|repo| config::repo_file(&repo.path));
            let lines: String =
                std::iter::once(config::global_file(&home)).chain(files).map(|file| line(&file)).collect();
            out::output(&lines);
            Ok(())
        }
        Err(problems) => Err(Ended::Failed(problems.into_iter().map(Into::into).collect())),
    }
}

fn line(file: &Path) -> String {
    let note = if file.exists() { "" } else { " (not there: defaults)" };
    format!("ok {}{note}\n", file.display())
}
