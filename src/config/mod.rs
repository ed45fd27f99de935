//! Configuration: two files, read once at start into settings that make sense, or every problem of both at once.
//!
//! Two stages: `raw` is what people write (and the JSON Schema), `settings` is what the program uses; `check/` goes
//! from one to the other. A repository can only tighten what the global file says. Also here: the prompts' assembly
//! and what a first run puts into a repository. Never starts anything, never touches the network, and sees the
//! environment only through the function it is given.

mod check;
mod expand;
mod file;
mod problem;
pub mod prompts;
mod raw;
pub mod schema;
pub mod seed;
pub mod settings;
mod shape;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use problem::Problems;

pub use check::{address_of_server, loopback};
pub use problem::Problem;
pub use settings::{Global, RepoSettings};

/// Where a variable of the environment comes from: [`process_env`], or a test's own function.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `run`: Slack's tokens and each repository's channel must be there.
    Slack,
    /// The local chat: nothing of Slack is needed.
    Local,
}

/// Both files' settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The global file's.
    pub global: Global,
    /// Those of each repository, in the order in which they were given, then as the global file lists them.
    pub repos: Vec<RepoSettings>,
}

/// A variable of our own environment; one that is not Unicode counts as not set.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `$CODEBUTLER_HOME`, else `~/.codebutler`; `None` when there is no home either.
pub fn home(env: Env<'_>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CODEBUTLER_HOME").or_else(|| set("HOME").map(|home| home.join(".codebutler")))
}

/// The global file in this home.
pub fn global_file(home: &Path) -> PathBuf {
    home.join("config.json")
}

/// The file of this repository.
pub fn repo_file(repo: &Path) -> PathBuf {
    repo.join(".codebutler").join("config.json")
}

/// Reads the global file. A missing one means defaults.
#[cfg(test)]
pub fn load_global(home: &Path, need: Need, env: Env<'_>) -> Result<Global, Vec<Problem>> {
    let (global, problems) = read_global(home, need, env);
    if problems.is_empty() { Ok(global) } else { Err(problems) }
}

#[cfg(test)]
/// Reads the file of one repository and tightens it by the global one. A missing file means defaults.
pub fn load_repo(repo: &Path, global: &Global, need: Need, env: Env<'_>) -> Result<RepoSettings, Vec<Problem>> {
    let (settings, problems) = read_repo(repo, global, need, env);
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

/// Reads the global file and those of `repos` and of every repository that the global file lists, and says all
/// problems of all of them at once.
pub fn load(home: &Path, repos: &[PathBuf], need: Need, env: Env<'_>) -> Result<Settings, Vec<Problem>> {
    let (global, mut problems) = read_global(home, need, env);
    let mut paths: Vec<(PathBuf, Option<String>)> = repos.iter().map(|repo| (repo.clone(), None)).collect();
    paths.extend(global.repos.iter().enumerate().map(|(at, repo)| (repo.clone(), Some(format!("repos[{at}]")))));
    let mut seen = Vec::new();
    let mut settings: Vec<RepoSettings> = Vec::new();
    for (path, listed_as) in paths {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        if !path.is_dir() {
            let (file, key, what) = match listed_as {
                Some(key) => (global_file(home), key, format!("`{}` is not a directory", path.display())),
                None => (path, String::new(), "is not a directory".to_owned()),
            };
            problems.push(Problem { file, key, what, fix: "write the path of a repository on this machine".into() });
            continue;
        }
        let (repo, of_repo) = read_repo(&path, &global, need, env);
        problems.extend(of_repo);
        if let (Some(channel), Some(other)) =
            (&repo.channel, settings.iter().find(|other| other.channel == repo.channel))
        {
            problems.push(Problem {
                file: repo_file(&path),
                key: "slack.channelID".into(),
                what: format!("is {channel}, the channel of {} too", other.path.display()),
                fix: "give each repository a channel of its own".into(),
            });
        }
        settings.push(repo);
    }
    if problems.is_empty() { Ok(Settings { global, repos: settings }) } else { Err(problems) }
}

/// What the global file says as far as it can be read, for those who only look; defaults where there is none, or no
/// home. The problems are those of the whole file.
pub fn look(home: Option<&Path>, env: Env<'_>) -> (Global, Vec<Problem>) {
    let Some(home) = home else {
        let mut problems = Problems::of(Path::new("config.json"));
        return (check::global(raw::GlobalFile::default(), Need::Local, &mut problems), Vec::new());
    };
    read_global(home, Need::Local, env)
}

fn read_global(home: &Path, need: Need, env: Env<'_>) -> (Global, Vec<Problem>) {
    let path = global_file(home);
    let mut problems = Problems::of(&path);
    let other = shape::Elsewhere { file: "the repository's .codebutler/config.json", schema: &schema::repository() };
    let raw = read(&path, Kind { schema: &schema::global(), other, commands: &[], private: true }, env, &mut problems);
    let global = check::global(raw, need, &mut problems);
    (global, problems.into_vec())
}

fn read_repo(repo: &Path, global: &Global, need: Need, env: Env<'_>) -> (RepoSettings, Vec<Problem>) {
    let path = repo_file(repo);
    let mut problems = Problems::of(&path);
    let other = shape::Elsewhere { file: "the global config.json in CODEBUTLER_HOME", schema: &schema::global() };
    let commands = &["checks", "worktree.init"];
    let kind = Kind { schema: &schema::repository(), other, commands, private: false };
    let raw = read(&path, kind, env, &mut problems);
    let settings = check::repo(repo, raw, &global.limits, need, &mut problems);
    (settings, problems.into_vec())
}

/// What makes one of the two files different from the other.
struct Kind<'a> {
    schema: &'a serde_json::Value,
    other: shape::Elsewhere<'a>,
    /// Keys whose strings are shell commands.
    commands: &'a [&'a str],
    /// Whether only its owner may read it.
    private: bool,
}

/// Reads a file as far as it can be read; what cannot is a problem and takes its default.
fn read<T: DeserializeOwned + Default>(path: &Path, kind: Kind<'_>, env: Env<'_>, problems: &mut Problems<'_>) -> T {
    let mut tree = file::read(path, kind.private, problems);
    expand::expand(&mut tree, kind.commands, env, problems);
    shape::check(&mut tree, kind.schema, &kind.other, problems);
    if !tree.is_object() {
        return T::default();
    }
    serde_json::from_value(tree).unwrap_or_else(|error| {
        problems.unreadable(format!("cannot be used: {error}"), "hold it against `codebutler config schema`");
        T::default()
    })
}
