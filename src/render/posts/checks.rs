//! What people see of the checks while they run after a Coder run has ended: one message, edited, with a stop button.
//!
//! How they ended stands on the run's card; the baseline, which runs beside the Coder, is only seen there.

use super::{Out, PROGRESS};
use crate::agent::Role;
use crate::ids::RunId;
use crate::render::cards;
use crate::render::post::{ButtonStyle, Post};
use crate::thread::checks::{Before, CheckRun, Checked, Checks};
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
        Checks::BaselineWanted { .. } | Checks::Due { .. } | Checks::Touched { .. } => {}
    }
}

/// The thread ended with checks under way, or before the work was brought out: how far they came, and the report, which no
/// card will show.
pub(super) fn settle(before: &Thread, after: &Thread, out: &mut Out) {
    let Some(publishing) = before.publishing.as_ref().filter(|_| after.is_closed() && after.publishing.is_none())
    else {
        return;
    };
    if let Some(checked) = &publishing.checked
        && (!checked.due.is_empty() || waits_for_base(before, checked))
    {
        let mut lines = ended(checked);
        lines.extend(checked.due.iter().map(|command| format!("`{command}`: _not run to its end_")));
        lines.push("_The thread is closed._".to_owned());
        out.set(key(publishing.run), cards::card(Role::Coder, lines.join("\n"), Vec::new()));
    }
    if !publishing.report.trim().is_empty() {
        out.report(publishing.run, publishing.report.trim());
    }
}

fn key(run: RunId) -> String {
    format!("{PROGRESS}{run}/checks")
}

/// Whether all have ended and only the base's are waited for.
fn waits_for_base(thread: &Thread, checked: &Checked) -> bool {
    let compares = !checked.done.is_empty() || checked.unneeded;
    checked.due.is_empty() && compares && matches!(thread.checks.baseline, Before::Wanted(_))
}

/// Those that have ended, a line each.
fn ended(checked: &Checked) -> Vec<String> {
    let mark = |check: &CheckRun| if check.is_green() { "✔" } else { "✘" };
    checked.done.iter().map(|check| format!("{} `{}` → {}", mark(check), check.command, check.how())).collect()
}

fn show(thread: &Thread, run: RunId, out: &mut Out) {
    let Some(publishing) = thread.publishing.as_ref().filter(|publishing| publishing.run == run) else { return };
    let Some(checked) = &publishing.checked else { return };
    let mut lines = ended(checked);
    let mut buttons = Vec::new();
    if let Some(command) = checked.due.first() {
        lines.push(format!("running the check `{command}` …"));
        buttons.push(cards::button(Action::RunStop, run.to_string(), "Stop", ButtonStyle::Plain));
    } else if let Some(by) = &checked.stopped {
        lines.push(format!("_stopped by {by}_"));
    } else if waits_for_base(thread, checked) {
        let lead = if checked.unneeded { "nothing was changed; " } else { "" };
        lines.push(format!("{lead}waiting for the same checks on the untouched base …"));
        buttons.push(cards::button(Action::RunStop, run.to_string(), "Stop", ButtonStyle::Plain));
    } else if lines.is_empty() {
        lines.push("_nothing was changed, so nothing was checked_".to_owned());
    }
    let post: Post = cards::card(Role::Coder, lines.join("\n"), buttons);
    out.set(key(run), post);
}
