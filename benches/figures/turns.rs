//! One run of the Coder, so many turns of one tool call each, with a model that takes no time.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::{Value, json};

use crate::process;
use crate::script::CODER;
use crate::support::fake_slack::{BEN, SHOP};
use crate::world::World;

/// The Coder's last words.
const END: &str = "All turns are done.";

/// What a run of many turns gave.
pub struct Run {
    /// For each turn: from the end of the model's reply to the arrival of the next request.
    pub overheads: Vec<Duration>,
    /// Processor time per turn.
    pub cpu: Duration,
    /// Bytes of all requests.
    pub sent: usize,
    /// The most memory that the daemon had, in MiB.
    pub peak: f64,
    /// How often a message in the chat was edited.
    pub edits: usize,
}

/// Runs `count` turns of a tool, each with other arguments: the same again would be taken for a circle, and so would so many
/// turns without a change, for which each tenth writes a file instead.
pub async fn run(tool: &'static str, arguments: impl Fn(usize) -> Value + Send + 'static, count: usize) -> Run {
    let pid = Arc::new(OnceLock::new());
    let measured = Arc::clone(&pid);
    let (begin, end) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let (first, last) = (Arc::clone(&begin), Arc::clone(&end));
    let mut world = World::with_script(move |request: &ScriptedRequest| {
        if request.model != CODER {
            return pm(request);
        }
        let turn = request.turn();
        let now = || process::cpu(*measured.get().expect("known before the approval"));
        if turn == 0 {
            first.get_or_init(now);
        }
        if turn % 10 == 9 && turn < count {
            let note = json!({ "file_path": "notes.md", "content": format!("{turn}\n") });
            return ScriptedReply::text("").call("Write", &note);
        }
        if turn < count {
            return ScriptedReply::text("").call(tool, &arguments(turn));
        }
        last.get_or_init(now);
        ScriptedReply::text(END)
    })
    .await;
    world.global["turns"] = json!({ "coder": count + 10 });
    let daemon = world.start();
    pid.get_or_init(|| daemon_id(&world));
    let ts = world.slack.say(BEN, SHOP, "please do something", None);
    world.press(&ts, "plan_approve").await;
    world.says(&ts, END).await;
    world.no_violations();
    let times = world.model.times();
    let requests: Vec<_> = world.model.requests().into_iter().filter(|request| request.model == CODER).collect();
    assert_eq!(requests.len(), count + 1, "each turn is one request");
    let overheads = requests.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        Some(times[after.number].received.duration_since(times[before.number].replied?))
    });
    let spent = end.get().copied().unwrap_or_default().saturating_sub(begin.get().copied().unwrap_or_default());
    let run = Run {
        overheads: overheads.collect(),
        cpu: spent / u32::try_from(count).expect("not that many turns"),
        sent: requests.iter().map(length).sum(),
        peak: process::peak(daemon_id(&world)),
        edits: world.slack.look(|state| state.calls.iter().filter(|(method, _)| method == "chat.update").count()),
    };
    daemon.stop();
    run
}

/// Proposes a plan at once and then is silent.
pub fn pm(request: &ScriptedRequest) -> ScriptedReply {
    if request.messages.last().is_none_or(|message| message.role != "user") || request.turn() > 0 {
        return ScriptedReply::text("");
    }
    ScriptedReply::text("").call(
        "ProposePlan",
        &json!({
            "title": "Do something", "workflow": "bugfix", "summary": "Something.", "steps": [{ "text": "Do it" }],
            "files": ["greeting.txt"], "acceptance": ["It is done"],
        }),
    )
}

fn length(request: &ScriptedRequest) -> usize {
    let length = request.headers.iter().find(|(name, _)| name == "content-length");
    length.and_then(|(_, length)| length.parse().ok()).unwrap_or_default()
}

/// The process of a world's daemon, which writes it beside its store.
pub fn daemon_id(world: &World) -> u32 {
    let lock = world.checkout().join(".codebutler/store.db.lock");
    std::fs::read_to_string(lock).ok().and_then(|text| text.trim().parse().ok()).expect("the daemon is ready")
}
