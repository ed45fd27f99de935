//! A saved log: one JSON object per line, `{"seq","time","thread","key","type",…}` with the event's own fields after its
//! type; `key` is the thread with workspace and channel. What `show --events --json` writes, `replay` reads; nothing is lost between.

use serde_json::{Map, Value, json};

use crate::daemon::Failure;
use crate::ids::{Millis, ThreadKey};
use crate::store::StoredEvent;
use crate::telemetry::escape;
use crate::thread::Event;

/// The fields that every line begins with.
pub(super) const HEAD: [&str; 4] = ["seq", "time", "thread", "key"];

/// An event that was read back.
pub(super) struct Saved {
    /// Its thread.
    pub(super) thread: ThreadKey,
    /// Its place in the thread.
    pub(super) seq: u64,
    /// When it happened.
    pub(super) at: Millis,
    /// Its type, as stored.
    pub(super) kind: String,
    /// The event.
    pub(super) event: Event,
}

impl Saved {
    /// When it happened, as in the log.
    pub(super) fn time(&self) -> Value {
        time(self.at)
    }
}

/// A stored event as a line, without its end.
pub(super) fn line(thread: &ThreadKey, stored: &StoredEvent) -> String {
    let head = json!({
        "seq": stored.seq,
        "time": time(stored.at),
        "thread": thread.ts,
        "key": thread.to_text(),
    });
    // The stored text itself goes into the line, so that no number is read and written in between.
    let body = match stored.body.strip_prefix('{').filter(|rest| rest.starts_with("\"type\":")) {
        Some(rest) => rest.to_owned(),
        None => format!("\"type\":\"unreadable\",\"body\":{}}}", json!(stored.body)),
    };
    escape::json(&format!("{},{body}", head.to_string().trim_end_matches('}')))
}

/// Reads a line back; the failure does not name the line.
pub(super) fn read(line: &str) -> Result<Saved, Failure> {
    let damaged = |what: String| Failure {
        what,
        hint: "save it again: codebutler show THREAD --events --json > log.jsonl".to_owned(),
    };
    let mut fields: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| damaged(format!("no JSON object: {error}")))?;
    let mut take = |name: &str| fields.shift_remove(name);
    let seq = take("seq").and_then(|seq| seq.as_u64()).ok_or_else(|| damaged("`seq` is no number".to_owned()))?;
    let at = take("time").as_ref().and_then(moment);
    let at = at.ok_or_else(|| damaged("`time` is no time like 2025-01-02T03:04:05.678Z".to_owned()))?;
    let mut text = |name: &str| take(name).and_then(|value| value.as_str().map(str::to_owned));
    let ts = text("thread").ok_or_else(|| damaged("`thread` is no text".to_owned()))?;
    let thread = text("key").unwrap_or_else(|| format!("local/local/{ts}"));
    let thread = ThreadKey::parse(&thread).filter(|key| key.ts.as_str() == ts);
    let thread = thread.ok_or_else(|| damaged("`key` is not workspace/channel/thread".to_owned()))?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let event = serde_json::from_value(Value::Object(fields)).map_err(|error| {
        let error = error.to_string();
        if error.starts_with(&format!("unknown variant `{kind}`")) {
            let what = format!("this program knows no event of type `{}`", escape::line(&kind));
            return Failure { what, hint: "a newer codebutler wrote it: update this one".to_owned() };
        }
        damaged(format!("no event `{}`: {}", escape::line(&kind), escape::line(&error)))
    })?;
    Ok(Saved { thread, seq, at, kind, event })
}

/// A moment as ISO 8601 in UTC with milliseconds; a number where no calendar has it.
pub(super) fn time(at: Millis) -> Value {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(moment) => Value::String(format!("{moment:.3}")),
        Err(_) => Value::from(at.0),
    }
}

fn moment(time: &Value) -> Option<Millis> {
    match time {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(|moment| Millis(moment.as_millisecond())),
        other => other.as_i64().map(Millis),
    }
}

#[cfg(test)]
mod tests {
    use super::{Saved, line, read};
    use crate::ids::{Millis, ThreadKey};
    use crate::store::StoredEvent;

    fn key() -> ThreadKey {
        ThreadKey::parse("T1/C1/1700000000.000100").expect("a key")
    }

    fn stored(body: &str, at: i64) -> StoredEvent {
        StoredEvent { seq: 7, at: Millis(at), body: body.to_owned() }
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        let body = &r#"{"type":"message_edited","ts":"1.0","text":"a \u001b[31m \u009b } \"thread\":\"x\"\nMARKé"}"#
            .replace("MARK", "\u{202e}\u{9b}");
        for at in [0, 1_735_787_045_678, -5, i64::MAX] {
            let line = line(&key(), &stored(body, at));
            assert!(!line.contains(crate::telemetry::escape::is_unsafe), "{line}");
            let Saved { thread, seq, at: when, kind, event } = read(&line).unwrap_or_else(|fault| panic!("{fault:?}"));
            assert_eq!((thread, seq, when.0, kind.as_str()), (key(), 7, at, "message_edited"));
            assert_eq!(event, serde_json::from_str(body).expect("an event"));
        }
        let line = line(&key(), &stored(r#"{"type":"thread_opened","by":"A"}"#, 1_735_787_045_678));
        assert_eq!(
            line,
            r#"{"seq":7,"time":"2025-01-02T03:04:05.678Z","thread":"1700000000.000100","key":"T1/C1/1700000000.000100","type":"thread_opened","by":"A"}"#
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_with_a_next_step() {
        let head = r#""seq":1,"time":"2025-01-02T03:04:05.678Z","thread":"1.0""#;
        let cases = [
            ("".to_owned(), "no JSON object"),
            ("[1]".to_owned(), "no JSON object"),
            (r#"{"seq":"x"}"#.to_owned(), "`seq` is no number"),
            (r#"{"seq":1,"time":"yesterday"}"#.to_owned(), "`time` is no time"),
            (r#"{"seq":1,"time":5}"#.to_owned(), "`thread` is no text"),
            (format!("{{{head},\"key\":\"T/C/2.0\"}}"), "`key` is not"),
            (format!("{{{head},\"type\":\"moon_landed\"}}"), "this program knows no event of type `moon_landed`"),
            (format!("{{{head},\"type\":\"thread_opened\"}}"), "no event `thread_opened`: missing field `by`"),
            (format!("{{{head}}}"), "no event ``: missing field `type`"),
            (
                format!("{{{head},\"type\":\"noted\",\"role\":\"wizard\",\"text\":\"\"}}"),
                "no event `noted`: unknown variant `wizard`",
            ),
        ];
        for (line, expected) in cases {
            let Err(fault) = read(&line) else { panic!("{line} was read") };
            assert!(fault.what.starts_with(expected) && !fault.hint.is_empty(), "{line}: {fault:?}");
        }
    }

    #[test]
    fn a_stored_text_that_is_no_event_is_shown_and_not_read() {
        let line = line(&key(), &stored("nonsense", 0));
        assert!(line.ends_with(r#""type":"unreadable","body":"nonsense"}"#), "{line}");
        assert!(read(&line).is_err());
    }
}
