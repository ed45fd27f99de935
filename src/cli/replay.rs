//! `codebutler replay`: folds a saved log with the program's own fold, on any machine, and shows each change of state.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::paint::Paint;
use super::saved::{self, Saved};
use super::{Ended, fail, out, threads};
use crate::agent::Role;
use crate::config::{self, process_env};
use crate::daemon::Failure;
use crate::render::story;
use crate::telemetry::escape;
use crate::thread::{Effect, Phase, Rules, Thread, pending};

/// Fold a saved log and print each change of state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  codebutler show 1700000000.0001 --events --json > log.jsonl\n  \
    codebutler replay log.jsonl\n\n\
    Needs no configuration and no repository. Ends with a fingerprint of the final state: the same log and the same\n\
    version of the program give the same one on every machine.")]
pub(super) struct Args {
    /// The log, as `codebutler show THREAD --events --json` saves it; `-` is standard input.
    #[arg(value_name = "LOG")]
    log: String,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    let Args { log, json } = args;
    let limits = limits();
    let mut replay = Replay { json, paint: Paint::for_output(), limits, now: None };
    if log == "-" {
        replay.read(&mut std::io::stdin().lock())?;
    } else {
        let file = File::open(Path::new(&log)).map_err(|error| {
            let hint = "name a log saved by codebutler show THREAD --events --json, or - for standard input";
            fail(format!("`{}` cannot be read: {error}", escape::line(&log)), hint)
        })?;
        replay.read(&mut BufReader::new(file))?;
    }
    replay.end()
}

/// How many turns a run may take: those of the global file here, else the defaults. Only what is pending depends on it.
fn limits() -> Rules {
    let (global, _) = config::look(config::home(&process_env).as_deref(), &process_env);
    Rules { pm_turns: global.turns.pm, coder_turns: global.turns.coder, ..Rules::default() }
}

/// A log half read.
struct Replay {
    json: bool,
    paint: Paint,
    limits: Rules,
    /// The thread so far, and how it looks.
    now: Option<(Thread, Look)>,
}

/// What one sees of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    phase: Phase,
    doing: String,
    /// Pending effects by id.
    effects: Vec<String>,
}

impl Look {
    fn of(thread: &Thread, limits: &Rules) -> Self {
        let turns = |role: Role| limits.turns(role);
        let effects = pending(thread, turns).iter().map(Effect::id).map(|id| id.to_string()).collect();
        Self { phase: Phase::of(thread), doing: story::doing(thread), effects }
    }
}

impl Replay {
    fn read(&mut self, log: &mut dyn BufRead) -> Result<(), Ended> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let read = log.read_until(b'\n', &mut line).map_err(|error| {
                fail(format!("line {number} of the log cannot be read: {error}"), "name a file that you can read")
            })?;
            if read == 0 {
                break;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.line(&line)
                .map_err(|Failure { what, hint }| fail(format!("line {number} of the log: {what}"), hint))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let again = "save it again: codebutler show THREAD --events --json > log.jsonl";
        let text = std::str::from_utf8(line)
            .map_err(|error| Failure { what: format!("no UTF-8 text: {error}"), hint: again.to_owned() })?;
        let saved = saved::read(text.trim())?;
        let expected = self.now.as_ref().map_or(1, |(thread, _)| thread.seq + 1);
        if saved.seq != expected {
            let what = format!("event {} stands where event {expected} belongs", saved.seq);
            return Err(Failure { what, hint: again.to_owned() });
        }
        let (before, looked) = self.now.take().unwrap_or_else(|| {
            let thread = Thread::new(saved.thread.clone());
            let look = Look::of(&thread, &self.limits);
            (thread, look)
        });
        if before.key != saved.thread {
            let what =
                format!("it is of thread {}, the log began with {}", saved.thread.to_text(), before.key.to_text());
            return Err(Failure { what: escape::line(&what), hint: "replay one thread at a time".to_owned() });
        }
        let mut after = before.clone();
        after.apply(&saved.event, saved.at);
        let look = Look::of(&after, &self.limits);
        self.show(&saved, (&before, &looked), (&after, &look));
        self.now = Some((after, look));
        Ok(())
    }

