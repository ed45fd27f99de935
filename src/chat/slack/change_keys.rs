//! Keys by which a change of a message is known again, whether its event told of it or the history shows it. Stored, so
//! they never change their form.

use sha2::{Digest as _, Sha256};

/// The key of an edit. Slack tells only the second of it: two edits within one are told apart by their words.
pub fn edit_key(channel: &str, ts: &str, at: &str, text: &str) -> String {
    let words = Sha256::digest(text);
    format!("edit:{channel}:{ts}:{at}:{}", words.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// The key of a deletion.
pub fn delete_key(channel: &str, ts: &str) -> String {
    format!("delete:{channel}:{ts}")
}
