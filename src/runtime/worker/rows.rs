//! What a worker reads from and writes to rows of the store beside the log: a row of the inbox as a command, and what the
//! thread's own row says of it. Decides nothing.

use crate::agent::Role;
use crate::agent::estimate::Past;
use crate::chat::{Incoming, IncomingKind};
use crate::thread::command::Action;
use crate::thread::event::Message;
use crate::thread::{Command, Thread};

/// What the thread tells the next one like it.
pub(super) fn past(thread: &Thread) -> Past {
    let usage = thread.total_usage();
    let cost_usd = Some(usage.cost_usd).filter(|_| usage.calls_without_cost == 0);
    Past { cost_usd, worked_ms: thread.worked_ms }
}

/// Its title in listings.
pub(super) fn title(thread: &Thread) -> String {
    let unread = || thread.conversations.get(&Role::Pm)?.unheard.first();
    let first = || thread.said.first().or_else(unread);
    let said = || first().map(|message| message.text.lines().next().unwrap_or_default().to_owned());
    let text = thread.plan.as_ref().map(|plan| plan.plan.title.clone()).or_else(said);
    text.unwrap_or_default().chars().take(80).collect()
}

/// What an inbox row asks of the thread; `None` when it asks nothing that this program knows.
pub(super) fn command_of(incoming: Incoming) -> Option<Command> {
    let Incoming { from, name, what, .. } = incoming;
    match what {
        IncomingKind::Message { ts, text, to_bot, files } => {
            Some(Command::Say { message: Message { ts, from, name, text, files }, to_bot })
        }
        IncomingKind::Edited { ts, text, at: _ } => Some(Command::Edit { ts, by: from, text }),
        IncomingKind::Deleted { ts } => Some(Command::Delete { ts, by: from }),
        IncomingKind::Pressed { action, value } => {
            Action::parse(&action).map(|action| Command::Press { action, value, by: from, name })
        }
        IncomingKind::PullChanged { seen } => Some(Command::PullChanged(seen)),
    }
}
