//! A run's turns: the model's reply, tool results, the tools that are events of the thread, the end of the run.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::Deciding;
use crate::agent::estimate::estimate;
use crate::agent::tool_name::Conduct;
use crate::agent::{Role, Step, ToolName, next_step, repair};
use crate::ids::{CallId, PlanId, RunId};
use crate::thread::checks::Checks;
use crate::thread::command::Deed;
use crate::thread::consult::PmQuestion;
use crate::thread::event::{Event, Failure, Reply, RunOutcome, ToolResult};
use crate::thread::plan::{Plan, Todo};
use crate::thread::question::Ask;
use crate::thread::state::{CallState, Queue};

impl Deciding<'_> {
    pub(super) fn model_answered(&mut self, id: RunId, turn: u32, result: Result<Reply, Failure>) {
        // A late answer of a run that was stopped, or of a turn that was made again, is dropped.
        let Some((role, run)) = self.thread.run(id) else { return };
        if run.turns + 1 != turn || !run.thinks() {
            return;
        }
        let limit = self.rules.turns(role);
        let ending = run.watch.ending().map(str::to_owned);
        let last = run.turns >= limit || ending.is_some();
        let pauses = run.watch.pauses() && !last;
        // What was said to people is no answer to a role that asked.
        let spoke = run.spoke && run.answers.is_none();
        let mut reply = match result {
            Ok(reply) => reply,
            Err(failure) => {
                self.end_run(id, RunOutcome::Failed { failure });
                if role == Role::Coder {
                    self.wake_pm();
                }
                return;
            }
        };
        repair::settle(role, self.rules.tool_list(role), &mut reply.text, &mut reply.calls);
        if last || pauses {
            reply.calls.clear();
        }
        self.make_call_ids_unique(role, &mut reply);
        let again = reply.cut && reply.calls.is_empty() && !last;
        let twice = again && self.thread.runs.get(&role).is_some_and(|run| run.cut);
        let (text, ends) = (reply.text.clone(), reply.calls.is_empty());
        let silent = ends && !last && !spoke && text.trim().is_empty() && !self.has_news(role);
        self.emit(Event::ReplyReceived { run: id, turn, reply });
        if pauses {
            self.end_pause(role);
        } else if silent {
            let failure = Failure {
                what: "The model gave an empty answer.".to_owned(),
                hint: "Say `!retry`, or choose another model with `!pm NAME`.".to_owned(),
            };
            self.end_run(id, RunOutcome::Failed { failure });
        } else if last {
            let outcome = match ending {
                Some(what) => RunOutcome::Stuck { what, text },
                None => RunOutcome::LimitReached { turns: limit, text },
            };
            self.end_run(id, outcome);
            self.after_run(role);
        } else if again && !twice && !text.trim().is_empty() {
            self.note(role, cut(role));
            self.hear(role);
        } else if !ends {
            self.advance(role);
        } else if self.has_news(role) {
            self.hear(role);
        } else {
            let text = self.mark_cut(role, twice, text);
            self.end_run(id, RunOutcome::Answered { text });
            self.after_run(role);
        }
    }

    /// Says of a last text that it is not whole, when it was cut again.
    fn mark_cut(&mut self, role: Role, cut: bool, text: String) -> String {
        const MARK: &str = "_(cut off at the model's output limit)_";
        match (cut, role) {
            (false, _) => text,
            (true, Role::Coder) => format!("{text}\n\n{MARK}"),
            (true, _) => {
                self.emit(Event::NotePosted { role, text: MARK.to_owned() });
                text
            }
        }
    }

    /// People changed what this role's run stands on, or wrote to it since it was last called.
    pub(super) fn has_news(&self, role: Role) -> bool {
        self.thread.runs.get(&role).is_some_and(|run| run.stale) || self.has_unheard(role)
    }

    /// People wrote to this role since it was last called, and nobody else answers them.
    pub(super) fn has_unheard(&self, role: Role) -> bool {
        let answered = self.thread.runs.get(&role).is_some_and(|run| run.answer.is_some());
        // The Coder that waits for this very run hears them too, but only after it.
        let consults = self.thread.runs.get(&role).is_some_and(|run| run.answers.is_some());
        let coder_answers = role == Role::Pm && self.thread.runs.contains_key(&Role::Coder) && !consults;
        (answered || !coder_answers)
            && self.thread.conversations.get(&role).is_some_and(|state| !state.unheard.is_empty())
    }

    /// When the Coder has ended, messages that came too late for it are the PM's.
    fn after_run(&mut self, role: Role) {
        if role == Role::Pm {
            self.wake_pm();
        }
    }

    fn make_call_ids_unique(&self, role: Role, reply: &mut Reply) {
        let earlier = self.thread.conversations.get(&role).map(|state| &*state.call_ids);
        let mut number = earlier.map_or(0, BTreeSet::len);
        let mut fresh: BTreeSet<String> = BTreeSet::new();
        for call in &mut reply.calls {
            let taken = |id: &str, fresh: &BTreeSet<String>| {
                fresh.contains(id) || earlier.is_some_and(|earlier| earlier.contains(id))
            };
            let mut id = call.id.as_str().to_owned();
            while !is_plain(&id) || taken(&id, &fresh) {
                number += 1;
                id = format!("call_{number}");
            }
            call.id = CallId::new(&id);
            fresh.insert(id);
        }
    }

    /// Takes the run as far as it goes without the outside: answers the core's own calls, releases the others.
    pub(super) fn advance(&mut self, role: Role) {
        loop {
            let Some(run) = self.thread.runs.get(&role) else { return };
            let (id, fresh) = (run.id, run.calls.is_empty());
            match next_step(run, self.rules.turns(role)) {
                Step::RunCalls(ready) => {
                    let ready: Vec<CallState> = ready.iter().map(|index| run.calls[*index].clone()).collect();
                    let (own, outside): (Vec<_>, Vec<_>) = ready.into_iter().partition(is_own);
                    if !outside.is_empty() {
                        let calls = outside.iter().map(|state| state.call.id.clone()).collect();
                        self.emit(Event::ToolsStarted { run: id, calls });
                    }
                    for state in &own {
                        self.answer_own(role, id, state);
                    }
                    if own.is_empty() {
                        return;
                    }
                }
                Step::CallModel { last, .. } => {
                    let untold = role == Role::Coder && self.thread.checks.untold;
                    let heard = last || !fresh && (self.has_news(role) || untold);
                    if last && self.thread.runs.get(&role).is_some_and(|run| run.watch.ending().is_none()) {
                        let limit = self.rules.turns(role);
                        self.note(
                            role,
                            format!(
                                "[codebutler] You have used the {limit} turns of this run. Tools are off now. Say in a \
                                 few sentences what is done, what is not, and what you would do next."
                            ),
                        );
                    }
                    if heard {
                        self.hear(role);
                    } else if !fresh {
                        self.help_if_stuck(role);
                    }
                    return;
                }
                Step::Await => return,
            }
        }
    }

    pub(super) fn tool_done(&mut self, id: RunId, call: CallId, result: ToolResult, deeds: Vec<Deed>) {
        self.record(Some(id), deeds);
        let Some((role, run)) = self.thread.run(id) else { return };
        if run.open_call(&call).is_none() {
            return;
        }
        self.emit(Event::ToolFinished { run: id, call, result });
        self.advance(role);
    }

    /// What was done to the world is true even when its run has ended.
    pub(super) fn record(&mut self, run: Option<RunId>, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Committed(commit) => self.emit(Event::Committed { commit }),
                Deed::Pushed(head)
                    if self.thread.head.as_ref() != Some(&head) || self.thread.elsewhere.head.is_some() =>
                {
                    self.emit(Event::Pushed { head });
                }
                Deed::Opened(pull) if self.thread.pull.as_ref() != Some(&pull) => {
                    self.emit(Event::PullRequestOpened { pull });
                }
                Deed::FoundForeign(head) => self.found_foreign(head, None),
                Deed::Touched => {
                    let run = run.filter(|run| self.thread.run(*run).is_some());
                    run.into_iter().for_each(|run| self.emit(Event::Checks { news: Checks::Touched { run } }));
                }
                Deed::Context(change) => {
                    let run = run.filter(|run| self.thread.run(*run).is_some());
                    run.into_iter().for_each(|run| self.emit(Event::ContextChanged { run, change: change.clone() }));
                }
                Deed::Pushed(_) | Deed::Opened(_) => {}
            }
        }
    }

    pub(super) fn interrupted(&mut self, calls: Vec<(RunId, CallId)>) {
        for (id, call) in calls {
            // A question was not cut: it waits in the log.
            let consults = self.thread.consults.iter();
            let mut waiting = consults.filter_map(|consult| Some((consult.run, consult.call.as_ref()?)));
            if waiting.any(|waits| waits == (id, &call))
                || self.thread.question.as_ref().is_some_and(|question| question.run == id && question.call == call)
            {
                continue;
            }
            let text = "Interrupted: the program was restarted while this was running. It may have done nothing, a \
                        part, or all of its work. Check the state of the files before you go on."
                .to_owned();
            let wrote = self
                .thread
                .run(id)
                .and_then(|(_, run)| run.open_call(&call))
                .filter(|state| matches!(state.tool, Some(ToolName::Write | ToolName::Edit)))
                .and_then(|state| crate::render::progress::argument(&state.call.arguments, "file_path"))
                .into_iter()
                .collect();
            self.tool_done(id, call, ToolResult { text, error: true, wrote, exit: None }, Vec::new());
        }
    }

    pub(super) fn queued(&mut self, id: RunId, place: Option<u32>, build: Option<String>) {
        let Some((_, run)) = self.thread.run(id) else { return };
        let queue = place.map(|place| Queue { place, build: build.clone() });
        if run.queue != queue {
            self.emit(Event::RunQueued { run: id, place, build });
        }
    }

    /// Answers a call that needs nothing from outside: an event of the thread, or a mistake.
    fn answer_own(&mut self, role: Role, run: RunId, state: &CallState) {
        let answer = match (&state.call.fault, state.tool) {
            (Some(fault), _) => Err(fault.clone()),
            (None, None) => Err(repair::unknown_tool(role, &state.call.name)),
            (None, Some(ToolName::AskUser)) => {
                match arguments::<Ask>(state).and_then(|ask| self.ask(role, run, &state.call.id, ask)) {
                    // The answer is the call's result.
                    Ok(()) => return,
                    Err(fault) => Err(fault),
                }
            }
            (None, Some(ToolName::AskPm)) => {
                let call = Some(state.call.id.clone());
                match arguments::<PmQuestion>(state).and_then(|asked| self.ask_pm(role, run, call, asked)) {
                    Ok(()) => return,
                    Err(fault) => Err(fault),
                }
            }
            (None, Some(ToolName::ProposePlan)) => arguments(state).and_then(|plan| self.propose(plan)),
            (None, Some(ToolName::TodoWrite)) => arguments(state).map(|list: TodoList| {
                self.emit(Event::TodosWritten { run, todos: list.todos });
                "The list is saved and shown in the thread.".to_owned()
            }),
            (None, Some(ToolName::SlackNotify)) => arguments(state).and_then(|note: Note| {
                if note.text.trim().is_empty() {
                    return Err("`text` is empty: nothing was posted.".to_owned());
                }
                self.emit(Event::NotePosted { role, text: note.text });
                Ok("Posted in the thread.".to_owned())
            }),
            (None, Some(tool)) => Err(format!("`{tool}` cannot be answered here.")),
        };
        let error = answer.is_err();
        let text = answer.unwrap_or_else(|fault| fault);
        let result = ToolResult { text, error, wrote: Vec::new(), exit: None };
        self.emit(Event::ToolFinished { run, call: state.call.id.clone(), result });
    }

    fn propose(&mut self, plan: Plan) -> Result<String, String> {
        if let Some(fault) = plan.fault() {
            return Err(format!("The plan was not shown: {fault}."));
        }
        if self.thread.is_closed() {
            return Err("This thread is closed, so no plan can be carried out in it. Tell the person to open a new \
                        thread for new work."
                .to_owned());
        }
        let Some(base) = &self.thread.base else { return Err("The code is not ready yet; try again.".to_owned()) };
        let base = base.commit.clone();
        let approvers: Vec<String> = self.rules.approvers.iter().map(ToString::to_string).collect();
        let mut id = plan.id(&base, &approvers);
        let again = |known: &PlanId| known.as_str().strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with('-'));
        if self.thread.waiting_plan().is_some_and(|waiting| waiting.id == id || again(&waiting.id)) {
            return Ok("This very plan is already shown and waits for a person. End your turn.".to_owned());
        }
        // The same words again after an approval, or after another plan, are a new request for approval, on a card of
        // its own: the old one is far up and stays as it was judged.
        if self.thread.plan_ids.contains(&id) {
            id = PlanId::new(format!("{id}-{}", self.thread.seq));
        }
        let estimate = estimate(&self.rules.similar);
        self.emit(Event::PlanProposed { id, plan, base, estimate });
        Ok("The plan is shown with buttons and waits for a person's approval. Only a person can approve it; nothing \
            happens before. Do not repeat it: end your turn with at most one short sentence, or with nothing."
            .to_owned())
    }
}

/// What a model is told whose text was cut. Of the Coder's texts people see the last one only, as its report.
fn cut(role: Role) -> String {
    let then = match role {
        Role::Coder => "Nobody has seen it. Say it again in full, but shorter",
        _ => "It was shown up to there. Go on exactly where it stopped, and be brief",
    };
    format!(
        "[codebutler] Your last message reached the output limit. {then}; if you meant to call a tool, call it now."
    )
}

#[derive(serde::Deserialize, JsonSchema)]
struct TodoList {
    todos: Vec<Todo>,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Note {
    text: String,
}

/// Whether every server takes an id: some models make them up.
fn is_plain(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    !id.is_empty() && id.len() <= 64 && id.chars().all(plain)
}

/// Whether the core answers this call itself.
fn is_own(state: &CallState) -> bool {
    state.call.fault.is_some() || state.tool.is_none_or(|tool| matches!(tool.conduct(), Conduct::Core | Conduct::Waits))
}

fn arguments<T: DeserializeOwned + JsonSchema>(state: &CallState) -> Result<T, String> {
    repair::read(&state.call.name, &state.call.arguments)
}
