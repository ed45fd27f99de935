//! Malformed replies: repaired where they can mean one thing, else answered so that the model can correct itself.

use super::*;

/// One call with these arguments, then the end.
fn calls(name: &str, arguments: &str, number: usize) -> ScriptedReply {
    if number == 0 { ScriptedReply::text("").raw_call("", name, arguments) } else { ScriptedReply::text(WELL) }
}

fn reads(arguments: &str, number: usize) -> ScriptedReply {
    calls("Read", arguments, number)
}

/// A text that may have calls in it, then the end.
fn writes(text: &str, number: usize) -> ScriptedReply {
    if number == 0 { ScriptedReply::text(text) } else { ScriptedReply::text(WELL) }
}

const WELL: &str = "the model went on";
const READ: &[&str] = &["hello", "world"];

static CASES: &[Case] = &[
    case("good arguments", 2, WELL, |_, n| reads(r#"{"file_path":"greeting.txt"}"#, n)).results(READ),
    case("in a fence", 2, WELL, |_, n| reads("```json\n{\"file_path\":\"greeting.txt\"}\n```", n)).results(READ),
    case("encoded twice", 2, WELL, |_, n| reads(r#""{\"file_path\":\"greeting.txt\"}""#, n)).results(READ),
    case("single quotes and a comma too many", 2, WELL, |_, n| reads("{'file_path': 'greeting.txt',}", n)).results(READ),
    case("bare keys and comments", 2, WELL, |_, n| reads("{file_path: \"greeting.txt\" /* this one */}", n)).results(READ),
    case("a line break in a text", 2, WELL, |_, n| calls("Grep", "{\"pattern\": \"hel\nlo\"}", n)).results(&["Set `multiline` to true"]),
    case("an escape that is none", 2, WELL, |_, n| calls("Grep", r#"{"pattern": "h\w+o", "output_mode": "content"}"#, n)).results(&["hello"]),
    case("a brace too few", 2, WELL, |_, n| reads(r#"{"file_path":"greeting.txt""#, n)).results(READ),
    case("a brace too many", 2, WELL, |_, n| reads(r#"{"file_path":"greeting.txt"}}"#, n)).results(READ),
    case("cut in a text", 2, WELL, |_, n| reads(r#"{"file_path":"greet"#, n)).results(&["incomplete: they end in the middle"]),
    case("cut in a number", 2, WELL, |_, n| reads(r#"{"file_path":"greeting.txt","limit":1"#, n)).results(&["incomplete"]),
    case("no JSON", 2, WELL, |_, n| reads("the greeting, please", n)).results(&["not valid JSON", "Make the call again"]),
    case("a list for an object", 2, WELL, |_, n| reads("[1]", n)).results(&["an array, not a JSON object"]),
    case("no arguments", 2, WELL, |_, n| reads("", n)).results(&["missing field `file_path`", "It takes `file_path` (required)"]),
    case("null for arguments", 2, WELL, |_, n| calls("GHStatus", "null", n)).results(&["pull request"]),
    case("a number as text", 2, WELL, |_, n| reads(r#"{"file_path":"greeting.txt","limit":"1"}"#, n)).results(&["hello"]),
    case("a wrong number", 2, WELL, |_, n| reads(r#"{"file_path":"greeting.txt","limit":"one"}"#, n)).results(&["`limit` must be a whole number from 0, not \"one\""]),
    case("a switch as text", 2, WELL, |_, n| calls("Grep", r#"{"pattern":"HELLO","-i":"True","output_mode":"Content"}"#, n)).results(&["hello"]),
    case("another spelling of a member", 2, WELL, |_, n| reads(r#"{"filePath":"greeting.txt"}"#, n)).results(READ),
    case("an unknown member", 2, WELL, |_, n| reads(r#"{"file_path":"greeting.txt","mode":"r"}"#, n)).results(&["unknown field `mode`"]),
    case("a member twice", 2, WELL, |_, n| reads(r#"{"file_path":"a","file_path":"b"}"#, n)).results(&["duplicate field"]),
    case("a plan with texts for lists", 2, "Plan: lists", |_, n| {
        let plan = r#"{"title":"lists","workflow":"w","summary":"s","steps":"do it","files":"a","acceptance":"it works"}"#;
        if n == 0 { ScriptedReply::text("").raw_call("", "ProposePlan", plan) } else { ScriptedReply::text("") }
    }),
    case("a plan with one step for a list", 2, "Plan: one", |_, n| {
        let plan = r#"{"title":"one","workflow":"w","summary":"s","steps":{"text":"do it"},"files":[],"acceptance":["it works"]}"#;
        if n == 0 { ScriptedReply::text("").raw_call("", "propose_plan", plan) } else { ScriptedReply::text("") }
    }),
    case("wrong case", 2, WELL, |_, n| calls("read", r#"{"file_path":"greeting.txt"}"#, n)).results(READ),
    case("a name space", 2, WELL, |_, n| calls("functions.Read:0", r#"{"file_path":"greeting.txt"}"#, n)).results(READ),
    case("an unknown tool", 2, WELL, |_, n| calls("read_file", r#"{"path":"greeting.txt"}"#, n)).results(&["There is no tool `read_file` for you", "Perhaps you mean `Read`"]),
    case("another role's tool", 2, WELL, |_, n| calls("Write", r#"{"file_path":"a","content":"b"}"#, n)).results(&["There is no tool `Write` for you"]),
    case("no name", 2, WELL, |_, n| calls("", "{}", n)).results(&["There is no tool `` for you"]),
    case("a name of 10 kB", 2, WELL, |_, n| calls(&"n".repeat(10_000), "{}", n)).results(&["There is no tool `nnn"]),
    case("a name with control characters", 2, WELL, |_, n| calls("Re\u{0}ad\n", "{}", n)).results(&["There is no tool"]),
    case("ids that are missing and repeated", 2, WELL, |_, n| match n {
        0 => ScriptedReply::text("")
            .raw_call("same", "Read", r#"{"file_path":"greeting.txt"}"#)
            .raw_call("same", "Read", r#"{"file_path":"other.txt"}"#)
            .raw_call("bad id \u{1}", "Glob", r#"{"pattern":"*"}"#),
        _ => ScriptedReply::text(WELL),
    })
    .results(&["hello", "other", "greeting.txt"]),
    case("the same call twice", 2, WELL, |_, n| match n {
        0 => ScriptedReply::text("")
            .raw_call("", "Read", r#"{"file_path":"greeting.txt","limit":1}"#)
            .raw_call("", "Read", r#"{"limit":1,"file_path":"greeting.txt"}"#),
        _ => ScriptedReply::text(WELL),
    })
    .results(&["hello", "Not run: it is the same as an earlier call"]),
    case("two hundred calls", 2, WELL, |_, n| match n {
        0 => (0..200).fold(ScriptedReply::text(""), |reply, number| reply.call("Glob", &json!({ "pattern": format!("{number}*") }))),
        _ => ScriptedReply::text(WELL),
    })
    .results(&["Not run: more than 64 calls in one reply are too many"]),
    case("text beside calls", 2, WELL, |_, n| match n {
        0 => ScriptedReply::text("I look first.").call("Read", &json!({ "file_path": "greeting.txt" })),
        _ => ScriptedReply::text(WELL),
    })
    .results(READ),
    case("NUL", 2, WELL, |_, n| calls("Grep", r#"{"pattern":"\u0000"}"#, n)).results(&["No"]),
    case("NUL in a path", 2, WELL, |_, n| reads(r#"{"file_path":"a\u0000b"}"#, n)).results(&["has a NUL character in it"]),
    case("half a character", 2, WELL, |_, n| reads(r#"{"file_path":"\ud800"}"#, n)).results(&["`\\ud800` is half a character"]),
    case("a megabyte that is broken", 2, WELL, |_, n| reads(&format!("{{\"file_path\":\"{}", "x".repeat(1 << 20)), n)).results(&["incomplete"]),
    case("a megabyte that fits nothing", 2, WELL, |_, n| reads(&format!("{{\"file_path\":\"a\",\"limit\":\"{}\"}}", "x".repeat(1 << 20)), n)).results(&["`limit` must be a whole number from 0"]),
    case("a megabyte for an unknown tool", 2, WELL, |_, n| calls("Raed", &format!("{{\"file_path\":\"{}\"}}", "x".repeat(1 << 20)), n)).results(&["There is no tool `Raed`"]),
    case("a thousand lists in each other", 2, WELL, |_, n| reads(&format!("{{\"file_path\":{}1", "[".repeat(1_000)), n)).results(&["Nothing was done"]),
    case("a call as XML", 2, WELL, |_, n| writes("I look.\n<tool_call>\n{\"name\": \"Read\", \"arguments\": {\"file_path\": \"greeting.txt\"}}\n</tool_call>", n)).results(READ),
    case("a call with parameters", 2, WELL, |_, n| writes("<function=Read>\n<parameter=file_path>\ngreeting.txt\n</parameter>\n<parameter=limit>\n1\n</parameter>\n</function>", n)).results(&["hello"]),
    case("an invoke", 2, WELL, |_, n| writes("<function_calls><invoke name=\"Read\"><parameter name=\"file_path\">greeting.txt</parameter></invoke></function_calls>", n)).results(READ),
    case("a call as JSON", 2, WELL, |_, n| writes(r#"{"name":"Read","arguments":{"file_path":"greeting.txt"}}"#, n)).results(READ),
    case("a call as JSON in a fence", 2, WELL, |_, n| writes("```json\n{\"tool\":\"Read\",\"input\":{\"file_path\":\"greeting.txt\"}}\n```", n)).results(READ),
    case("JSON that is explained", 1, "The call would be", |_, n| writes(r#"The call would be {"name":"Read","arguments":{"file_path":"greeting.txt"}}."#, n)),
    case("a tag that is explained", 1, "They write", |_, n| writes("They write `<function=Read>{}</function>` at times.", n)),
    case("JSON of another kind", 1, "demo", |_, n| writes(r#"{"name":"demo","arguments":{}}"#, n)),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_reply_is_repaired_or_answered() {
    let world = World::with_script(script(CASES, false)).await;
    play(&world, CASES, false).await;
}
