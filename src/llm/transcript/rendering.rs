//! The earlier part of a conversation as plain text, for the one who summarises it: results by their beginning and end,
//! and of a part that is too long only what came last.

use bytes::Bytes;
use serde_json::Value;

use super::Transcript;
use crate::agent::Entry;
use crate::agent::compaction::{MARK, PROMPT, SUMMARY_MARK};
use crate::agent::output;
use crate::agent::tokens::bytes;
use crate::llm::wire;

/// Bytes shown of a result, of a call's arguments, and of what was said.
const RESULT: usize = 1_200;
const ARGUMENTS: usize = 600;
const SAID: usize = 6_000;

impl Transcript {
    /// The `messages` of a request for a summary of the messages before `from`, of about `most` tokens.
    pub fn summary_request(&self, from: usize, most: u64) -> Bytes {
        let mut out = b"[".to_vec();
        wire::system(&[PROMPT.trim().to_owned()], &mut out);
        out.push(b',');
        let text =
            format!("<conversation>\n{}\n</conversation>\n\nWrite the memory now.", self.rendered(from, bytes(most)));
        wire::message(&Entry::User { parts: &[text] }, &mut out);
        out.push(b']');
        out.into()
    }

    /// The messages before `from` as text of at most `most` bytes, or a little more.
    fn rendered(&self, from: usize, most: usize) -> String {
        let mut pieces = Vec::new();
        let mut size = 0;
        for index in (0..from.min(self.placed.len())).rev() {
            let piece = rendered(&self.body[self.range(index)], index == 0);
            size += piece.len();
            if size > most {
                pieces.push(format!("[{} earlier messages are left out here]", index + 1));
                break;
            }
            pieces.push(piece);
        }
        pieces.reverse();
        pieces.join("\n\n")
    }
}

/// One message as text. The first may be what replaced an even earlier part: of that only its summary is new.
fn rendered(raw: &[u8], first: bool) -> String {
    let message: Value = serde_json::from_slice(raw).unwrap_or_default();
    let list = |key: &str| message[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts: Vec<&str> = list("content").iter().filter_map(|part| part["text"].as_str()).collect();
    match message["role"].as_str() {
        Some("user") => {
            let replaced = first && parts.first().is_some_and(|part| part.starts_with(MARK));
            let shown = parts.iter().filter(|part| !replaced || part.starts_with(SUMMARY_MARK));
            format!("## Said to the engineer\n{}", shorter(&shown.copied().collect::<Vec<_>>().join("\n"), SAID))
        }
        Some("assistant") => {
            let mut text = format!("## The engineer\n{}", shorter(&parts.join("\n"), SAID));
            for call in list("tool_calls") {
                let name = call["function"]["name"].as_str().unwrap_or_default();
                let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                text.push_str(&format!("\n→ {name} {}", shorter(arguments, ARGUMENTS)));
            }
            text
        }
        _ => format!("## Result\n{}", shorter(&parts.join("\n"), RESULT)),
    }
}

fn shorter(text: &str, most: usize) -> String {
    output::cut(text, most, None).unwrap_or_else(|| text.to_owned())
}
