//! What shows that work is done, or that it is not, in words: for the Coder's card and for the pull request's body.
//!
//! Everything here comes from the log (`thread/evidence.rs`). A model's words are never among it.

use std::fmt::Write as _;

use crate::thread::checks::{CheckRun, Counts};
use crate::thread::evidence::{Earlier, Report};

/// Lines and characters of a failing check's output on a card, from its end.
const LINES: usize = 10;
const WIDE: usize = 160;

/// Acceptance criteria on a card, and characters of each.
const CRITERIA: usize = 8;
const CRITERION: usize = 120;

/// Says first and plainly what fails, each with the end of its output; `None` when nothing does.
pub fn headline(report: &Report) -> Option<String> {
    // Who was to change nothing has not failed by that.
    let lead = if report.unchanged { "" } else { "Not done: " };
    let blocks: Vec<String> = report.failing().map(|(check, earlier)| block(lead, check, *earlier)).collect();
    (!blocks.is_empty()).then(|| blocks.join("\n"))
}

fn block(lead: &str, check: &CheckRun, earlier: Earlier) -> String {
    let verb = if check.fails() { "fails" } else { "is not shown to pass" };
    let mut text = format!("**{lead}`{}` {verb}**", check.command);
    let _ = write!(text, " · {}{} · {}", check.how(), tests(check.counts), was(earlier));
    let shown = tail(&check.output);
    if !shown.is_empty() {
        let _ = write!(text, "\n{shown}");
    }
    text
}

fn was(earlier: Earlier) -> &'static str {
    match earlier {
        Earlier::Green => "was green before: yes",
        Earlier::SameFailure => "failed in the same way before this work",
        Earlier::OtherFailure => "failed before this work too, but otherwise",
        Earlier::Failed => "failed before this work too; whether in the same way is not known",
        Earlier::Base => "on the untouched base",
        Earlier::Unknown => "was green before: not known",
    }
}

/// The last lines of an output in a fence that nothing in it can close.
fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let cut = |line: &&str| line.chars().take(WIDE).collect::<String>().replace("```", "'''");
    let shown: Vec<String> = lines[lines.len().saturating_sub(LINES)..].iter().map(cut).collect();
    if shown.is_empty() { String::new() } else { format!("```\n{}\n```", shown.join("\n")) }
}

/// ` (212 passed)`, ` (3 failed, 209 passed)`; empty when it is not known.
fn tests(counts: Option<Counts>) -> String {
    match counts {
        Some(Counts { passed, failed: 0 }) => format!(" ({passed} passed)"),
        Some(Counts { passed, failed }) => format!(" ({failed} failed, {passed} passed)"),
        None => String::new(),
    }
}

/// `41 s`; nothing for what took less than a second.
fn took(millis: i64) -> String {
    if millis < 1_000 { String::new() } else { format!(" in {} s", millis / 1_000) }
}

/// The evidence as a card shows it below the Coder's report; empty when there is nothing to be said.
pub fn card(report: &Report) -> String {
    let mut parts = Vec::new();
    let line = checks_line(report);
    if !line.is_empty() {
        parts.push(line);
    }
    let criteria = criteria(report, CRITERIA, CRITERION);
    if !criteria.is_empty() {
        parts.push(format!("**Done when**\n{criteria}"));
    }
    parts.join("\n")
}

/// `` `cargo test` → exit 0 (212 passed) · `cargo clippy` → exit 0 · was green before: yes ``
fn checks_line(report: &Report) -> String {
    let none = report.configured == Some(false);
    let green: Vec<&(CheckRun, Earlier)> = report.checks.iter().filter(|(check, _)| check.is_green()).collect();
    let mut parts: Vec<String> = green
        .iter()
        .map(|(check, _)| format!("`{}` → exit 0{}{}", check.command, tests(check.counts), took(check.millis)))
        .collect();
    if !green.is_empty() {
        parts.push(was_green(report, &green));
    }
    if report.unchanged && report.checks.is_empty() && report.configured == Some(true) {
        let why = report.unknown.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        parts.push(format!("how the checks end is not known{why}"));
    }
    if report.configured != Some(true) {
        parts.extend(none.then(|| "no checks are configured".to_owned()));
        parts.extend(report.ran.iter().filter_map(|(ran, changed)| {
            let code = ran.exit?;
            let later = if *changed { ", before later changes" } else { "" };
            Some(format!("the Coder ran `{}` → exit {code}{}{later}", ran.command, tests(ran.counts)))
        }));
        if none && report.ran.iter().all(|(ran, _)| ran.exit.is_none()) {
            parts.push("no test was run".to_owned());
        }
    }
    parts.join(" · ")
}

fn was_green(report: &Report, green: &[&(CheckRun, Earlier)]) -> String {
    if green.iter().all(|(_, earlier)| *earlier == Earlier::Base) {
        return was(Earlier::Base).to_owned();
    }
    let failed: Vec<String> = green
        .iter()
        .filter(|(_, earlier)| matches!(earlier, Earlier::SameFailure | Earlier::OtherFailure | Earlier::Failed))
        .map(|(check, _)| format!("`{}`", check.command))
        .collect();
    if !failed.is_empty() {
        return format!("was green before: no, {} failed", failed.join(", "));
    }
    if green.iter().any(|(_, earlier)| *earlier == Earlier::Unknown) {
        let why = report.unknown.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        return format!("was green before: not known{why}");
    }
    "was green before: yes".to_owned()
}

/// The acceptance criteria, a line each, with what shows it.
fn criteria(report: &Report, most: usize, wide: usize) -> String {
    let line = |(text, shown): &(String, Option<crate::thread::evidence::Shown>)| {
        let text = super::text::first_line(text, wide);
        match shown {
            Some(shown) if shown.green => format!("✔ {text} · `{}` → {}", shown.command, shown.how),
            Some(shown) => format!("✘ {text} · `{}` → {}", shown.command, shown.how),
            None => format!("· {text} · _no command shows it: to be looked at_"),
        }
    };
    let mut lines: Vec<String> = report.criteria.iter().take(most).map(line).collect();
    if report.criteria.len() > most {
        lines.push(format!("_{} more_", report.criteria.len() - most));
    }
    lines.join("\n")
}

/// The section of a pull request's body; empty when there is nothing to be said.
pub fn section(report: &Report) -> String {
    let mut text = String::new();
    for (check, earlier) in &report.checks {
        let mark = if check.is_green() { "✔" } else { "✘" };
        let (how, counts, took, was) = (check.how(), tests(check.counts), took(check.millis), was(*earlier));
        let _ = writeln!(text, "- {mark} `{}` → {how}{counts}{took} · {was}", check.command);
        let shown = tail(&check.output);
        if !shown.is_empty() {
            let _ = writeln!(text, "\n{shown}\n");
        }
    }
    let line = if report.configured == Some(true) { String::new() } else { checks_line(report) };
    if !line.is_empty() {
        let _ = writeln!(text, "- {line}");
    }
    let criteria: Vec<String> =
        criteria(report, usize::MAX, usize::MAX).lines().map(|line| format!("- {line}")).collect();
    if !criteria.is_empty() {
        let _ = writeln!(text, "\nDone when:\n\n{}", criteria.join("\n"));
    }
    if text.is_empty() {
        return text;
    }
    format!("### Evidence\n\nFrom the log of what was run, not from the model's words.\n\n{}", text.trim_end())
}

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;
