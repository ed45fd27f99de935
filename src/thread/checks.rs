//! The repository's checks: how each ended, what the log knows of them, the baseline before the work, and their fold.
//!
//! Nothing here says what shows what: that is `evidence.rs`. What runs is decided in `decide/checks.rs`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::event::ToolResult;
use super::evidence;
use super::state::{Publishing, Thread, WorkspaceState};
use crate::agent::tool_name::Conduct;
use crate::agent::{Role, ToolName};
use crate::ids::{CallId, CommitId, MessageTs, Millis, RunId, UserId};
use crate::render::progress::argument;

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CheckEnd {
    /// With this exit code.
    Exit {
        /// The code.
        code: i32,
    },
    /// It was killed when its time was over.
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// It could not be run.
    NotRun {
        /// Why.
        why: String,
    },
}

/// A check that was run, by the Coder or by the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// The command, as the configuration has it.
    pub command: String,
    /// How it ended.
    pub end: CheckEnd,
    /// How long it took.
    pub millis: i64,
    /// How many tests passed and failed, when its output says so in a form that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The end of its output, when it did not succeed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that passed.
    pub passed: u32,
    /// Those that failed.
    pub failed: u32,
}

/// The checks as they were before the work: run once on the untouched base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The commit that they were run on.
    pub commit: CommitId,
    /// How they ended.
    pub checks: Vec<CheckRun>,
    /// Why it is not known how they were, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// What became of the checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Checks {
    /// They are to be run on the untouched base, beside the Coder's first turns.
    BaselineWanted {
        /// The checks.
        commands: Vec<String>,
    },
    /// They were run there, or could not be.
    BaselineTaken {
        /// What came of it.
        baseline: Baseline,
    },
    /// A Coder run has ended: what the log shows of them, and those that are still to be run. Neither: there are none.
    Due {
        /// The Coder's run.
        run: RunId,
        /// What the Coder ran itself, with nothing changed since.
        known: Vec<CheckRun>,
        /// The others.
        commands: Vec<String>,
    },
    /// One of them was run.
    Ran {
        /// The Coder's run.
        run: RunId,
        /// How it ended.
        check: CheckRun,
    },
    /// Nothing was changed, so there is nothing to check.
    Unneeded {
        /// The Coder's run.
        run: RunId,
    },
    /// A command of the Coder was seen to change files. Looked at only when nothing has been known to for long.
    Touched {
        /// The Coder's run.
        run: RunId,
    },
    /// A person stopped them.
    Stopped {
        /// Who.
        by: UserId,
        /// The message, when typed.
        #[serde(default)]
        ts: Option<MessageTs>,
    },
}

/// What a thread knows of its checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// How they were before the work.
    pub baseline: Before,
    /// Which commands were run on the Coder's work and when it was changed, oldest first: the one list of them.
    pub trace: Arc<Vec<Trace>>,
    /// Whether the Coder at work has not yet been told how they were.
    pub untold: bool,
}

/// How far the baseline is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Before {
    /// None is wanted: there was no check when the work began.
    #[default]
    None,
    /// These are to be run.
    Wanted(Arc<Vec<String>>),
    /// A person stopped it; it is wanted again when the Coder goes on.
    Stopped(Arc<Vec<String>>),
    /// It is there.
    Taken(Arc<Baseline>),
}

/// Something that was done in the Coder's worktree.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// A run of the Coder began; what comes before is old to it.
    Began,
    /// The Coder changed files by a tool.
    Changed,
    /// The Coder ran a command.
    Ran(Ran),
    /// We ran one of the checks.
    Checked(CheckRun),
}

/// A command that the Coder ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// The command.
    pub command: String,
    /// Its exit code; `None` when it has none.
    pub exit: Option<i32>,
    /// How long it took.
    pub millis: i64,
    /// What its output says of tests.
    pub counts: Option<Counts>,
    /// The end of its output, when it failed.
    pub output: String,
}

