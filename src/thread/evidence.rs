//! What shows what, from the log alone: which commands the Coder ran with nothing changed since, how a check was before
//! the work, what shows an acceptance criterion, how many tests an output counts.
//!
//! A model's words are no evidence and are not looked at.

use std::collections::BTreeSet;

use super::checks::{Baseline, Before, CheckEnd, CheckRun, Counts, Ran, Trace};
use super::state::{Publishing, Thread};

/// Characters of a failed command's output that are kept, from its end.
const KEPT_OUTPUT: usize = 3_000;

/// What is known at the end of a Coder run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The repository's checks with how each was before the work.
    pub checks: Vec<(CheckRun, Earlier)>,
    /// Without checks: commands like tests that the Coder ran, with its exit code, and whether files were changed after.
    pub ran: Vec<(Ran, bool)>,
    /// The plan's acceptance criteria, each with the command in it that shows it.
    pub criteria: Vec<(String, Option<Shown>)>,
    /// Why the baseline is not known, when that is.
    pub unknown: Option<String>,
    /// Whether the repository has checks; `None`: the log does not say.
    pub configured: Option<bool>,
    /// Whether nothing was changed: then the base is what there is, and its checks tell of it.
    pub unchanged: bool,
}

/// How a check was before the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It succeeded.
    Green,
    /// It failed in the same way.
    SameFailure,
    /// It failed, in another way.
    OtherFailure,
    /// It failed; whether in the same way cannot be told, since nothing that it said can be compared.
    Failed,
    /// It is the run on the untouched base itself: nothing was changed.
    Base,
    /// It is not known.
    Unknown,
}

/// The command that shows an acceptance criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The command.
    pub command: String,
    /// How it ended: `exit code 0`.
    pub how: String,
    /// Whether it succeeded.
    pub green: bool,
}

impl Report {
    /// Checks that did not succeed.
    pub fn failing(&self) -> impl Iterator<Item = &(CheckRun, Earlier)> {
        self.checks.iter().filter(|(check, _)| !check.is_green())
    }

    /// Whether all that fails failed in the same way before the work: then a person may take it as it is.
    pub fn fails_as_before(&self) -> bool {
        self.failing().count() > 0 && self.failing().all(|(_, earlier)| *earlier == Earlier::SameFailure)
    }
}

/// The evidence for a Coder run that is to be published, or that was found to have changed nothing.
pub fn report(thread: &Thread, publishing: &Publishing, unchanged: bool) -> Report {
    let done = publishing.checked.as_ref().map_or(&[][..], |checked| checked.done.as_slice());
    let baseline = match &thread.checks.baseline {
        Before::Taken(baseline) => Some(&**baseline),
        Before::None | Before::Wanted(_) | Before::Stopped(_) => None,
    };
    let mut checks: Vec<(CheckRun, Earlier)> =
        done.iter().map(|check| (check.clone(), earlier(check, baseline))).collect();
    if unchanged {
        let of_base = baseline.into_iter().flat_map(|baseline| &baseline.checks);
        let rest = of_base.filter(|before| done.iter().all(|check| check.command != before.command));
        checks.extend(rest.map(|check| (check.clone(), Earlier::Base)));
    }
    let looked = publishing.checked.as_ref().and_then(|checked| checked.configured);
    let configured = looked.or((thread.checks.baseline != Before::None).then_some(true));
    let trace = &thread.checks.trace;
    let criteria = thread.approved.as_ref().map(|(plan, _)| plan.acceptance.as_slice()).unwrap_or_default();
    Report {
        ran: if configured == Some(true) { Vec::new() } else { test_runs(trace) },
        criteria: criteria.iter().map(|text| (text.clone(), shown(text, &checks, trace))).collect(),
        unknown: baseline.and_then(|baseline| baseline.missing.clone()),
        checks,
        configured,
        unchanged,
    }
}

/// The checks that the Coder ran itself after its last change of a file, with how they ended.
///
/// A command in between may have changed files too: only a check, which is taken to change nothing, and a command that
/// can only read leave what was run before it standing.
pub fn known(trace: &[Trace], checks: &[String]) -> Vec<CheckRun> {
    let mut found: Vec<CheckRun> = Vec::new();
    for ran in standing(trace, checks) {
        let Some(check) = checks.iter().find(|check| normal(check) == ran.command) else { continue };
        let Some(code) = ran.exit else { continue };
        if found.iter().all(|known| known.command != *check) {
            let (end, counts) = (CheckEnd::Exit { code }, ran.counts);
            found.push(CheckRun {
                command: check.clone(),
                end,
                millis: ran.millis,
                counts,
                output: ran.output.clone(),
            });
        }
    }
    found.sort_by_key(|known| checks.iter().position(|check| *check == known.command));
    found
}

