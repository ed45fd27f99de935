//! The figures of `docs/performance.md`: the release binary as a child process, against a Slack and a model server in
//! this process, real git. `cargo bench` prints all of them, `cargo bench -- turns` those of one section. The sections
//! `load` and `full` take minutes; `cargo bench -- soak 20` lets it run for 20 minutes and is no part of the whole.
//!
//! Measures and prints; never fails because something is slow.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what this program is for")]

mod crowd;
mod full;
mod load;
mod process;
#[path = "../../tests/it/script.rs"]
#[expect(dead_code, reason = "the stories of the tests need more of it")]
mod script;
mod sections;
mod soak;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, reason = "the stories of the tests need more of it")]
mod support;
mod turns;
#[path = "../../tests/it/world.rs"]
#[expect(dead_code, reason = "the stories of the tests need more of it")]
mod world;

use std::time::Duration;

/// The program that is measured.
const BINARY: &str = env!("CARGO_BIN_EXE_codebutler");

/// A line of the table.
struct Figure {
    what: String,
    value: String,
}

impl Figure {
    fn new(what: impl Into<String>, value: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into() }
    }
}

fn main() {
    // Cargo itself passes `--bench`.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    // Never by itself: it takes as long as one wants.
    let soak =
        chosen.iter().position(|name| name == "soak").map(|at| chosen.get(at + 1).and_then(|it| it.parse().ok()));
    if soak == Some(None) {
        eprintln!("error: soak for how many minutes?\nhint: cargo bench -- soak 20");
        std::process::exit(2);
    }
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        if wanted("binary") {
            print(&sections::binary());
        }
        if wanted("start") {
            print(&sections::start().await);
        }
        if wanted("seen") {
            print(&sections::seen().await);
        }
        if wanted("turns") {
            print(&sections::turns().await);
        }
        // Of `load` a part may be named alone: `load burst`.
        let parts = ["steady", "burst", "flood", "sleepers", "workers"];
        let named = |part: &str| parts.iter().all(|part| !chosen.iter().any(|chosen| chosen == part)) || wanted(part);
        if wanted("load") {
            load::load(named).await;
        }
        if wanted("full") {
            print(&full::full().await);
        }
        if let Some(Some(minutes)) = soak {
            soak::soak(minutes).await;
        }
    });
}

fn print(figures: &[Figure]) {
    for Figure { what, value } in figures {
        println!("| {what} | {value} |");
    }
}

/// The value below which this share of all lies.
fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a short list")]
    let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn median(times: &[Duration]) -> Duration {
    quantile(times, 0.5)
}

/// A time in milliseconds.
fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
