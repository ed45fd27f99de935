//! Questions of a role to people: shown, answered by a button or in words, void when their run ends.

use super::Deciding;
use crate::agent::Role;
use crate::ids::{CallId, QuestionId, RunId, UserId};
use crate::thread::event::{Event, Message, ToolResult};
use crate::thread::question::Ask;

impl Deciding<'_> {
    /// Shows a question. Its call stays open until a person answers.
    pub(super) fn ask(&mut self, role: Role, run: RunId, call: &CallId, ask: Ask) -> Result<(), String> {
        if let Some(fault) = ask.fault() {
            return Err(format!("The question was not shown: {fault}."));
        }
        if self.thread.is_closed() {
            return Err("This thread is closed; nobody would answer. End with what you know.".to_owned());
        }
        self.emit(Event::ToolsStarted { run, calls: vec![call.clone()] });
        let id = QuestionId::new(format!("q{}", self.thread.seq + 1));
        self.emit(Event::QuestionAsked { id, role, run, call: call.clone(), ask });
        Ok(())
    }

    /// A person's message while a question waits is its answer, whatever it says.
    pub(super) fn answer_by_message(&mut self, message: Message) {
        let Some(question) = self.thread.question.clone() else { return };
        let (by, ts) = (message.from.clone(), message.ts.clone());
        let chosen = question.ask.chosen(&message.text).and_then(|index| question.ask.options.get(index)).cloned();
        let shown = chosen.clone().unwrap_or_else(|| message.text.clone());
        self.emit(Event::MessageReceived { message });
        let name = self.thread.name_of(&by).to_owned();
        let text = match chosen {
            Some(option) => format!("{name} chose “{option}”; the message itself follows."),
            None => format!("{name} answered; the message follows."),
        };
        self.emit(Event::QuestionAnswered { id: question.id, by, ts: Some(ts), answer: shown });
        self.close_question(question.run, question.call, text);
    }

    /// A pressed button; `value` is the question's id and the choice's index, `q12/0`.
    pub(super) fn answer_by_button(&mut self, value: &str, by: UserId) {
        let (id, index) = value.rsplit_once('/').unwrap_or((value, ""));
        let waiting = self.thread.question.clone().filter(|question| question.id.as_str() == id);
        let option = waiting.as_ref().and_then(|question| question.ask.options.get(index.parse::<usize>().ok()?));
        let (Some(question), Some(option)) = (&waiting, option.cloned()) else {
            self.refuse(None, by, "This question does not wait any more.");
            return;
        };
        let name = self.thread.name_of(&by).to_owned();
        let text = format!("{name} chose “{option}”.");
        self.emit(Event::QuestionAnswered { id: question.id.clone(), by, ts: None, answer: option });
        self.close_question(question.run, question.call.clone(), text);
    }

    fn close_question(&mut self, run: RunId, call: CallId, text: String) {
        let result = ToolResult { text, error: false, wrote: Vec::new(), exit: None };
        self.tool_done(run, call, result, Vec::new());
    }
}
