//! What people see when a conversation was made shorter: one quiet line, and only when its earlier part is gone.

use super::Out;
use crate::agent::Role;
use crate::agent::tokens::short;
use crate::ids::RunId;
use crate::thread::context::Change;
use crate::thread::state::Thread;

pub(super) fn changed(before: &Thread, run: RunId, change: &Change, out: &mut Out) {
    let (Change::Compacted { before: was, after, summary, .. }, Some((role, _))) = (change, before.run(run)) else {
        return;
    };
    let what = if role == Role::Coder { "my work" } else { "this conversation" };
    let (was, after) = (short(*was), short(*after));
    let text = if summary.is_some() {
        format!("I summarised the earlier part of {what} to go on ({was} → {after} tokens).")
    } else {
        format!(
            "I left out the earlier part of {what} to go on ({was} → {after} tokens). A summary could not be had, so I \
             go on from the plan, your words and what the record says."
        )
    };
    out.say(Some(role), &text);
}
