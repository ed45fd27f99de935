//! What Slack refuses in a message's blocks.

use std::collections::BTreeSet;

use serde_json::Value;

/// Checks blocks as Slack does; the error's code.
pub fn check_blocks(blocks: &[Value]) -> Result<(), String> {
    let sizes = blocks.iter().map(|block| block["text"]["text"].as_str().map_or(0, count)).sum::<usize>();
    if sizes > 13_200 {
        return Err("msg_blocks_too_long".to_owned());
    }
    let ids: BTreeSet<&str> = blocks.iter().filter_map(|block| block["block_id"].as_str()).collect();
    let named = blocks.iter().filter(|block| block.get("block_id").is_some()).count();
    let good = blocks.len() <= 50
        && ids.len() == named
        && ids.iter().all(|id| (1..=255).contains(&count(id)))
        && blocks.iter().all(good_block);
    if good { Ok(()) } else { Err("invalid_blocks".to_owned()) }
}

fn good_block(block: &Value) -> bool {
    match block["type"].as_str() {
        Some("section") => good_text(&block["text"], &["mrkdwn", "plain_text"], 3000),
        Some("actions") => block["elements"].as_array().is_some_and(|elements| good_actions(elements)),
        Some("divider") => true,
        _ => false,
    }
}

fn good_actions(elements: &[Value]) -> bool {
    let ids: BTreeSet<&str> = elements.iter().filter_map(|element| element["action_id"].as_str()).collect();
    (1..=25).contains(&elements.len()) && ids.len() == elements.len() && elements.iter().all(good_button)
}

fn good_button(button: &Value) -> bool {
    let within = |name: &str, limit: usize| match &button[name] {
        Value::Null => true,
        Value::String(text) => (1..=limit).contains(&count(text)),
        _ => false,
    };
    button["type"] == "button"
        && good_text(&button["text"], &["plain_text"], 75)
        && within("action_id", 255)
        && within("value", 2000)
        && within("url", 3000)
        && matches!(button["style"].as_str(), None | Some("primary" | "danger"))
}

fn good_text(text: &Value, kinds: &[&str], limit: usize) -> bool {
    let kind = text["type"].as_str().unwrap_or_default();
    let length = text["text"].as_str().map_or(0, count);
    // `verbatim` belongs to mrkdwn, `emoji` to plain text.
    let foreign = if kind == "mrkdwn" { "emoji" } else { "verbatim" };
    kinds.contains(&kind) && (1..=limit).contains(&length) && text.get(foreign).is_none()
}

fn count(text: &str) -> usize {
    text.chars().count()
}
