//! The stores that the commands look into, the threads in them, and how a person names one.

use std::path::{Path, PathBuf};

use super::{Ended, fail, out, repos};
use crate::config::{self, process_env};
use crate::daemon::{self, Failure};
use crate::ids::Millis;
use crate::store::{self, Reader, StoreError, ThreadRow};
use crate::telemetry::escape;
use crate::thread::{Event, Thread};

/// A repository whose store can be read.
pub(super) struct Stored {
    /// Its root.
    pub(super) repository: PathBuf,
    /// Its store.
    pub(super) reader: Reader,
}

/// What was found.
pub(super) struct Stores {
    /// The repositories with a store.
    pub(super) with: Vec<Stored>,
    /// Those in which CodeButler never ran.
    pub(super) without: Vec<PathBuf>,
    /// Those whose store cannot be read.
    pub(super) broken: Vec<Failure>,
}

/// A thread and where it is.
pub(super) struct Found<'a> {
    /// Its repository.
    pub(super) stored: &'a Stored,
    /// Its row.
    pub(super) row: ThreadRow,
}

/// Opens the stores of the named repositories; with none named, of every configured one and of the one around the
/// working directory.
pub(super) fn open(named: &[PathBuf]) -> Result<Stores, Ended> {
    let paths = if named.is_empty() { known() } else { repos::chosen(named) };
    if paths.is_empty() {
        let hint = "go into one, name it with --repo PATH, or list it in `repos` of the global config.json";
        return Err(fail("there is no repository here and none is configured", hint));
    }
    let mut stores = Stores { with: Vec::new(), without: Vec::new(), broken: Vec::new() };
    let mut seen = Vec::new();
    for repository in paths {
        let real = repository.canonicalize().unwrap_or_else(|_| repository.clone());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        if !repository.is_dir() {
            let what = format!("`{}` is not a directory", repository.display());
            stores.broken.push(Failure { what, hint: "name a repository on this machine".to_owned() });
            continue;
        }
        match Reader::open(&store::path_in(&repository)) {
            Ok(Some(reader)) => stores.with.push(Stored { repository, reader }),
            Ok(None) => stores.without.push(repository),
            Err(error) => stores.broken.push(daemon::store_problem(&error)),
        }
    }
    Ok(stores)
}

/// The configured repositories and the one around us. What else is wrong with the configuration matters to nobody here.
fn known() -> Vec<PathBuf> {
    let (global, problems) = config::look(config::home(&process_env).as_deref(), &process_env);
    for problem in problems.iter().filter(|problem| problem.key.is_empty() || problem.key.starts_with("repos")) {
        out::error(&format!("warning: {problem}\n"));
    }
    let here = std::env::current_dir().unwrap_or_default();
    // In a thread's worktree the repository that it belongs to is meant.
    let around = here.ancestors().find(|folder| store::path_in(folder).exists()).map(Path::to_owned);
    around.map_or_else(|| repos::chosen(&[]), |found| vec![found]).into_iter().chain(global.repos).collect()
}

impl Stores {
    /// All threads of all stores, the one that changed last first.
    pub(super) fn threads(&mut self) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        for stored in &self.with {
            match stored.reader.threads() {
                Ok(rows) => found.extend(rows.into_iter().map(|row| Found { stored, row })),
                Err(error) => self.broken.push(unreadable(stored, &error)),
            }
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.row.updated));
        found
    }

    /// The thread that a person means by its `thread_ts` or the beginning of it.
    pub(super) fn thread(&mut self, name: &str) -> Result<Found<'_>, Ended> {
        let repositories = self.with.len() + self.without.len() + self.broken.len();
        let looked =
            if repositories == 1 { "the repository".to_owned() } else { format!("{repositories} repositories") };
        let mut fitting: Vec<Found<'_>> = self.threads();
        fitting.retain(|found| found.row.key.ts.as_str().starts_with(name));
        if fitting.iter().any(|found| found.row.key.ts.as_str() == name) {
            fitting.retain(|found| found.row.key.ts.as_str() == name);
        }
        match (fitting.len(), fitting.pop()) {
            (1, Some(found)) => Ok(found),
            (0, _) | (_, None) => {
                let what = format!("no thread of {looked} begins with `{}`", escape::line(name));
                Err(fail(what, "see codebutler threads --all"))
            }
            (count, Some(last)) => {
                fitting.push(last);
                let lines: String = fitting.iter().map(candidate).collect();
                let what = format!("{count} threads begin with `{}`:{lines}", escape::line(name));
                Err(fail(what, "write more of the one you mean, or name its repository with --repo PATH"))
            }
        }
    }
}

fn candidate(found: &Found<'_>) -> String {
    let ThreadRow { key, title, .. } = &found.row;
    format!("\n  {} in {} of {}: {}", key.ts, key.channel, found.stored.repository.display(), escape::line(title))
}

/// A thread's log, decoded, and the thread it folds to.
pub(super) fn fold(
    found: &Found<'_>,
    mut each: impl FnMut(&Thread, &Thread, &Event, Millis),
) -> Result<Thread, Failure> {
    let events = found.stored.reader.events(&found.row.key).map_err(|error| unreadable(found.stored, &error))?;
    let mut thread = Thread::new(found.row.key.clone());
    for stored in events {
        let event: Event = serde_json::from_str(&stored.body).map_err(|error| Failure {
            what: format!("event {} of thread {} cannot be read: {error}", stored.seq, found.row.key),
            hint: "a newer codebutler may have written it: update this one; `show --events` shows it as it is"
                .to_owned(),
        })?;
        let before = thread.clone();
        thread.apply(&event, stored.at);
        each(&before, &thread, &event, stored.at);
    }
    Ok(thread)
}

/// Why a store cannot be read.
pub(super) fn unreadable(stored: &Stored, error: &StoreError) -> Failure {
    let Failure { what, hint } = daemon::store_problem(error);
    Failure { what: format!("{}: {what}", stored.repository.display()), hint }
}
