//! The lines of questions, to people and to the PM, and of help for a run that goes in circles.

use super::{Line, Tag, characters, count, who};
use crate::agent::Role;
use crate::agent::stuck::{Help, Trouble};
use crate::thread::consult::Knew;
use crate::thread::{Event, Thread};

/// `None` for other events, and for those of runs that are over.
pub(super) fn line(before: &Thread, after: &Thread, event: &Event) -> Option<Line> {
    match event {
        Event::QuestionAsked { id, role, ask, .. } => {
            let what = format!("asks question {id} with {}", count(ask.options.len(), "option"));
            Some(Line::said(Tag::Role(*role), what, "asks", &ask.question))
        }
        Event::QuestionAnswered { id, by, answer, .. } => {
            let name = who(after, by);
            let what = format!("{name} answered question {id}");
            Some(Line::said(Tag::Message, what, &format!("{name} answered"), answer))
        }
        Event::PmAsked { id, role, asked, .. } => {
            let what = format!("asks the PM question {id} with {}", characters(&asked.question));
            Some(Line::said(Tag::Role(*role), what, "asks the PM", &asked.question))
        }
        Event::PmAnswered { id, answer, knew } => Some(answered(after, id.as_str(), answer, knew)),
        Event::StuckNoticed { run, trouble, help, what } => {
            before.run(*run)?;
            let text = format!("run {run} goes in circles ({}): {}", name_of(*trouble), help_text(*help));
            Some(Line::said(Tag::Warning, text.clone(), &format!("{text}; it had"), what))
        }
        _ => None,
    }
}

fn answered(after: &Thread, id: &str, answer: &str, knew: &Knew) -> Line {
    let pm = Tag::Role(Role::Pm);
    match knew {
        Knew::Pm => Line::said(pm, format!("answers question {id}"), "answers", answer),
        Knew::Person { by } => {
            let told = format!("as {} told it", who(after, by));
            Line::said(pm, format!("answers question {id}, {told}"), &format!("answers, {told}"), answer)
        }
        Knew::Nobody => {
            let what = format!("question {id} to the PM has no answer");
            Line::said(Tag::Warning, what, "the PM has no answer", answer)
        }
        Knew::Overtaken { by } => {
            Line::plain(Tag::Info, format!("{} wrote before question {id} was answered", who(after, by)))
        }
    }
}

fn name_of(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::SameFailure => "the same failure",
        Trouble::Undone => "edits that undo each other",
        Trouble::SameError => "the same error",
        Trouble::Repeat => "the same call",
        Trouble::Idle => "nothing new",
        Trouble::Unchanged => "no changed file",
    }
}

fn help_text(help: Help) -> &'static str {
    match help {
        Help::Note => "it is told",
        Help::Pause => "a turn without tools",
        Help::AskPm => "the PM is asked",
        Help::End => "it has to end",
    }
}
