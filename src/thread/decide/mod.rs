//! Decides: a command against a thread gives events. One file per family of commands.
//!
//! Nothing here acts. `Deciding` keeps a copy of the thread on which each emitted event is applied at once, so that
//! later steps of the same decision see it.

mod budget;
mod changes;
mod checks;
mod consult;
mod context;
mod orders;
mod people;
mod pulls;
mod question;
mod retry;
mod stuck;
mod turn;
mod work;

use super::command::Command;
use super::event::{Earlier, Event};
use super::rules::Rules;
use super::state::Thread;
use crate::agent::Role;
use crate::ids::{RunId, UserId};

/// Says what happens when `command` meets `thread` under `rules`.
pub fn decide(thread: &Thread, command: Command, rules: &Rules) -> Vec<Event> {
    let mut deciding = Deciding { thread: thread.clone(), rules, asked: thread.asks_pm(), events: Vec::new() };
    deciding.command(command);
    deciding.look_to_checks();
    deciding.events
}

/// A decision being made.
struct Deciding<'a> {
    thread: Thread,
    rules: &'a Rules,
    /// The request to the PM's model that was under way when the command came.
    asked: Option<(RunId, u32)>,
    events: Vec<Event>,
}

impl Deciding<'_> {
    fn emit(&mut self, event: Event) {
        self.thread.apply(&event, self.rules.now);
        self.events.push(event);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Say { message, to_bot } => self.say(message, to_bot),
            Command::Edit { ts, by, text } => self.edit(ts, &by, text),
            Command::Delete { ts, by } => self.delete(ts, &by),
            Command::Press { action, value, by, name } => self.press(action, &value, by, &name),
            Command::BasePrepared(result) => self.base_prepared(result),
            Command::CallDue { run } => self.call_due(run),
            Command::Spent(spent) => self.emit(Event::Spent { spent }),
            Command::ModelAnswered { run, turn, result } => self.model_answered(run, turn, result),
            Command::ToolDone { run, call, result, deeds } => self.tool_done(run, call, result, deeds),
            Command::WorkspacePrepared(result) => self.workspace_prepared(result),
            Command::WorkspaceInitialised(steps) => self.workspace_initialised(steps),
            Command::BaselineTaken(baseline) => self.baseline_taken(baseline),
            Command::CheckDone { run, check } => self.check_done(run, check),
            Command::PublishDone { run, result, deeds } => self.publish_done(run, result, deeds),
            Command::MergeDone(result) => self.merge_done(result),
            Command::CleanUpDone(leftovers) => self.clean_up_done(leftovers),
            Command::Queued { run, place, build } => self.queued(run, place, build),
            Command::PullChanged(seen) => self.pull_changed(seen),
            Command::ContextWanted { run, turn, wanted } => self.context_wanted(run, turn, wanted),
            Command::Interrupted { calls } => self.interrupted(calls),
        }
        self.mind_budget();
    }

    /// Starts a run of this role, by the word of that person. Its conversation is opened first when this is its first run.
    fn start_run(&mut self, role: Role, by: Option<UserId>) {
        let model = match role {
            Role::Coder => self.rules.coder_model.clone(),
            Role::Pm | Role::Researcher | Role::Artist | Role::Lead => {
                self.thread.pm_choice.as_ref().map_or_else(|| self.rules.pm_model.clone(), |(_, model)| model.clone())
            }
        };
        if !self.thread.conversations.get(&role).is_some_and(|conversation| conversation.open) {
            self.open_conversation(role);
        }
        if role == Role::Pm {
            self.brief_pm();
        }
        let run = RunId(self.thread.last_run + 1);
        self.emit(Event::RunStarted { run, role, model, by });
        self.hear(role);
        self.advance(role);
    }

    fn open_conversation(&mut self, role: Role) {
        let mut system = Vec::new();
        if let Some(base) = &self.thread.base {
            system.extend(base.prompts.iter().filter(|(of, _)| *of == role).map(|(_, prompt)| prompt.clone()));
        }
        if role == Role::Coder
            && let Some((plan, _)) = &self.thread.approved
        {
            system.push(format!("# The approved plan\n\n{}", plan.to_markdown()));
        }
        let tools = self.rules.tool_list(role).to_owned();
        self.emit(Event::ConversationOpened { role, system, tools });
        if role == Role::Pm {
            self.tell_history();
        }
    }

    /// Tells the PM what was said before the bot was part of the thread, but for what has come as a message since.
    fn tell_history(&mut self) {
        let (Some(base), Some(pm)) = (&self.thread.base, self.thread.conversations.get(&Role::Pm)) else { return };
        let came = |earlier: &Earlier| pm.unheard.iter().any(|message| earlier.ts.as_ref() == Some(&message.ts));
        let lines: Vec<String> = base.history.iter().filter(|earlier| !came(earlier)).map(Earlier::line).collect();
        if !lines.is_empty() {
            let before = lines.join("\n");
            self.note(Role::Pm, format!("[codebutler] Said in this thread before you were asked:\n{before}"));
        }
    }

    /// Puts everything that the role has not read into its conversation. Nothing unread: nothing happens, unless the
    /// model spoke last, since a model is never called without something new.
    fn hear(&mut self, role: Role) {
        let Some(conversation) = self.thread.conversations.get(&role) else { return };
        let mut parts = conversation.notes.clone();
        let mut messages = Vec::new();
        // Who hears of a change alone leaves to the Coder what is for the Coder.
        let stale = self.thread.runs.get(&role).is_some_and(|run| run.stale);
        let unheard = if stale && !self.has_unheard(role) { &[] } else { conversation.unheard.as_slice() };
        for message in unheard {
            parts.push(spoken(message));
            messages.push(message.ts.clone());
        }
        if parts.is_empty() {
            if !conversation.model_spoke_last {
                return;
            }
            parts.push(GO_ON.to_owned());
        }
        self.emit(Event::Heard { role, parts, messages });
    }

    /// Leaves a note that the role reads when it is next called.
    fn note(&mut self, role: Role, text: String) {
        self.emit(Event::Noted { role, text });
    }
}

/// What the model is told when it is called again with nothing new.
const GO_ON: &str = "[codebutler] Go on from where you were.";

/// A person's message as a model reads it.
pub(super) fn spoken(message: &super::event::Message) -> String {
    let mut text = format!("{}: {}", message.name, message.text);
    if !message.files.is_empty() {
        text.push_str(&format!("\n[attached: {}]", message.files.join(", ")));
    }
    text
}
