//! What people see of the checks while they run after a Coder run has ended: one message, edited, with a stop button.
//!
//! How they ended stands on the run's card; the baseline, which runs beside the Coder, is only seen there.

use super::{Out, PROGRESS};
use crate::agent::Role;
use crate::render::cards;
use crate::render::post::{ButtonStyle, Post};
use crate::thread::checks::{Before, Checks};
use crate::thread::command::Action;
use crate::thread::state::Thread;

pub(super) fn checks(before: &Thread, after: &Thread, news: &Checks, out: &mut Out) {
    match news {
        Checks::Due { run, commands, .. } if !commands.is_empty() => show(after, *run, out),
        Checks::Ran { run, .. } | Checks::Unneeded { run } => show(after, *run, out),
        Checks::Stopped { ts, .. } => {
            if let Some(publishing) = &before.publishing {
                show(after, publishing.run, out);
            }
            out.done(ts.iter());
        }
        Checks::BaselineTaken { .. } => {
            if let Some(publishing) = &after.publishing {
                show(after, publishing.run, out);
            }
        }
        Checks::BaselineWanted { .. } | Checks::Due { .. } => {}
    }
}

fn show(thread: &Thread, run: crate::ids::RunId, out: &mut Out) {
    let Some(publishing) = thread.publishing.as_ref().filter(|publishing| publishing.run == run) else { return };
    let Some(checked) = &publishing.checked else { return };
    let mut lines: Vec<String> = checked
        .done
        .iter()
        .map(|check| format!("{} `{}` → {}", if check.is_green() { "✔" } else { "✘" }, check.command, check.how()))
        .collect();
    let mut buttons = Vec::new();
    if let Some(command) = checked.due.first() {
        lines.push(format!("running the check `{command}` …"));
        buttons.push(cards::button(Action::RunStop, run.to_string(), "Stop", ButtonStyle::Plain));
    } else if let Some(by) = &checked.stopped {
        lines.push(format!("_stopped by {by}_"));
    } else if matches!(thread.checks.baseline, Before::Wanted(_)) && !checked.done.is_empty() {
        lines.push("waiting for the same checks on the untouched base …".to_owned());
        buttons.push(cards::button(Action::RunStop, run.to_string(), "Stop", ButtonStyle::Plain));
    } else if lines.is_empty() {
        lines.push("_nothing was changed, so nothing was checked_".to_owned());
    }
    let post: Post = cards::card(Role::Coder, lines.join("\n"), buttons);
    out.set(format!("{PROGRESS}{run}/checks"), post);
}