/// How far the checks at the end of a Coder run are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Those that were run.
    pub done: Vec<CheckRun>,
    /// Those that are still to be run.
    pub due: Vec<String>,
    /// Who stopped them before they had ended.
    pub stopped: Option<String>,
    /// Whether the repository has any; `None`: the log does not say.
    pub configured: Option<bool>,
    /// Whether nothing was changed, so that the base's are all there is to say.
    pub unneeded: bool,
}

/// As much of a trace is kept: more commands than anybody reads.
const MOST_TRACES: usize = 80;

/// A command is kept up to this length, in characters; a longer one is no check.
const LONGEST_COMMAND: usize = 2_000;

impl CheckRun {
    /// Whether it shows that all is well.
    pub fn is_green(&self) -> bool {
        self.end == CheckEnd::Exit { code: 0 }
    }

    /// Whether it was run and did not succeed.
    pub fn fails(&self) -> bool {
        !self.is_green() && !matches!(self.end, CheckEnd::NotRun { .. })
    }

    /// How it ended, in few words: `exit code 101`.
    pub fn how(&self) -> String {
        match &self.end {
            CheckEnd::Exit { code } => format!("exit code {code}"),
            CheckEnd::TimedOut { seconds } => format!("did not end within {seconds} s"),
            CheckEnd::NotRun { why } => format!("could not be run: {why}"),
        }
    }
}

impl Baseline {
    /// Whether a check was run and did not succeed.
    fn fails(&self) -> bool {
        self.checks.iter().any(CheckRun::fails)
    }
}