    fn show(&self, saved: &Saved, before: (&Thread, &Look), after: (&Thread, &Look)) {
        let line = story::line(before.0, after.0, &saved.event, saved.at);
        let (begun, ended) = changed(&before.1.effects, &after.1.effects);
        if self.json {
            let mut object = json!({
                "seq": saved.seq, "time": saved.time(), "thread": saved.thread.ts, "type": saved.kind,
                "tag": line.as_ref().map(|line| line.tag.as_str()), "text": line.as_ref().map(|line| &line.told),
                "phase": after.1.phase.to_string(), "doing": after.1.doing, "begun": begun, "ended": ended,
            });
            if let (None, Some(fields)) = (&line, object.as_object_mut()) {
                fields.retain(|_, value| !value.is_null());
            }
            out::output(&format!("{}\n", escape::json(&object.to_string())));
            return;
        }
        let time = saved.time();
        let time = time.as_str().map_or_else(|| time.to_string(), str::to_owned);
        let (tag, told) = match &line {
            Some(line) => (self.paint.tag(line.tag, &format!("{:<3}", line.tag.as_str())), escape::line(&line.told)),
            None => ("   ".to_owned(), self.paint.dim(&escape::line(&saved.kind))),
        };
        out::output(&format!("{:>5}  {}  {tag}  {told}\n", saved.seq, self.paint.dim(&time)));
        let mut changes = Vec::new();
        if before.1.phase != after.1.phase {
            changes.push(format!("phase {} → {}", before.1.phase, after.1.phase));
        }
        if before.1.doing != after.1.doing {
            changes.push(after.1.doing.clone());
        }
        changes.extend(begun.iter().map(|id| format!("+{id}")));
        changes.extend(ended.iter().map(|id| format!("−{id}")));
        if !changes.is_empty() {
            let changes = escape::line(&changes.join(" · "));
            out::output(&format!("{:>38}{}\n", "", self.paint.dim(&changes)));
        }
    }

    fn end(self) -> Result<(), Ended> {
        let Some((thread, look)) = self.now else {
            return Err(fail("the log holds no event", "save one: codebutler show THREAD --events --json > log.jsonl"));
        };
        let fingerprint = fingerprint(&thread);
        let usage = thread.total_usage();
        if self.json {
            let object = json!({
                "type": "replayed", "thread": thread.key.ts, "events": thread.seq, "phase": look.phase.to_string(),
                "doing": look.doing, "pending": look.effects, "cost_usd": usage.cost_usd,
                "calls_without_cost": usage.calls_without_cost, "fingerprint": fingerprint,
                "version": env!("CARGO_PKG_VERSION"),
            });
            out::output(&format!("{}\n", escape::json(&object.to_string())));
            return Ok(());
        }
        let effects = if look.effects.is_empty() { "nothing".to_owned() } else { look.effects.join(", ") };
        let mut text = format!(
            "\n{}\n",
            self.paint.bold(&format!("{} events of thread {}", thread.seq, escape::line(thread.key.ts.as_str())))
        );
        for (name, value) in [
            ("phase", look.phase.to_string()),
            ("doing", look.doing),
            ("pending", effects),
            ("cost", threads::cost(&usage)),
            ("fingerprint", format!("{fingerprint} (codebutler {})", env!("CARGO_PKG_VERSION"))),
        ] {
            text.push_str(&format!("{} {}\n", self.paint.dim(&format!("{name:<13}")), escape::line(&value)));
        }
        out::output(&text);
        Ok(())
    }
}

/// Which effects are new, and which are gone.
fn changed(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let without = |of: &[String], other: &[String]| of.iter().filter(|id| !other.contains(id)).cloned().collect();
    (without(after, before), without(before, after))
}

/// A hash over everything that the thread remembers. Its maps are sorted, so equal states are written alike.
fn fingerprint(thread: &Thread) -> String {
    let digest = Sha256::digest(format!("{thread:?}").as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
