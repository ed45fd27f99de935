//! `codebutler config`: what is wrong with the two files, and their schema.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::{Ended, codebutler_home, out, repos};
use crate::config::settings::{GlobalLimits, RepoLimits, Sandbox};
use crate::config::{self, Global, Need, RepoSettings, process_env, schema};

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
            let global = &settings.global;
            let mut lines = format!("{}{}", line(&config::global_file(&home)), global_words(global));
            for repo in &settings.repos {
                lines.push_str(&line(&config::repo_file(&repo.path)));
                lines.push_str(&repo_words(repo));
            }
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

/// What the global file comes to.
fn global_words(global: &Global) -> String {
    let Sandbox { minimum, allow_root, network, read_paths } = &global.sandbox;
    let GlobalLimits { per_thread_usd, per_day_usd, calls_per_user_per_hour, max_concurrent_threads } = &global.limits;
    let paths: Vec<String> = read_paths.iter().map(|path| path.display().to_string()).collect();
    format!(
        "   models at {}\n   sandbox: at least {minimum:?}, as root: {}, hosts: {}, further paths: {}\n   \
         limits: ${per_thread_usd} a thread, ${per_day_usd} a day, {calls_per_user_per_hour} calls a person and hour, \
         {max_concurrent_threads} Coders at once\n",
        global.openrouter.base_url,
        if *allow_root { "yes" } else { "no" },
        list(network),
        list(&paths),
    )
}

/// What a repository's file comes to, tightened by the global one.
fn repo_words(repo: &RepoSettings) -> String {
    let RepoLimits { max_concurrent_threads, max_calls_per_hour, concurrent_builds } = &repo.limits;
    let builds: Vec<String> =
        concurrent_builds.iter().map(|(name, count)| format!("{} {count}", name.name())).collect();
    let models = &repo.models;
    format!(
        "   PM {} (fallback: {}), Coder {} (fallback: {}), Researcher {}, Lead {}, Artist {} with {}\n   \
         limits: {max_concurrent_threads} Coders at once, {max_calls_per_hour} calls an hour, builds at once: {}\n   \
         checks: {}; journal: {:?}\n",
        models.pm,
        list(&models.pm_fallback),
        models.coder,
        list(&models.coder_fallback),
        models.researcher,
        models.lead,
        models.artist,
        models.artist_prompt,
        list(&builds),
        list(&repo.checks),
        repo.git.journal,
    )
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
