//! A post as Slack's arguments: text with the role's prefix, and blocks when there are buttons, within Slack's limits
//! as documented and, where they are not, as reported. Pure.

use serde_json::{Value, json};

use super::events::LINK_ACTION;
use super::mrkdwn;
use crate::chat::{Button, ButtonStyle};

/// Most characters of a message's text. `chat.update` refuses more than 4,000, and every message may be edited.
const TEXT: usize = 3_900;
/// Most characters of a section's text.
const SECTION: usize = 3_000;
/// Most characters of all sections together, and so of a message; Slack refuses messages of about 13,200.
pub const SECTIONS: usize = 12_000;
/// Most blocks of a message.
const BLOCKS: usize = 50;
/// Most elements of an actions block.
const ACTIONS: usize = 25;
/// Most characters on a button.
const LABEL: usize = 75;
/// Most characters of a button's value.
const VALUE: usize = 2_000;
/// Most characters of a button's address.
const URL: usize = 3_000;
/// Stands where something was cut off.
const CUT: &str = "… (cut)";

/// A message in Slack's form.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The text; with blocks it is what notifications show.
    pub text: String,
    /// The blocks; empty when the text says everything.
    pub blocks: Vec<Value>,
}

/// Renders a message.
pub fn message(role: Option<&str>, markdown: &str, buttons: &[Button]) -> Rendered {
    let full = prefixed(role, &mrkdwn::from_markdown(markdown));
    let text = cut(&full, TEXT);
    if buttons.is_empty() {
        return Rendered { text, blocks: Vec::new() };
    }
    let mut actions = actions(buttons);
    let mut blocks = sections(&full);
    actions.truncate(BLOCKS - blocks.len());
    blocks.append(&mut actions);
    Rendered { text, blocks }
}

/// A message without buttons, with as much of a text as one message can show.
pub fn long_message(mrkdwn: &str) -> Rendered {
    let blocks = if mrkdwn.chars().count() > TEXT { sections(mrkdwn) } else { Vec::new() };
    Rendered { text: cut(mrkdwn, TEXT), blocks }
}

/// The role's prefix (`*PM:* `) before a text; what only works at the beginning of a line gets its own.
pub fn prefixed(role: Option<&str>, mrkdwn: &str) -> String {
    let Some(role) = role else { return mrkdwn.to_owned() };
    let at_line_start = ["```", "> ", "• ", "1. "].iter().any(|mark| mrkdwn.starts_with(mark));
    let gap = match mrkdwn {
        "" => "",
        _ if at_line_start => "\n",
        _ => " ",
    };
    format!("*{}:*{gap}{mrkdwn}", mrkdwn::escape(role))
}

/// A text as sections, cut off where Slack would refuse them.
fn sections(mrkdwn: &str) -> Vec<Value> {
    split(&cut(mrkdwn, SECTIONS), SECTION).iter().map(|part| section(part)).collect()
}

/// A section of mrkdwn in which Slack itself finds no links, channels or mentions.
pub fn section(mrkdwn: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": mrkdwn, "verbatim": true } })
}

/// Actions blocks. An action id must be unique within its block, so a repeated one begins the next block.
fn actions(buttons: &[Button]) -> Vec<Value> {
    let mut groups: Vec<Vec<&Button>> = Vec::new();
    for button in buttons.iter().filter(|button| button.value.chars().count() <= VALUE) {
        match groups.last_mut() {
            Some(group) if group.len() < ACTIONS && group.iter().all(|other| other.action != button.action) => {
                group.push(button);
            }
            _ => groups.push(vec![button]),
        }
    }
    let element = |group: Vec<&Button>| group.into_iter().map(element).collect::<Vec<_>>();
    groups.into_iter().map(|group| json!({ "type": "actions", "elements": element(group) })).collect()
}

fn element(button: &Button) -> Value {
    let label = if button.label.chars().count() > LABEL {
        button.label.chars().take(LABEL - 1).chain(['…']).collect()
    } else {
        button.label.clone()
    };
    let mut element = json!({
        "type": "button",
        "action_id": button.action,
        "text": { "type": "plain_text", "text": label, "emoji": false },
    });
    let url = button.url.as_ref().filter(|url| url.starts_with("http") && url.chars().count() <= URL);
    if let Some(url) = url {
        element["url"] = json!(url);
        element["action_id"] = json!(format!("{LINK_ACTION}{}", button.action));
    }
    if !button.value.is_empty() {
        element["value"] = json!(button.value);
    }
    match button.style {
        ButtonStyle::Plain => {}
        ButtonStyle::Primary => element["style"] = json!("primary"),
        ButtonStyle::Danger => element["style"] = json!("danger"),
    }
    element
}

/// At most `limit` characters, with a mark where the rest was.
fn cut(mrkdwn: &str, limit: usize) -> String {
    if mrkdwn.chars().count() <= limit {
        return mrkdwn.to_owned();
    }
    let mut parts = split(mrkdwn, limit - CUT.chars().count() - 1);
    format!("{}\n{CUT}", parts.swap_remove(0))
}

