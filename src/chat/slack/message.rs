//! A message of ours as Slack takes it, and the marks by which it is found again: its answer may be lost.

use serde::Deserialize;
use serde_json::{Value, json};

use super::blocks::Rendered;
use super::web_api::WebApi;
use crate::chat::ChatError;
use crate::ids::{MessageTs, ThreadKey};

/// The type of the metadata by which a post is found again.
const MARK: &str = "codebutler_post";

/// The answer to a new message.
#[derive(Deserialize)]
pub struct Posted {
    ts: String,
}

/// The answer of a method that says no more than that it did it.
#[derive(Deserialize)]
pub struct Done {}

/// Posts a message that is found again by its key.
pub async fn post(web: &WebApi, thread: &ThreadKey, key: &str, rendered: Rendered) -> Result<MessageTs, ChatError> {
    let mut arguments = arguments(thread, key, &rendered.text);
    arguments["thread_ts"] = json!(thread.ts);
    if !rendered.blocks.is_empty() {
        arguments["blocks"] = Value::from(rendered.blocks);
    }
    let posted: Posted = web.post("chat.postMessage", &arguments).await?;
    Ok(MessageTs::new(posted.ts))
}

/// Arguments of a message that is found again by its key.
pub fn arguments(thread: &ThreadKey, key: &str, text: &str) -> Value {
    let mut arguments = plain_arguments(thread, text);
    arguments["metadata"] = json!({ "event_type": MARK, "event_payload": { "key": key } });
    arguments
}

/// Arguments of a message in which Slack itself makes no links, mentions or previews.
pub fn plain_arguments(thread: &ThreadKey, text: &str) -> Value {
    json!({
        "channel": thread.channel,
        "text": text,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// The key as a block's id, which may have 255 characters: for what carries no metadata.
pub fn block_id(key: &str) -> String {
    format!("{MARK}:{key}").chars().take(255).collect()
}

/// Whether a message with these metadata and blocks is the post with this key.
pub fn has_key(metadata: &Value, blocks: &[Value], key: &str) -> bool {
    let posted = metadata["event_type"] == MARK && metadata["event_payload"]["key"] == key;
    posted || blocks.iter().any(|block| block["block_id"] == block_id(key).as_str())
}
