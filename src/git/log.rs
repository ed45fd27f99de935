//! The history as a model reads it: one line per commit.

use std::fmt::Write as _;
use std::path::Path;

use git2::Oid;

use super::thread_git::{Opened, ThreadGit, pathspec, short};
use super::{GitError, internal};

/// Commits looked through for changes of one path before giving up.
const LOOKED_THROUGH: usize = 20_000;

impl ThreadGit {
    /// The newest commits, those that changed `path` if one is given, as lines `hash date author: subject`. Commits
    /// that only the thread's branch has are marked `*`.
    pub async fn log(&self, path: Option<&str>, limit: usize) -> Result<String, GitError> {
        let path = pathspec(path);
        self.in_repository(move |opened| {
            opened.log(path.as_deref(), limit).map_err(|error| internal("read the history", &error))
        })
        .await
    }
}

impl Opened {
    fn log(&self, path: Option<&Path>, limit: usize) -> Result<String, git2::Error> {
        let own_from = self.merge_base().ok();
        let mut walk = self.git.revwalk()?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME)?;
        walk.push(self.head)?;
        let mut text = String::new();
        let mut count = 0;
        for (looked, id) in walk.enumerate() {
            if looked >= LOOKED_THROUGH {
                let _ = writeln!(text, "(stopped after {LOOKED_THROUGH} commits)");
                break;
            }
            let id = id?;
            let commit = self.git.find_commit(id)?;
            if !path.is_none_or(|path| changes(&commit, path)) {
                continue;
            }
            if count == limit {
                let _ = writeln!(text, "(older ones left out; a higher `limit` shows more)");
                break;
            }
            let own =
                own_from.is_some_and(|base| base != id && !self.git.graph_descendant_of(base, id).unwrap_or(true));
            let mark = if own { "* " } else { "" };
            let author = commit.author();
            let author = author.name().unwrap_or("unknown");
            let subject = commit.summary().ok().flatten().unwrap_or_default();
            let _ = writeln!(text, "{mark}{} {} {author}: {subject}", short(id), date(commit.time()));
            count += 1;
        }
        Ok(text)
    }
}

/// Whether a commit changed what is at a path, against every parent.
fn changes(commit: &git2::Commit<'_>, path: &Path) -> bool {
    let at = |commit: &git2::Commit<'_>| -> Option<Oid> { commit.tree().ok()?.get_path(path).ok().map(|e| e.id()) };
    let now = at(commit);
    if commit.parent_count() == 0 {
        return now.is_some();
    }
    commit.parents().all(|parent| at(&parent) != now)
}

/// The day of a commit where it was made.
fn date(time: git2::Time) -> String {
    let offset = jiff::tz::Offset::from_seconds(time.offset_minutes() * 60).unwrap_or(jiff::tz::Offset::UTC);
    jiff::Timestamp::from_second(time.seconds())
        .map(|stamp| offset.to_datetime(stamp).date().to_string())
        .unwrap_or_default()
}