/// Pieces of at most `limit` characters, cut at line ends where there are any; a code block that is cut is closed in
/// one piece and opened again in the next.
fn split(mrkdwn: &str, limit: usize) -> Vec<String> {
    const FENCE: &str = "```";
    let mut parts = Vec::new();
    let mut rest = mrkdwn.to_owned();
    while rest.chars().count() > limit {
        let at = cut_position(&rest, limit - FENCE.len() - 1);
        let (head, tail) = rest.split_at(at);
        let tail = tail.strip_prefix('\n').unwrap_or(tail);
        let in_code = head.matches(FENCE).count() % 2 == 1;
        let (head, tail) = if in_code {
            (format!("{}\n{FENCE}", head.trim_end()), format!("{FENCE}\n{tail}"))
        } else {
            (head.trim_end().to_owned(), tail.to_owned())
        };
        parts.push(head);
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// The byte offset to cut at, at most `limit` characters in: a line end in the second half, else a space, else what
/// tears no escape and no reference apart.
fn cut_position(text: &str, limit: usize) -> usize {
    let byte = |count: usize| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    let (half, end) = (byte(limit / 2), byte(limit));
    let head = &text[..end];
    if let Some(at) = head.rfind('\n').filter(|at| *at >= half) {
        return at;
    }
    let open = |from: char, to: char| head.rfind(from).filter(|at| !head[*at..].contains(to));
    let torn = [open('<', '>'), open('&', ';')].into_iter().flatten().filter(|at| *at >= half).min();
    let whole = torn.unwrap_or(end);
    head[..whole].rfind(' ').filter(|at| *at >= half).map_or(whole, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn button(action: &str, value: &str, label: &str) -> Button {
        Button { action: action.into(), value: value.into(), label: label.into(), style: ButtonStyle::Plain, url: None }
    }

    #[test]
    fn a_card_has_its_text_and_its_buttons_in_the_contract_s_names() {
        let buttons = [
            Button { style: ButtonStyle::Primary, ..button("plan_approve", "p1", "Approve") },
            Button { style: ButtonStyle::Danger, ..button("plan_cancel", "p1", "Cancel") },
            Button { url: Some("https://a.b".into()), ..button("open", "", "Open on GitHub") },
        ];
        let rendered = message(Some("PM"), "**Plan: x** & more", &buttons);
        assert_eq!(rendered.text, "*PM:* *Plan: x* &amp; more");
        assert_eq!(
            Value::from(rendered.blocks),
            json!([
                { "type": "section", "text": { "type": "mrkdwn", "text": "*PM:* *Plan: x* &amp; more", "verbatim": true } },
                { "type": "actions", "elements": [
                    { "type": "button", "action_id": "plan_approve", "value": "p1", "style": "primary",
                      "text": { "type": "plain_text", "text": "Approve", "emoji": false } },
                    { "type": "button", "action_id": "plan_cancel", "value": "p1", "style": "danger",
                      "text": { "type": "plain_text", "text": "Cancel", "emoji": false } },
                    { "type": "button", "action_id": "link:open", "url": "https://a.b",
                      "text": { "type": "plain_text", "text": "Open on GitHub", "emoji": false } },
                ] },
            ])
        );
    }

    #[test]
    fn the_prefix_leaves_line_marks_at_the_beginning_of_a_line() {
        let cases = [
            (None, "hi", "hi"),
            (Some("PM"), "hi", "*PM:* hi"),
            (Some("Coder"), "- a", "*Coder:*\n• a"),
            (Some("Coder"), "```\nx\n```", "*Coder:*\n```\nx\n```"),
            (Some("Lead"), "", "*Lead:*"),
        ];
        for (role, markdown, text) in cases {
            assert_eq!(message(role, markdown, &[]), Rendered { text: text.into(), blocks: vec![] });
        }
    }

    #[test]
    fn limits_hold_for_the_longest_cards() {
        let text = "```\n".to_owned() + &"a line & of code <x>\n".repeat(2_000) + "```";
        let buttons: Vec<Button> =
            (0..60).map(|n| button("ask_option", &n.to_string(), &"label ".repeat(20))).collect();
        let rendered = message(Some("PM"), &text, &buttons);
        assert!(rendered.text.chars().count() <= TEXT && rendered.text.ends_with(CUT));
        assert_eq!(rendered.text.matches("```").count() % 2, 0);
        assert_eq!(rendered.blocks.len(), BLOCKS);
        let sections: Vec<&str> = rendered.blocks.iter().filter_map(|block| block["text"]["text"].as_str()).collect();
        assert!(sections.len() >= 4, "{}", sections.len());
        for section in &sections {
            assert!((1..=SECTION).contains(&section.chars().count()));
            assert_eq!(section.matches("```").count() % 2, 0, "{section}");
        }
        assert!(sections.iter().map(|section| section.chars().count()).sum::<usize>() <= SECTIONS + 100);
        for block in rendered.blocks.iter().filter(|block| block["type"] == "actions") {
            let label = block["elements"][0]["text"]["text"].as_str().expect("a label");
            assert!(label.chars().count() <= LABEL && label.ends_with('…'));
            assert_eq!(block["elements"].as_array().map(Vec::len), Some(1));
        }
    }

    #[test]
    fn different_actions_share_a_block_up_to_its_limit() {
        let buttons: Vec<Button> = (0..30).map(|n| button(&format!("a{n}"), "v", "x")).collect();
        let counts: Vec<usize> =
            actions(&buttons).iter().map(|block| block["elements"].as_array().map_or(0, Vec::len)).collect();
        assert_eq!(counts, [25, 5]);
    }

    #[test]
    fn a_long_line_is_cut_between_words_and_never_within_an_escape_or_a_reference() {
        let long = "word ".repeat(30);
        let lines = split(&long, 50);
        assert!(lines.iter().all(|line| line.chars().count() <= 50 && line.trim_end().ends_with("word")), "{lines:?}");
        for offset in 0..20 {
            let text = format!("{}{}", "x".repeat(offset), "&amp;<https://a.b|c>".repeat(20));
            for part in split(&text, 60) {
                assert_eq!(part.matches('<').count(), part.matches('>').count(), "{part}");
                assert_eq!(part.matches('&').count(), part.matches(';').count(), "{part}");
            }
        }
    }
}
