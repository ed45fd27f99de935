//! What is done about a run that goes in circles (`agent/stuck.rs`): a note, a turn without tools, a question to the PM,
//! the end with a word to the people. Each once, and only while it goes on.

use super::Deciding;
use crate::agent::stuck::{Found, Help};
use crate::agent::{Role, ToolName};
use crate::thread::consult::PmQuestion;
use crate::thread::event::Event;

impl Deciding<'_> {
    /// Helps a run whose model would be asked next, when it is in trouble.
    pub(super) fn help_if_stuck(&mut self, role: Role) {
        let Some(run) = self.thread.runs.get(&role) else { return };
        let Some(Found { trouble, what }) = run.watch.trouble(role) else { return };
        let can_ask = role.tools().contains(&ToolName::AskPm);
        let (id, help) = (run.id, run.watch.help(trouble, can_ask));
        let account = run.watch.account();
        self.emit(Event::StuckNoticed { run: id, trouble, help, what: what.clone() });
        let text = match help {
            Help::Note => format!(
                "[codebutler] You have {what}. Say in a sentence or two what you believe is wrong, then try something \
                 different."
            ),
            Help::Pause => format!(
                "[codebutler] It goes on: you have {what}. Tools are off for this one turn, and nobody but you reads what \
                 you say in it. What do you know for certain, what do you only believe, and which different way will you \
                 take?"
            ),
            Help::AskPm => {
                let question = format!("It has {what}. What should it do?");
                // It has what it needs: the question is never empty, and short.
                if self.ask_pm(role, id, None, PmQuestion { question, context: Some(account) }).is_ok() {
                    return;
                }
                format!("[codebutler] It goes on: you have {what}. Take another way, or end and say what you need.")
            }
            Help::End => format!(
                "[codebutler] This run ends here, since you have {what}. Tools are off. Say in a few sentences to the \
                 people in the thread what you tried, what you believe is wrong, and what you need from them."
            ),
        };
        self.note(role, text);
        self.hear(role);
    }

    /// The turn without tools is over: the run goes on.
    pub(super) fn end_pause(&mut self, role: Role) {
        let text = "[codebutler] Tools are on again. Take the different way now. If there is none, end: say what is done, \
                    what is not, and what you need.";
        self.note(role, text.to_owned());
        self.hear(role);
    }
}
