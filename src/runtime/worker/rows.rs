//! What a worker reads from and writes to rows of the store beside the log: a row of the inbox as a command, and what the
//! thread's own row says of it. Decides nothing.

use tokio::sync::Notify;

use crate::agent::Role;
use crate::agent::estimate::Past;
use crate::chat::{Incoming, IncomingKind};
use crate::ids::ThreadKey;
use crate::runtime::project::Project;
use crate::store::{StoreError, Waiting};
use crate::thread::command::Action;
use crate::thread::event::Message;
use crate::thread::words::{self, Order, Typed};
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

/// Ends when somebody's `!stop` waits in the inbox.
pub(super) async fn hears_stop(project: &Project, key: &ThreadKey, nudge: &Notify) -> Result<(), StoreError> {
    let slash = project.rules(&key.channel).slash;
    let is_stop = |waiting: &Waiting| match &waiting.incoming.what {
        IncomingKind::Message { text, to_bot, .. } => words::read(text, *to_bot, slash) == Typed::Order(Order::Stop),
        _ => false,
    };
    while !project.store.waiting(key).await?.iter().any(is_stop) {
        nudge.notified().await;
    }
    Ok(())
}
