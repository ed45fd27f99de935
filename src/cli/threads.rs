//! `codebutler threads`: every thread, what it is doing, what it cost.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::paint::Paint;
use super::stores::{self, Found, Stores};
use super::{Ended, out, saved};
use crate::agent::Usage;
use crate::ids::Millis;
use crate::render::story;
use crate::telemetry::escape;
use crate::thread::{Phase, Thread};

/// List the threads: phase, title, what each is doing or waits for, cost.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  codebutler threads --all\n\n\
    Shows the open threads of every configured repository and of the one around the working directory, the last changed\n\
    first. It only reads, beside a running daemon or without one. `codebutler show THREAD` tells the story of one.")]
pub(super) struct Args {
    /// A repository to look into, and no other; may be given more than once.
    #[arg(long, value_name = "PATH")]
    repo: Vec<PathBuf>,
    /// Closed threads too.
    #[arg(long)]
    all: bool,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

/// The columns' names.
const HEAD: [&str; 7] = ["THREAD", "CHANNEL", "PHASE", "CHANGED", "COST", "TITLE", "DOING"];

/// The widest column that is aligned, in characters.
const WIDEST: usize = 200;

/// The widest title, in characters.
const TITLE: usize = 48;

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    let Args { repo, all, json } = args;
    let mut stores = stores::open(&repo)?;
    let (shown, hidden): (Vec<_>, Vec<_>) = stores.threads().into_iter().partition(|found| all || !found.row.closed);
    let hidden = hidden.len();
    let none = shown.is_empty();
    if json {
        for found in &shown {
            out::output(&format!("{}\n", escape::json(&summary(found, folded(found).as_ref().ok()).to_string())));
        }
    } else if !none {
        out::output(&table(&shown, now()));
    }
    if none {
        let words = nothing(&stores, hidden);
        // A program that reads JSON gets none, and the words elsewhere.
        if json { out::error(&words) } else { out::output(&words) }
    } else if hidden > 0 && !json {
        let verb = if hidden == 1 { "thread is" } else { "threads are" };
        out::output(&format!("{hidden} closed {verb} not shown; --all shows them\n"));
    }
    if stores.broken.is_empty() { Ok(()) } else { Err(Ended::Failed(stores.broken)) }
}

/// Why there is nothing to show.
fn nothing(stores: &Stores, hidden: usize) -> String {
    match hidden {
        0 if stores.with.is_empty() => {
            let paths = stores.without.iter().map(|path| format!("no codebutler has run in {} yet\n", path.display()));
            paths.collect()
        }
        0 => "no thread yet\n".to_owned(),
        1 => "no open thread; --all shows the closed one\n".to_owned(),
        hidden => format!("no open thread; --all shows the {hidden} closed ones\n"),
    }
}

fn folded(found: &Found<'_>) -> Result<Thread, String> {
    stores::fold(found, |_, _, _, _| {}).map_err(|failure| failure.what)
}

/// A thread's figures for programs; `thread` is `None` when its log cannot be read.
pub(super) fn summary(found: &Found<'_>, thread: Option<&Thread>) -> Value {
    let row = &found.row;
    let usage = thread.map(Thread::total_usage);
    json!({
        "thread": row.key.ts,
        "channel": row.key.channel,
        "repo": found.stored.repository,
        "phase": thread.map(|thread| Phase::of(thread).to_string()),
        "title": row.title,
        "doing": thread.map(|thread| doing(found, thread)),
        "updated": saved::time(row.updated),
        "unread": row.unread,
        "branch": thread.and_then(Thread::workspace).map(|workspace| &workspace.branch),
        "pull_request": thread.and_then(|thread| thread.pull.as_ref()).map(|pull| json!({
            "number": pull.number, "url": pull.url, "title": pull.title, "draft": pull.draft,
        })),
        "calls": usage.map(|usage| usage.calls),
        "cost_usd": usage.map(|usage| usage.cost_usd),
        "calls_without_cost": usage.map(|usage| usage.calls_without_cost),
    })
}

/// What the thread is at, and whether something waits to be read.
pub(super) fn doing(found: &Found<'_>, thread: &Thread) -> String {
    let unread = match found.row.unread {
        0 => return story::doing(thread),
        1 => "1 message not read yet".to_owned(),
        unread => format!("{unread} messages not read yet"),
    };
    if thread.seq == 0 { unread } else { format!("{}, {unread}", story::doing(thread)) }
}

/// The cost, `-` when no model was called.
pub(super) fn cost(usage: &Usage) -> String {
    if usage.calls == 0 { "-".to_owned() } else { usage.cost_text() }
}

fn table(shown: &[Found<'_>], now: Millis) -> String {
    let rows: Vec<[String; 7]> = shown.iter().map(|found| cells(found, now)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default().max(HEAD[column].len())
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[&str]| {
        // The last one is as long as it is; a format takes no width beyond 65,535.
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<0$}", width.min(WIDEST)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = Paint::for_output().dim(&line(&HEAD));
    for row in &rows {
        text.push_str(&line(&row.each_ref().map(String::as_str)));
    }
    text
}

fn cells(found: &Found<'_>, now: Millis) -> [String; 7] {
    let row = &found.row;
    let (phase, cost, doing) = match folded(found) {
        Ok(thread) => (Phase::of(&thread).to_string(), cost(&thread.total_usage()), doing(found, &thread)),
        Err(what) => ("?".to_owned(), "?".to_owned(), what),
    };
    let cells = [
        row.key.ts.to_string(),
        row.key.channel.to_string(),
        phase,
        age(now.since(row.updated)),
        cost,
        shortened(&row.title),
        doing,
    ];
    cells.map(|cell| escape::line(&cell))
}

fn shortened(title: &str) -> String {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    match title.char_indices().nth(TITLE) {
        Some((end, _)) => format!("{}…", &title[..end]),
        None if title.is_empty() => "-".to_owned(),
        None => title,
    }
}

/// How long ago, in the largest unit that says something.
fn age(millis: i64) -> String {
    let minutes = millis / 60_000;
    match minutes {
        0 => "now".to_owned(),
        1..=119 => format!("{minutes} min ago"),
        120..=2879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 60 / 24),
    }
}

fn now() -> Millis {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
    Millis(i64::try_from(age).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{TITLE, age, shortened};

    #[test]
    fn ages_and_titles_are_short() {
        let (minute, hour, day) = (60_000, 3_600_000, 86_400_000);
        let cases = [
            (0, "now"),
            (minute - 1, "now"),
            (minute, "1 min ago"),
            (2 * hour - 1, "119 min ago"),
            (2 * hour, "2 h ago"),
            (2 * day - 1, "47 h ago"),
            (2 * day, "2 days ago"),
        ];
        for (millis, expected) in cases {
            assert_eq!(age(millis), expected);
        }
        assert_eq!(shortened(" a \n b "), "a b");
        assert_eq!(shortened(""), "-");
        assert_eq!(shortened(&"é".repeat(TITLE + 1)), "é".repeat(TITLE) + "…");
    }
}
