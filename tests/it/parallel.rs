//! Calls of one turn: what only reads runs together, what changes something waits for all before it, and the model gets
//! the results in the order of its calls, whichever ended first.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::{Value, json};

use super::looking::told;
use super::script::{CODER, last_calls, with_coder};
use super::support::fake_slack::{BEN, SHOP};
use super::world::World;

/// Looks at two things, changes a third, and looks at what it changed, all in one reply.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    if !last_calls(request).is_empty() {
        return ScriptedReply::text("Done.");
    }
    ScriptedReply::text("")
        .raw_call("slow", "Grep", &json!({ "pattern": "line 7+ of file", "output_mode": "count" }).to_string())
        .raw_call("quick", "Read", &json!({ "file_path": "greeting.txt" }).to_string())
        .raw_call("write", "Write", &json!({ "file_path": "new.txt", "content": "made\n" }).to_string())
        .raw_call("glob", "Glob", &json!({ "pattern": "new.*" }).to_string())
        .raw_call("read", "Read", &json!({ "file_path": "new.txt" }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_run_together_a_change_waits_and_results_keep_the_order_of_the_calls() {
    let world = World::with_script(with_coder(coder)).await;
    let checkout = world.checkout();
    std::fs::create_dir(checkout.join("many")).expect("made");
    for number in 0..200 {
        let lines: String = (0..200).map(|line| format!("line {line} of file {number}\n")).collect();
        std::fs::write(checkout.join(format!("many/{number}.txt")), lines).expect("written");
    }
    world.git(&["add", "-A"]);
    world.git(&["commit", "-qm", "Add many files"]);
    world.git(&["push", "-q", "origin", "HEAD"]);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    world.no_violations();

    let events = told(&world, &["show", &ts, "--events", "--json"]);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let coder_run = events
        .iter()
        .filter(|event| event["type"] == "run_started")
        .find(|event| event["role"] == "coder")
        .map(|event| event["run"].clone())
        .expect("the Coder ran");
    let of_run = |kind: &'static str| {
        let run = &coder_run;
        events.iter().enumerate().filter(move |(_, event)| event["type"] == kind && event["run"] == *run)
    };
    let started: Vec<(usize, String)> =
        of_run("tools_started").map(|(at, event)| (at, event["calls"].to_string())).collect();
    let calls: Vec<&str> = started.iter().map(|(_, calls)| calls.as_str()).collect();
    assert_eq!(calls, [r#"["slow","quick"]"#, r#"["write"]"#, r#"["glob","read"]"#]);
    let finished = |call: &str| {
        let found = of_run("tool_finished").find(|(_, event)| event["call"] == call);
        found.map(|(at, _)| at).expect("it has a result")
    };
    assert!(finished("slow").max(finished("quick")) < started[1].0, "the change waits for what is before it");
    assert!(finished("write") < started[2].0, "and what is after it waits for it");

    let last = world.model.requests().into_iter().rfind(|request| request.model == CODER).expect("asked");
    let results: Vec<(String, String)> = last.body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| (message["tool_call_id"].to_string(), message["content"].to_string()))
        .collect();
    let ids: Vec<&str> = results.iter().map(|(id, _)| id.trim_matches('"')).collect();
    assert_eq!(ids, ["slow", "quick", "write", "glob", "read"]);
    for (number, part) in ["many/0.txt", "hello", "new.txt", "new.txt", "made"].into_iter().enumerate() {
        assert!(results[number].1.contains(part), "{part:?} is missing in {:?}", results[number]);
    }
}
