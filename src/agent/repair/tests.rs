//! Whatever a model writes: no panic, no hang, and what comes out can be sent back to a strict server.
//!
//! A few thousand cases by default; `CODEBUTLER_FUZZ_CASES` says how many.

use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Map, Value};

use super::json::Checked;
use super::*;
use crate::agent::{Role, ToolCall};
use crate::ids::CallId;
use crate::thread::plan::Plan;

fn config() -> Config {
    let cases = std::env::var("CODEBUTLER_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Pieces of which arguments, names and texts are made, good and bad.
const PIECES: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "'",
    "\\",
    "\\u",
    "\\ud800",
    "\\udc00",
    "\\n",
    "\n",
    "\0",
    "```",
    "```json\n",
    "//",
    "/*",
    "*/",
    "\"file_path\"",
    "\"content\"",
    "name",
    "arguments",
    "\"name\":\"Read\"",
    "\"arguments\":{}",
    "Read",
    "Write",
    "functions.Read:0",
    "true",
    "None",
    "-1",
    "1e999",
    "<tool_call>",
    "</tool_call>",
    "<function=Read>",
    "</function>",
    "<parameter=file_path>",
    "</parameter>",
    "<invoke name=\"Read\">",
    "</invoke>",
    "[TOOL_CALLS]",
    "é😀",
    " ",
];

fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Good arguments with some bytes changed, left out, doubled, or cut off.
fn mutated() -> impl Strategy<Value = String> {
    let good = prop::sample::select(vec![
        r#"{"file_path":"src/a.rs","offset":5,"limit":10}"#,
        r#"{"file_path":"a","old_string":"x\n\"y\"","new_string":"é😀 \\d","replace_all":true}"#,
        r#"{"todos":[{"content":"c","status":"in_progress"},{"content":"d","status":"pending"}]}"#,
        r#"{"title":"t","workflow":"w","summary":"s","steps":[{"text":"x","files":["a:1"]}],"files":["a"],"acceptance":["b"]}"#,
        "I look.\n<tool_call>\n{\"name\": \"Read\", \"arguments\": {\"file_path\": \"a\"}}\n</tool_call>",
        "<function=Write>\n<parameter=file_path>\na\n</parameter>\n<parameter=content>\nx\n</parameter>\n</function>",
        "<invoke name=\"Bash\"><parameter name=\"command\">ls</parameter></invoke>",
    ]);
    let change = (any::<prop::sample::Index>(), prop::sample::select(PIECES.to_vec()), 0..4_u8);
    (good, prop::collection::vec(change, 0..4)).prop_map(|(good, changes)| {
        let mut text = good.to_owned();
        for (at, piece, kind) in changes {
            let at = at.index(text.len() + 1);
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            match kind {
                0 => text.insert_str(at, piece),
                1 => text.truncate(at),
                2 if at < text.len() => drop(text.remove(at)),
                _ => text = format!("{}{}", &text[..at], &text[at..].repeat(2)),
            }
        }
        text
    })
}

fn object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_arguments(raw in prop_oneof![soup(), mutated(), any::<String>()], cut: bool, harmless: bool) {
        let checked = check(&raw, cut, harmless);
        prop_assert!(object(&checked.arguments), "{}", checked.arguments);
        if let Some(fault) = &checked.fault {
            prop_assert!(checked.arguments == "{}" && fault.chars().count() < 400, "{fault}");
        }
        // What is strictly an object is never changed.
        if object(raw.trim()) {
            prop_assert_eq!(&checked, &Checked { arguments: raw.trim().to_owned(), fault: None });
        }
        // What was mended stays as it is.
        prop_assert!(check(&checked.arguments, false, false).arguments == checked.arguments, "{}", checked.arguments);
        for fault in [read::<Plan>("ProposePlan", &checked.arguments).err(), read::<Plan>("x", &raw).err()].into_iter().flatten() {
            prop_assert!(fault.chars().count() < 700, "{fault}");
        }
    }

    #[test]
    fn any_truncated_write_never_runs(content in ".{0,40}", cut in any::<prop::sample::Index>()) {
        let whole = serde_json::json!({"file_path": "a", "content": content}).to_string();
        let ends = whole.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
        let half = &whole[..ends[cut.index(ends.len())]];
        let checked = check(half, false, false);
        prop_assert!(checked.fault.is_some() || half.is_empty(), "{half}");
    }

    #[test]
    fn any_reply(text in prop_oneof![soup(), mutated()], names in prop::collection::vec(soup(), 0..4), pm: bool) {
        let role = if pm { Role::Pm } else { Role::Coder };
        let mut calls: Vec<ToolCall> = (names.into_iter())
            .map(|name| ToolCall { id: CallId::new(""), name, arguments: "{}".to_owned(), fault: None })
            .collect();
        let (mut rest, native) = (text.clone(), calls.len());
        settle(role, "[]", &mut rest, &mut calls);
        prop_assert!(native == 0 || (rest == text && calls.len() == native));
        prop_assert!(rest.len() <= text.len());
        for call in &calls {
            prop_assert!(object(&call.arguments) && call.name.chars().count() <= 65, "{call:?}");
            prop_assert!(unknown_tool(role, &call.name).chars().count() < 500);
        }
    }
}
