//! `codebutler show`: one thread's story for people, or its raw events.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::paint::Paint;
use super::stores::{self, Found};
use super::{Ended, out, saved, threads};
use crate::agent::Role;
use crate::ids::{Millis, ThreadKey};
use crate::render::story;
use crate::store::StoredEvent;
use crate::telemetry::escape;
use crate::thread::{Phase, Thread};

/// Tell the story of one thread, or list its events.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  codebutler show 1700000000.0001\n  \
    codebutler show 17 --events --json > log.jsonl    saves the log for codebutler replay\n\n\
    Times are in UTC. With --json and without --events it prints one object: the thread as it is now.")]
pub(super) struct Args {
    /// The thread_ts, or its beginning as far as only one thread has it.
    #[arg(value_name = "THREAD")]
    thread: String,
    /// A repository to look into, and no other; may be given more than once. Default: every configured one and the
    /// one around the working directory.
    #[arg(long, value_name = "PATH")]
    repo: Vec<PathBuf>,
    /// Every event as it is stored, one per line.
    #[arg(long)]
    events: bool,
    /// JSON, one object per line.
    #[arg(long)]
    json: bool,
}

/// The longest event on a line that people read, in characters.
const EVENT: usize = 240;

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    let Args { thread, repo, events, json } = args;
    let mut stores = stores::open(&repo)?;
    let found = stores.thread(&thread)?;
    if events {
        let stored = found.stored.reader.events(&found.row.key);
        let stored = stored.map_err(|error| Ended::Failed(vec![stores::unreadable(found.stored, &error)]))?;
        for event in &stored {
            out::output(&if json { saved::line(&found.row.key, event) + "\n" } else { raw(&found.row.key, event) });
        }
        return Ok(());
    }
    let paint = Paint::for_output();
    let mut lines = Lines { paint, day: String::new(), text: String::new() };
    let folded = stores::fold(&found, |before, after, event, at| {
        if let Some(line) = story::line(before, after, event, at) {
            lines.push(at, &line);
        }
    });
    let thread = folded.map_err(|failure| Ended::Failed(vec![failure]))?;
    if json {
        out::output(&format!("{}\n", escape::json(&threads::summary(&found, Some(&thread)).to_string())));
        return Ok(());
    }
    let foot = escape::line(&threads::doing(&found, &thread));
    out::output(&format!("{}{}\n{}\n", head(&found, &thread, paint), lines.text, paint.bold(&foot)));
    Ok(())
}

/// One event as it is stored, for people.
fn raw(thread: &ThreadKey, stored: &StoredEvent) -> String {
    let line = saved::line(thread, stored);
    let fields: Value = serde_json::from_str(&line).unwrap_or_default();
    let mut text = format!("{:>5}  {}  ", stored.seq, clock(stored.at));
    text.push_str(&escape::line(fields["type"].as_str().unwrap_or_default()));
    let fields = fields.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| !saved::HEAD.contains(&name.as_str()) && *name != "type") {
        let value = match value {
            Value::String(text) => escape::value(text),
            other => escape::line(&other.to_string()),
        };
        let _ = write!(text, "  {}={value}", escape::line(name));
    }
    match text.char_indices().nth(EVENT) {
        Some((end, _)) => format!("{}… ({} more characters)\n", &text[..end], text[end..].chars().count()),
        None => text + "\n",
    }
}

/// The story's lines, with the day before the first line of each.
struct Lines {
    paint: Paint,
    day: String,
    text: String,
}

impl Lines {
    fn push(&mut self, at: Millis, line: &story::Line) {
        let moment = clock(at);
        let (day, time) = moment.split_once(' ').unwrap_or(("", &moment));
        if self.day != day {
            day.clone_into(&mut self.day);
            let _ = writeln!(self.text, "\n{}", self.paint.dim(&format!("{day} (UTC)")));
        }
        let time = time.split('.').next().unwrap_or_default();
        let tag = self.paint.tag(line.tag, &format!("{:<3}", line.tag.as_str()));
        let _ = writeln!(self.text, "{}  {tag}  {}", self.paint.dim(time), escape::line(&line.told));
    }
}

/// `2025-01-02 03:04:05.678`, in UTC.
fn clock(at: Millis) -> String {
    match saved::time(at) {
        Value::String(text) => text.trim_end_matches('Z').replace('T', " "),
        other => other.to_string(),
    }
}

fn head(found: &Found<'_>, thread: &Thread, paint: Paint) -> String {
    let row = &found.row;
    let title = if row.title.trim().is_empty() { "(no title yet)" } else { row.title.trim() };
    let mut text = format!("{}\n", paint.bold(&escape::line(title)));
    let mut put = |name: &str, value: &str| {
        let _ = writeln!(text, "{} {}", paint.dim(&format!("{name:<13}")), escape::line(value));
    };
    put("thread", &format!("{} in {}", row.key.ts, row.key.channel));
    put("repository", &found.stored.repository.display().to_string());
    put("phase", &Phase::of(thread).to_string());
    if let Some(workspace) = thread.workspace() {
        put("branch", &format!("{} from {}@{}", workspace.branch, workspace.base_branch, workspace.base.short()));
    }
    if let Some(pull) = &thread.pull {
        let draft = if pull.draft { " (draft)" } else { "" };
        put("pull request", format!("#{} {}{draft} {}", pull.number, pull.title, pull.url).trim_end());
    }
    let people: Vec<&str> = thread.people.values().map(String::as_str).collect();
    if let Some(by) = &thread.opened_by {
        put("people", &format!("{}, opened by {}", people.join(", "), thread.name_of(by)));
    }
    put("cost", &costs(thread));
    text
}

/// The cost in all, then of each role.
fn costs(thread: &Thread) -> String {
    let total = thread.total_usage();
    let of_role = |role: &Role| {
        let usage = thread.usage.get(role)?;
        let calls = if usage.calls == 1 { "call" } else { "calls" };
        Some(format!("{} {} in {} {calls}", role.title(), usage.cost_text(), usage.calls))
    };
    let roles: Vec<String> = Role::ALL.iter().filter_map(of_role).collect();
    if roles.is_empty() { threads::cost(&total) } else { format!("{}: {}", threads::cost(&total), roles.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{EVENT, raw};
    use crate::ids::{Millis, ThreadKey};
    use crate::store::StoredEvent;

    #[test]
    fn a_raw_event_is_one_line_that_people_can_read() {
        let key = ThreadKey::parse("T1/C1/1.0").expect("a key");
        let body = format!(r#"{{"type":"noted","role":"pm","text":"a\nb {}","list":[1]}}"#, "x".repeat(EVENT));
        let text = raw(&key, &StoredEvent { seq: 3, at: Millis(1_735_787_045_678), body });
        let start = "    3  2025-01-02 03:04:05.678  noted  role=pm  text=\"a\\nb xxx";
        assert!(text.starts_with(start) && text.ends_with(" more characters)\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
        let body = r#"{"type":"tools_started","run":1,"calls":["a","b"]}"#.to_owned();
        let text = raw(&key, &StoredEvent { seq: 12345, at: Millis(0), body });
        assert_eq!(text, "12345  1970-01-01 00:00:00.000  tools_started  run=1  calls=[\"a\",\"b\"]\n");
    }
}