/// Commands since which nothing was changed, the newest first.
fn standing<'a>(trace: &'a [Trace], checks: &'a [String]) -> impl Iterator<Item = &'a Ran> {
    let mut over = false;
    trace.iter().rev().map_while(move |trace| match trace {
        Trace::Ran(ran) if !over => {
            // It still tells what it found, but not of what came before it.
            over = !checks.iter().any(|check| normal(check) == ran.command) && !only_reads(&ran.command);
            Some(ran)
        }
        Trace::Ran(_) | Trace::Checked(_) | Trace::Changed | Trace::Began => None,
    })
}

/// The end of a text, of so many characters.
pub fn last_of(text: &str, most: usize) -> &str {
    let start = text.char_indices().rev().nth(most - 1).map_or(0, |(start, _)| start);
    &text[start..]
}

/// White space as a shell sees it: any amount is one space, unless something is quoted.
pub fn normal(command: &str) -> String {
    if command.contains(['"', '\'', '\\', '\n', '`', '<']) {
        return command.trim().to_owned();
    }
    command.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a command can change no file, by its words: a short list, and nothing that a shell would read more into.
pub fn only_reads(command: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || " _./=,:@-".contains(c);
    if !command.chars().all(plain) || command.contains("output") || command.contains("-o") {
        return false;
    }
    let mut words = command.split(' ');
    match words.next() {
        Some("cat" | "head" | "tail" | "ls" | "pwd" | "wc" | "grep") => true,
        Some("git") => matches!(words.next(), Some("status" | "diff" | "log" | "show")),
        _ => false,
    }
}

/// Words that name a test or another check.
const TEST_WORDS: &[&str] = &[
    "test",
    "tests",
    "check",
    "lint",
    "clippy",
    "vet",
    "verify",
    "typecheck",
    "pytest",
    "jest",
    "vitest",
    "mocha",
    "tox",
    "nox",
    "rspec",
    "phpunit",
    "ctest",
    "unittest",
    "mypy",
    "ruff",
    "eslint",
    "tsc",
    "nextest",
];

/// Whether a command looks like a test or another check.
pub fn is_test_like(command: &str) -> bool {
    let is_border = |c: char| c.is_whitespace() || ";&|(){}\"'`:=".contains(c);
    command.split(is_border).any(|word| {
        let name = word.rsplit('/').next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let in_tests = word.split('/').rev().skip(1).any(|folder| matches!(folder, "test" | "tests"));
        TEST_WORDS.contains(&stem.as_str()) || stem.contains("test") || in_tests && name.contains('.')
    })
}

/// Commands like tests, each as it ended last, and whether files were or may have been changed after it.
fn test_runs(trace: &[Trace]) -> Vec<(Ran, bool)> {
    let (mut found, mut changed): (Vec<(Ran, bool)>, bool) = (Vec::new(), false);
    for trace in trace.iter().rev() {
        match trace {
            Trace::Ran(ran) if is_test_like(&ran.command) => {
                if found.iter().all(|(known, _)| known.command != ran.command) {
                    found.push((ran.clone(), changed));
                }
            }
            Trace::Ran(ran) => changed |= !only_reads(&ran.command),
            Trace::Changed => changed = true,
            Trace::Checked(_) => {}
            Trace::Began => break,
        }
    }
    found.reverse();
    found
}

/// The command in backticks in a criterion that was run with nothing changed since, and how it ended.
fn shown(criterion: &str, done: &[(CheckRun, Earlier)], trace: &[Trace]) -> Option<Shown> {
    let checks: Vec<String> = done.iter().map(|(check, _)| check.command.clone()).collect();
    let quoted: Vec<String> = criterion.split('`').skip(1).step_by(2).map(normal).collect();
    let all = quoted.iter().filter_map(|command| {
        if let Some((check, _)) = done.iter().find(|(check, _)| normal(&check.command) == *command) {
            return Some(Shown { command: command.clone(), how: check.how(), green: check.is_green() });
        }
        let ran = standing(trace, &checks).find(|ran| ran.command == *command)?;
        let code = ran.exit?;
        Some(Shown { command: command.clone(), how: format!("exit code {code}"), green: code == 0 })
    });
    // The one that failed, if one did: the others do not make it good.
    let all: Vec<Shown> = all.collect();
    all.iter().find(|shown| !shown.green).or(all.first()).cloned()
}

/// How a check was before the work.
fn earlier(check: &CheckRun, baseline: Option<&Baseline>) -> Earlier {
    let before = baseline.and_then(|baseline| baseline.checks.iter().find(|before| before.command == check.command));
    match before {
        Some(before) if before.is_green() => Earlier::Green,
        Some(CheckRun { end: CheckEnd::NotRun { .. }, .. }) | None => Earlier::Unknown,
        Some(before) if before.end != check.end => Earlier::OtherFailure,
        Some(before) => match (&check.end, complaints(&before.output), complaints(&check.output)) {
            // Where it was killed says nothing of why.
            (CheckEnd::TimedOut { .. }, ..) => Earlier::Failed,
            (_, was, is) if was.is_empty() && is.is_empty() => Earlier::Failed,
            (_, was, is) if was == is => Earlier::SameFailure,
            _ => Earlier::OtherFailure,
        },
    }
}

/// What an output complains about: its lines with such a word, or its last lines, without what differs from run to run.
fn complaints(output: &str) -> BTreeSet<String> {
    let words = ["fail", "error", "panic", "not ok", "assert", "exception"];
    let complains = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word))
    };
    let found: BTreeSet<String> = output.lines().filter(complains).map(without_times).collect();
    if found.is_empty() { output.lines().rev().take(5).map(without_times).collect() } else { found }
}

