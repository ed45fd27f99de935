//! Makes any text safe to stand in one line of a log or terminal: what would end the line, move the cursor or turn the
//! reading direction is written out. Loses nothing that people can see.

use std::fmt::Write as _;

/// Whether a character must not reach a line as it is.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// The text in one line.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// A value after `key=`: as it is when it is one plain word, else in quotation marks.
pub fn value(text: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !is_unsafe(c) && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c => push(&mut out, c),
        }
    }
    out.push('"');
    out
}

/// JSON text with the same meaning that is safe to print: such characters stand only inside its strings.
pub fn json(text: &str) -> String {
    if !text.contains(is_unsafe) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_unsafe(c) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::{json, line, value};

    #[test]
    fn nothing_breaks_a_line_and_what_is_harmless_stays() {
        let cases = [
            ("plain ünïcode → 日本 👀", "plain ünïcode → 日本 👀"),
            ("a\nb\r\n\tc", "a\\nb\\r\\n\\tc"),
            ("\x1b[31mred\u{7}\u{9b}2J", "\\u{1b}[31mred\\u{7}\\u{9b}2J"),
            ("\u{2028}\u{202e}txt\u{2066}\u{85}\u{7f}", "\\u{2028}\\u{202e}txt\\u{2066}\\u{85}\\u{7f}"),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn values_are_quoted_when_they_are_not_one_plain_word() {
        let cases = [
            ("run/3", "run/3"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("a=b", "\"a=b\""),
            ("say \"hi\" \\", "\"say \\\"hi\\\" \\\\\""),
            ("x\ny", "\"x\\ny\""),
            ("\u{200e}", "\"\\u{200e}\""),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = serde_json::json!({ "a": "\u{9b}31m\u{202e}x\n\u{7f}👀" }).to_string();
        let safe = json(&text);
        assert!(!safe.contains(super::is_unsafe), "{safe}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&safe), read(&text));
    }
}