impl Publishing {
    /// Why the pull request is only a draft, when it is: what the run's end says, and checks that fail.
    pub fn missing(&self) -> Option<String> {
        let checked = self.checked.as_ref();
        let failing = checked.into_iter().flat_map(|checked| &checked.done).filter(|check| !check.is_green());
        let failing = failing.map(|check| match &check.end {
            CheckEnd::Exit { code } => format!("`{}` fails (exit code {code})", check.command),
            CheckEnd::TimedOut { .. } | CheckEnd::NotRun { .. } => format!("`{}` {}", check.command, check.how()),
        });
        let stopped = checked.and_then(|checked| checked.stopped.as_ref());
        let stopped = stopped.map(|by| format!("{by} stopped the checks before they had ended"));
        let all: Vec<String> = self.draft.clone().into_iter().chain(failing).chain(stopped).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Thread {
    /// Folds what became of the checks.
    pub(super) fn apply_checks(&mut self, news: &Checks) {
        match news {
            Checks::BaselineWanted { commands } => self.checks.baseline = Before::Wanted(Arc::new(commands.clone())),
            Checks::BaselineTaken { baseline } => {
                self.checks.untold = self.runs.contains_key(&Role::Coder) && baseline.fails();
                self.checks.baseline = Before::Taken(Arc::new(baseline.clone()));
            }
            Checks::Due { run, known, commands } => {
                let configured = Some(!known.is_empty() || !commands.is_empty());
                let (done, due) = (known.clone(), commands.clone());
                let checked = Checked { done, due, configured, ..Checked::default() };
                self.with_publishing(*run, |publishing| publishing.checked = Some(checked));
            }
            Checks::Ran { run, check } => {
                self.push_trace(Trace::Checked(check.clone()));
                self.with_checked(*run, |checked| {
                    checked.due.retain(|command| *command != check.command);
                    checked.done.push(check.clone());
                });
            }
            Checks::Unneeded { run } => self.with_checked(*run, |checked| {
                checked.due.clear();
                checked.unneeded = true;
            }),
            Checks::Touched { run } => self.touch(*run),
            Checks::Stopped { by, .. } => self.stop_checks(by),
        }
    }

    fn touch(&mut self, id: RunId) {
        self.push_trace(Trace::Changed);
        if let Some(run) = self.runs.values_mut().find(|run| run.id == id) {
            Arc::make_mut(&mut run.watch).touch();
        }
    }

    fn with_publishing(&mut self, run: RunId, change: impl FnOnce(&mut Publishing)) {
        if let Some(publishing) = self.publishing.as_mut().filter(|publishing| publishing.run == run) {
            change(publishing);
        }
    }

    fn with_checked(&mut self, run: RunId, change: impl FnOnce(&mut Checked)) {
        self.with_publishing(run, |publishing| {
            if let Some(checked) = &mut publishing.checked {
                change(checked);
            }
        });
    }

    fn stop_checks(&mut self, by: &UserId) {
        if let Before::Wanted(commands) = &self.checks.baseline {
            self.checks.baseline = Before::Stopped(Arc::clone(commands));
        }
        let by = self.name_of(by).to_owned();
        if let Some(checked) = self.publishing.as_mut().and_then(|publishing| publishing.checked.as_mut())
            && !checked.due.is_empty()
        {
            checked.due.clear();
            checked.stopped = Some(by);
        }
    }

    /// A Coder run begins: what the one before it showed may be old by now.
    pub(super) fn begin_trace(&mut self) {
        self.push_trace(Trace::Began);
        if let Before::Stopped(commands) = &self.checks.baseline {
            self.checks.baseline = Before::Wanted(Arc::clone(commands));
        }
    }

    /// Keeps what a call of the Coder did; before the call is folded itself.
    pub(super) fn trace(&mut self, run: RunId, call: &CallId, result: &ToolResult, at: Millis) {
        let Some((Role::Coder, run)) = self.run(run) else { return };
        let Some(state) = run.open_call(call).filter(|state| state.started) else { return };
        let Some(tool) = state.tool.filter(|tool| tool.conduct() == Conduct::Changes) else { return };
        let command = (tool == ToolName::Bash).then(|| argument(&state.call.arguments, "command")).flatten();
        let trace = match command {
            Some(command) if command.chars().count() <= LONGEST_COMMAND => {
                let failed = result.exit.is_some_and(|code| code != 0);
                Trace::Ran(Ran {
                    command: evidence::normal(&command),
                    exit: result.exit,
                    millis: at.since(state.since),
                    counts: evidence::counts(&result.text),
                    output: if failed { evidence::end_of(&result.text).to_owned() } else { String::new() },
                })
            }
            Some(_) | None => Trace::Changed,
        };
        self.push_trace(trace);
    }

    fn push_trace(&mut self, trace: Trace) {
        // A change right after a change says nothing new.
        if trace == Trace::Changed && self.checks.trace.last() == Some(&trace) {
            return;
        }
        let traces = Arc::make_mut(&mut self.checks.trace);
        if traces.len() >= MOST_TRACES {
            traces.remove(0);
        }
        traces.push(trace);
    }

    /// What the checks need done: the baseline on the untouched base, then what the log does not show.
    pub(super) fn baseline_effect(&self) -> Option<Effect> {
        match (&self.checks.baseline, &self.workspace) {
            (Before::Wanted(commands), WorkspaceState::Ready { workspace, initialised: true }) => {
                Some(Effect::TakeBaseline { commit: workspace.base.clone(), commands: commands.to_vec() })
            }
            _ => None,
        }
    }

    /// What the Coder's ended run needs next: a check, or to be published; `None` while something else has to end.
    pub(super) fn publishing_effect(&self) -> Option<Effect> {
        let publishing = self.publishing.as_ref()?;
        let publish = || Some(Effect::Publish { publishing: publishing.clone() });
        let Some(checked) = &publishing.checked else { return publish() };
        if let Some(command) = checked.due.first() {
            // A check is a command: it needs what the initialisation makes.
            let ready = matches!(self.workspace, WorkspaceState::Ready { initialised: true, .. });
            let number = checked.done.len();
            return ready.then(|| Effect::RunCheck { run: publishing.run, number, command: command.clone() });
        }
        // Whether a failure is new can only be said beside the baseline, which began long before; where nothing was
        // changed, it is all that is known.
        let compares =
            (!checked.done.is_empty() || checked.unneeded) && matches!(self.checks.baseline, Before::Wanted(_));
        if compares { None } else { publish() }
    }
}
