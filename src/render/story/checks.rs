//! The lines of what becomes of the checks. What a check printed stands in none of them.

use super::{Line, Tag, count, who};
use crate::agent::Role;
use crate::thread::checks::{CheckRun, Checks};
use crate::thread::state::Thread;

/// What happened to the checks.
pub(super) fn line(after: &Thread, news: &Checks) -> Line {
    match news {
        Checks::BaselineWanted { commands } => {
            Line::plain(Tag::Info, format!("{} to be run on the base first", count(commands.len(), "check")))
        }
        Checks::BaselineTaken { baseline } => match &baseline.missing {
            Some(why) => Line::plain(Tag::Warning, format!("how the checks were before is not known: {why}")),
            None => {
                let text = format!("before the work at {}: {}", baseline.commit.short(), results(&baseline.checks));
                Line::plain(Tag::Info, text)
            }
        },
        Checks::Due { run, known, commands } if known.is_empty() && commands.is_empty() => {
            Line::plain(Tag::Role(Role::Coder), format!("after run {run} there are no checks to be run"))
        }
        Checks::Due { run, known, commands } => {
            let own = if known.is_empty() { String::new() } else { format!("; run by the Coder: {}", results(known)) };
            let text = format!("after run {run} {} due{own}", count(commands.len(), "check"));
            Line::plain(Tag::Role(Role::Coder), text)
        }
        Checks::Ran { run, check } => {
            let tag = if check.is_green() { Tag::Role(Role::Coder) } else { Tag::Warning };
            Line::plain(tag, format!("check of run {run}: {}", result(check)))
        }
        Checks::Unneeded { run } => {
            Line::plain(Tag::Role(Role::Coder), format!("run {run} changed nothing, so nothing is checked"))
        }
        Checks::Touched { run } => Line::plain(Tag::Info, format!("a command of run {run} changed files")),
        Checks::Stopped { by, .. } => Line::plain(Tag::Info, format!("{} stopped the checks", who(after, by))),
    }
}

fn results(checks: &[CheckRun]) -> String {
    checks.iter().map(result).collect::<Vec<_>>().join(", ")
}

fn result(check: &CheckRun) -> String {
    format!("`{}` {} ({} ms)", check.command, check.how(), check.millis)
}

/// The check that runs now, when one does.
pub(super) fn doing(thread: &Thread) -> Option<String> {
    let command = thread.publishing.as_ref()?.checked.as_ref()?.due.first()?;
    Some(format!("running the check `{command}`"))
}
