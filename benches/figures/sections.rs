//! The sections of the table.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::fake_slack::{BEN, SHOP, State};
use crate::turns::{self, Run, daemon_id};
use crate::world::World;
use crate::{BINARY, Figure, median, ms, process, quantile};

/// How often short things are measured.
const TIMES: usize = 50;
/// How many turns stand for the beginning and the end of a run.
const EDGE: usize = 20;

/// The program itself.
pub fn binary() -> Vec<Figure> {
    let size = std::fs::metadata(BINARY).expect("the program is built").len();
    let times: Vec<Duration> = (0..TIMES).map(|_| process::wall(BINARY, &["--version"])).collect();
    vec![
        Figure::new("binary", format!("{:.1} MiB", size as f64 / f64::from(1 << 20))),
        Figure::new("`--version`, median of 50", ms(median(&times))),
    ]
}

/// From nothing to ready, and then nothing to do.
pub async fn start() -> Vec<Figure> {
    let world = World::new().await;
    let mut times = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let daemon = world.start();
        times.push(begun.elapsed());
        daemon.stop();
    }
    let daemon = world.start();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resident = process::resident(daemon_id(&world));
    daemon.stop();
    vec![
        Figure::new("start to `ready`, the first time in a repository", ms(times[0])),
        Figure::new("start to `ready`, median of the 9 after it", ms(median(&times[1..]))),
        Figure::new("resident memory at rest", format!("{resident:.1} MiB")),
    ]
}

/// From a message to its 👀.
pub async fn seen() -> Vec<Figure> {
    let mut times = Vec::new();
    // Few messages in each Slack: more answers in as many milliseconds would have to wait for its pace.
    while times.len() < TIMES {
        let world = World::new().await;
        let daemon = world.start();
        for _ in 0..10 {
            times.push(seen_after(&world).await);
        }
        daemon.stop();
    }
    vec![
        Figure::new("message to 👀, median of 50", ms(median(&times))),
        Figure::new("message to 👀, 90 %", ms(quantile(&times, 0.9))),
    ]
}

async fn seen_after(world: &World) -> Duration {
    let begun = Instant::now();
    let ts = world.slack.say(BEN, SHOP, "where is the greeting made?", None);
    let seen = |state: &State| {
        let (_, call) = state.calls.iter().rfind(|(method, _)| method == "reactions.add")?;
        (call["timestamp"] == ts.as_str() && call["name"] == "eyes").then_some(())
    };
    world.slack.wait_for("👀", seen).await;
    let time = begun.elapsed();
    // The answer must not get in the next message's way.
    world.is_done(&ts).await;
    time
}

/// The overhead of turns.
pub async fn turns() -> Vec<Figure> {
    let mut figures = Vec::new();
    for count in [50, 200] {
        let run = turns::run("Read", |turn| json!({ "file_path": "greeting.txt", "limit": turn + 1 }), count).await;
        figures.extend(describe("Read", &run));
    }
    let spawns: Vec<Duration> = (0..2 * TIMES).map(|_| process::wall("bash", &["-c", "echo hello"])).collect();
    figures.push(Figure::new("bare `bash -c 'echo hello'`, median of 100", ms(median(&spawns))));
    for count in [50, 200] {
        let run = turns::run("Bash", |turn| json!({ "command": format!("echo {turn}") }), count).await;
        figures.extend(describe("Bash `echo`", &run));
    }
    figures
}

fn describe(tool: &str, run: &Run) -> Vec<Figure> {
    let Run { overheads, cpu, sent, peak, edits } = run;
    let count = overheads.len();
    let (first, last) = (&overheads[..EDGE], &overheads[count - EDGE..]);
    let line = |what: &str, value: String| Figure::new(format!("{tool}, {count} turns: {what}"), value);
    vec![
        line("overhead per turn, median", ms(median(overheads))),
        line("overhead per turn, 90 %", ms(quantile(overheads, 0.9))),
        line("median of the first 20, of the last 20", format!("{}, {}", ms(median(first)), ms(median(last)))),
        line("processor time per turn", ms(*cpu)),
        line("bytes of requests", format!("{:.2} MB", *sent as f64 / 1e6)),
        line("most memory", format!("{peak:.1} MiB")),
        line("edits in the chat", edits.to_string()),
    ]
}
