//! One record of the log and the line that it becomes, for a terminal or file and for systemd's journal.

use super::escape;

/// The tags that an activity line may carry in its field `tag` (section 22 of the specification). A level gives the
/// tag of any other record.
const TAGS: [&str; 8] = ["MSG", "PM", "RSH", "CLD", "LED", "IMG", "RSP", "MEM"];

/// The longest text of a record, in characters: an error may quote a whole page.
const LONGEST: usize = 4_000;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, in UTC with milliseconds, as ISO 8601 has it.
    pub time: String,
    /// What kind of record: `INF`, `WRN`, `ERR`, `DBG`, `TRC` or one of an activity.
    pub tag: &'static str,
    /// How severe, as in syslog: 3 error, 4 warning, 6 information, 7 debugging.
    pub severity: u8,
    /// The thread it is about.
    pub thread: Option<String>,
    /// The text and the other fields, in one line.
    pub text: String,
}

/// Who reads the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// People, or a file.
    Plain,
    /// Systemd's journal, which has its own clock and reads a severity in front of each line.
    Journal,
}

/// The tag of that name, when an activity may carry it.
pub fn activity(tag: &str) -> Option<&'static str> {
    TAGS.into_iter().find(|known| *known == tag)
}

/// Tag and severity of a level.
pub fn of_level(level: tracing::Level) -> (&'static str, u8) {
    match level {
        tracing::Level::ERROR => ("ERR", 3),
        tracing::Level::WARN => ("WRN", 4),
        tracing::Level::INFO => ("INF", 6),
        tracing::Level::DEBUG => ("DBG", 7),
        tracing::Level::TRACE => ("TRC", 7),
    }
}

/// A message and its fields as one text: `message key=value`.
pub fn text(message: &str, fields: &[(&str, String)]) -> String {
    let mut text = escape::line(message.trim_end());
    for (name, value) in fields {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(&escape::value(value));
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => {
            let left = text[end..].chars().count();
            text.truncate(end);
            text.push_str(&format!("… ({left} more characters)"));
            text
        }
        None => text,
    }
}

impl Record {
    /// The record as a line, with its end.
    pub fn line(&self, style: Style) -> String {
        let Self { time, tag, severity, thread, text } = self;
        let thread = thread.as_deref().map_or_else(|| "-".to_owned(), escape::value);
        match style {
            Style::Plain => format!("{time} {tag} {thread} {text}\n"),
            Style::Journal => format!("<{severity}>{tag} {thread} {text}\n"),
        }
    }
}

/// Whether standard error is the stream that systemd named: its device and inode.
pub fn is_journal(stream: Option<&str>) -> bool {
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    names(stream, stat.st_dev, stat.st_ino)
}

fn names(stream: Option<&str>, device: impl Into<i128>, inode: impl Into<i128>) -> bool {
    let Some((named_device, named_inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    named_device.parse() == Ok(device.into()) && named_inode.parse() == Ok(inode.into())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Record, Style, names, text};

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let forged = "hello\n2025-01-02T03:04:05.678Z INF - all is well\r\x1b[2J";
        let record = Record {
            time: "2025-01-02T03:04:05.678Z".into(),
            tag: "MSG",
            severity: 6,
            thread: Some("1.0\n2025 ERR".into()),
            text: text(forged, &[("who", "Eve\nERR".into()), ("count", "3".into())]),
        };
        let line = record.line(Style::Plain);
        assert_eq!(
            line,
            "2025-01-02T03:04:05.678Z MSG \"1.0\\n2025 ERR\" hello\\n2025-01-02T03:04:05.678Z INF - all is \
             well\\r\\u{1b}[2J who=\"Eve\\nERR\" count=3\n"
        );
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn the_journal_gets_a_severity_and_no_timestamp() {
        let record = Record { time: "2025".into(), tag: "WRN", severity: 4, thread: None, text: text("trouble", &[]) };
        assert_eq!(record.line(Style::Journal), "<4>WRN - trouble\n");
        assert_eq!(record.line(Style::Plain), "2025 WRN - trouble\n");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        for (stream, expected) in
            [(None, false), (Some("8:1"), true), (Some("8:2"), false), (Some("9:1"), false), (Some("8"), false)]
        {
            assert_eq!(names(stream, 8, 1), expected, "{stream:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let cut = text(&"é".repeat(LONGEST + 7), &[]);
        assert!(cut.starts_with("éé") && cut.ends_with("é… (7 more characters)"), "{cut}");
        assert_eq!(text("", &[("a", "b".into())]), "a=b");
    }
}
