//! The repository's checks: when they are run, on what, and what the Coder is told of them.

use super::Deciding;
use crate::agent::Role;
use crate::ids::{MessageTs, RunId, UserId};
use crate::thread::checks::{Baseline, Before, CheckRun, Checks};
use crate::thread::event::Event;
use crate::thread::evidence::{self, last_of};

/// How much of a failing check's output the Coder is told, in characters from its end.
const TOLD: usize = 1_500;

impl Deciding<'_> {
    fn emit_checks(&mut self, news: Checks) {
        self.emit(Event::Checks { news });
    }

    /// The worktree is there: the checks are run on the untouched base beside the Coder's first turns. Once in a thread:
    /// later plans stand on the same base.
    pub(super) fn want_baseline(&mut self) {
        let commands = self.checks();
        if self.thread.checks.baseline == Before::None && !commands.is_empty() {
            self.emit_checks(Checks::BaselineWanted { commands });
        }
    }

    /// The repository's checks, each once.
    fn checks(&self) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        for command in self.rules.checks.iter().filter(|command| !command.trim().is_empty()) {
            if !commands.contains(command) {
                commands.push(command.clone());
            }
        }
        commands
    }

    pub(super) fn baseline_taken(&mut self, baseline: Baseline) {
        if !matches!(self.thread.checks.baseline, Before::Wanted(_)) {
            return;
        }
        for check in baseline.checks.iter().filter(|check| check.fails()) {
            let text = format!(
                "[codebutler] `{}` fails on the base already, before any change of yours ({}). That is not your fault; \
                 if it still fails at the end, say so. The end of its output:\n{}",
                check.command,
                check.how(),
                last_of(&check.output, TOLD)
            );
            self.note(Role::Coder, text);
        }
        self.emit_checks(Checks::BaselineTaken { baseline });
    }

    /// Whatever ended the Coder's run: what the log shows of the checks, and what is still to be run. What a person
    /// stopped is published as it is.
    pub(super) fn look_to_checks(&mut self) {
        let Some(publishing) = self.thread.publishing.as_ref().filter(|publishing| publishing.checked.is_none()) else {
            return;
        };
        let (run, checks) = (publishing.run, self.checks());
        if self.thread.workspace().is_none() {
            return;
        }
        let known = evidence::known(&self.thread.checks.trace, &checks);
        let is_known = |command: &String| known.iter().any(|check| check.command == *command);
        let commands = checks.into_iter().filter(|command| !is_known(command)).collect();
        self.emit_checks(Checks::Due { run, known, commands });
    }

    /// A check that was due has ended; `None`: nothing was changed, so that nothing is to be checked.
    pub(super) fn check_done(&mut self, run: RunId, check: Option<CheckRun>) {
        let checked = self.thread.publishing.as_ref().filter(|publishing| publishing.run == run);
        let Some(checked) = checked.and_then(|publishing| publishing.checked.as_ref()) else { return };
        match check {
            Some(check) if checked.due.contains(&check.command) => self.emit_checks(Checks::Ran { run, check }),
            None if !checked.due.is_empty() => self.emit_checks(Checks::Unneeded { run }),
            Some(_) | None => {}
        }
    }

    /// Stops the checks that are being run; whether there are any.
    pub(super) fn stop_checks(&mut self, by: &UserId, ts: Option<&MessageTs>) -> bool {
        let due = self.thread.publishing.as_ref().and_then(|publishing| publishing.checked.as_ref());
        let runs = due.is_some_and(|checked| !checked.due.is_empty())
            || matches!(self.thread.checks.baseline, Before::Wanted(_));
        let runs = runs && !self.thread.is_closed();
        if runs {
            self.emit_checks(Checks::Stopped { by: by.clone(), ts: ts.cloned() });
        }
        runs
    }

    /// What fails although, or since, nothing was changed: `; ˋxˋ fails (exit code 1)`.
    pub(super) fn still_failing(&self) -> String {
        let failing = self.thread.published.iter().flat_map(|published| published.evidence.failing());
        failing.map(|(check, _)| format!("; `{}` fails ({})", check.command, check.how())).collect()
    }

    /// Leaves the Coder a note on the checks that failed, for when it goes on.
    pub(super) fn note_failing(&mut self) {
        let Some(published) = self.thread.published.as_ref().filter(|published| published.summary.head.is_some())
        else {
            return;
        };
        let failing = published.evidence.failing().map(|(check, earlier)| {
            let before = match earlier {
                evidence::Earlier::Green => "it succeeded before your work",
                evidence::Earlier::SameFailure => "it failed in the same way before your work",
                evidence::Earlier::OtherFailure => "it failed before your work too, but in another way",
                evidence::Earlier::Failed => "it failed before your work too; whether in the same way is not known",
                evidence::Earlier::Base | evidence::Earlier::Unknown => "it is not known how it was before your work",
            };
            let output = last_of(&check.output, TOLD);
            format!("`{}`: {}; {before}. The end of its output:\n{output}", check.command, check.how())
        });
        let failing: Vec<String> = failing.collect();
        if !failing.is_empty() {
            let text = format!(
                "[codebutler] After your run these checks did not succeed, so the pull request is a draft. Mend them \
                 when you go on.\n\n{}",
                failing.join("\n\n")
            );
            self.note(Role::Coder, text);
        }
    }
}
