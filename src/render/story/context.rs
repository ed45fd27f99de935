//! What was done about the length of a conversation, in a line for the log and for `show`.

use crate::agent::tokens::{estimate, short};
use crate::thread::context::Change;

/// The change in words.
pub(super) fn words(change: &Change) -> String {
    match change {
        Change::OutputKept { bytes, .. } => {
            let tokens = estimate(usize::try_from(*bytes).unwrap_or(usize::MAX));
            format!("a result of about {} tokens is shown in part", short(tokens))
        }
        Change::Exceeded { model, context } => {
            format!("{model} refused the conversation as too long: it reads about {} tokens", short(*context))
        }
        Change::Stubbed { stubs, before, after } => {
            let results =
                if stubs.len() == 1 { "1 old result".to_owned() } else { format!("{} old results", stubs.len()) };
            format!("{results} taken out of the conversation: {} → {} tokens", short(*before), short(*after))
        }
        Change::Compacted { before, after, usage, .. } => {
            let how = if usage.calls > 0 { "summarised" } else { "replaced without a summary" };
            let (before, after) = (short(*before), short(*after));
            format!("the earlier part of the conversation is {how}: {before} → {after} tokens")
        }
    }
}