/// A line without durations, clock times and addresses.
fn without_times(line: &str) -> String {
    let units = ["ms", "s", "µs", "us", "ns", "m", "sec", "secs", "second", "seconds"];
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let core = word.trim_matches(|c: char| "()[],.;=".contains(c));
        let digits = core.chars().filter(char::is_ascii_digit).count();
        let unit = core.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ',');
        let is_number = digits > 0 && unit.is_empty();
        let is_time = digits > 0 && (units.contains(&unit) && core != unit || core.contains(':') && digits >= 4);
        let is_id = is_number && word.starts_with('(') && word.ends_with(')');
        if units.contains(&core)
            && words.last().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit() || c == '.'))
        {
            words.pop();
            words.push("…".to_owned());
        } else if is_time || is_id || core.starts_with("0x") {
            words.push("…".to_owned());
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// The end of an output, as much as is kept.
pub fn end_of(output: &str) -> &str {
    let output = output.trim();
    let start = output.char_indices().rev().nth(KEPT_OUTPUT - 1).map_or(0, |(start, _)| start);
    &output[start..]
}

/// How many tests an output says passed and failed; `None` when it says it in no form that is known, or is cut.
pub fn counts(output: &str) -> Option<Counts> {
    let mut counts: Option<Counts> = None;
    for line in output.lines() {
        // Something of it is left out: what was counted there is not known.
        if line.starts_with('…') {
            return None;
        }
        if let Some(found) = cargo(line).or_else(|| pytest(line)).or_else(|| jest(line)).or_else(|| mocha(line)) {
            let sum = counts.get_or_insert_default();
            sum.passed = sum.passed.saturating_add(found.passed);
            sum.failed = sum.failed.saturating_add(found.failed);
        }
    }
    counts.filter(|counts| counts.passed + counts.failed > 0)
}

/// `test result: ok. 12 passed; 0 failed; 0 ignored; …`
fn cargo(line: &str) -> Option<Counts> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let (passed, failed) = (before(rest, " passed")?, before(rest, " failed")?);
    Some(Counts { passed, failed })
}

/// `=== 1 failed, 12 passed in 0.12s ===`, also without the rules.
fn pytest(line: &str) -> Option<Counts> {
    let rest = line.trim().trim_matches('=').trim();
    let (head, time) = rest.rsplit_once(" in ")?;
    let is_time = time.starts_with(|c: char| c.is_ascii_digit()) && time.contains('s');
    if !is_time || !head.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (passed, failed) = (before(head, " passed"), before(head, " failed"));
    passed.or(failed)?;
    Some(Counts { passed: passed.unwrap_or(0), failed: failed.unwrap_or(0) })
}

/// Jest's `Tests:       1 failed, 12 passed, 13 total`, Vitest's `Tests  1 failed | 12 passed (13)`.
fn jest(line: &str) -> Option<Counts> {
    let rest = line.trim().strip_prefix("Tests")?;
    let rest = rest.strip_prefix(':').or_else(|| rest.starts_with("  ").then_some(rest))?;
    let (passed, failed) = (before(rest, " passed"), before(rest, " failed"));
    passed.or(failed)?;
    Some(Counts { passed: passed.unwrap_or(0), failed: failed.unwrap_or(0) })
}

/// `12 passing (30ms)`, `1 failing`.
fn mocha(line: &str) -> Option<Counts> {
    let line = line.trim();
    let (number, word) = line.split_once(' ')?;
    let number = number.parse().ok()?;
    match word.split(' ').next()? {
        "passing" => Some(Counts { passed: number, failed: 0 }),
        "failing" => Some(Counts { passed: 0, failed: number }),
        _ => None,
    }
}

/// The number right before a word.
fn before(text: &str, word: &str) -> Option<u32> {
    let head = &text[..text.find(word)?];
    head.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;
