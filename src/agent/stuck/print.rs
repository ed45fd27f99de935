//! Prints of calls and results: equal for what is the same to a reader. A command's output is taken without what differs
//! from one time to the next: times, addresses, process numbers, line numbers, the order of its lines.
//!
//! Never stored: a newer program may make other prints of the same log.

use serde_json::Value;

use crate::agent::ToolCall;

/// So much of an output's beginning and end is looked at.
const LOOKED_AT: usize = 8 * 1024;

/// Lines that tell what a build tool is at, which depends on what it did before.
const NOISE: [&str; 10] = [
    "Compiling ",
    "Checking ",
    "Finished ",
    "Blocking ",
    "Downloading ",
    "Downloaded ",
    "Updating ",
    "Running ",
    "Fresh ",
    "Building ",
];

const UNITS: [&str; 14] =
    ["ms", "s", "sec", "secs", "second", "seconds", "us", "µs", "ns", "m", "min", "mins", "minutes", "h"];

/// A text as it stands.
pub(super) fn text(text: &str) -> u64 {
    bytes(text.as_bytes())
}

/// Two prints as one.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mixed = (a.rotate_left(23) ^ b).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// A call: its tool and arguments, whatever their order and the words around them.
pub(super) fn call(call: &ToolCall) -> u64 {
    let name = text(&call.name);
    match serde_json::from_str::<Value>(&call.arguments) {
        Ok(arguments) => mix(name, value(&arguments, call.name == "Bash")),
        Err(_) => mix(name, text(&call.arguments)),
    }
}

/// What a command printed.
pub(super) fn output(text: &str) -> u64 {
    let (head, tail) = ends(text);
    let lines = head.lines().chain(tail.lines()).map(str::trim);
    let told = lines.filter(|line| !line.is_empty() && !NOISE.iter().any(|noise| line.starts_with(noise)));
    // Tests that run beside each other report in any order.
    told.fold(0, |sum: u64, told| sum.wrapping_add(mix(1, bytes(line(told).as_bytes()))))
}

fn ends(text: &str) -> (&str, &str) {
    if text.len() <= 2 * LOOKED_AT {
        return (text, "");
    }
    let whole = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=LOOKED_AT).rev().find(whole).unwrap_or_default();
    let tail = (text.len() - LOOKED_AT..text.len()).find(whole).unwrap_or(text.len());
    (&text[..head], &text[tail..])
}

/// FNV-1a: the same on every machine, and fast enough for what is looked at.
fn bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn value(value: &Value, of_command: bool) -> u64 {
    match value {
        Value::Object(members) => {
            let told = members.iter().filter(|(name, value)| {
                let says_nothing = of_command && matches!(name.as_str(), "description" | "timeout");
                !value.is_null() && !says_nothing
            });
            told.fold(2, |sum: u64, (name, value)| sum.wrapping_add(mix(text(name), self::value(value, false))))
        }
        Value::Array(items) => items.iter().fold(3, |print, item| mix(print, self::value(item, false))),
        Value::String(string) => text(string.trim().trim_start_matches("./")),
        Value::Null | Value::Bool(_) | Value::Number(_) => text(&value.to_string()),
    }
}

/// A line with `#` for what differs from one time to the next.
fn line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let word_begins = !out.ends_with(|c: char| c.is_alphanumeric());
        let taken = if word_begins && first.is_ascii_alphanumeric() { noise(&out, rest) } else { None };
        match taken {
            Some(length) => {
                out.push('#');
                rest = &rest[length..];
            }
            None if word_begins && first.is_ascii_alphanumeric() => {
                let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// How much of `rest`, which begins a word after `before`, is noise.
fn noise(before: &str, rest: &str) -> Option<usize> {
    let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let in_temporary = ["/tmp/", "/tmp/.", "/T/", "/T/."].iter().any(|folder| before.ends_with(folder));
    if in_temporary || rest.starts_with("0x") && is_hex(&rest[2..word]) {
        return Some(word);
    }
    let has = |is: fn(&char) -> bool| rest[..word].chars().any(|c| is(&c));
    if word >= 8 && is_hex(&rest[..word]) && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) {
        return Some(word);
    }
    number(before, rest)
}

fn number(before: &str, rest: &str) -> Option<usize> {
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if digits == 0 {
        return None;
    }
    let part = |from: usize| rest[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - from);
    // A date or a time of day: digits with more behind `-` or `:`, twice or after a place in a file.
    let mut end = digits;
    let mut joints = 0;
    while rest[end..].starts_with(['-', ':', 'T', '.']) && part(end + 1) > 0 {
        joints += usize::from(rest[end..].starts_with(['-', ':']));
        end += 1 + part(end + 1);
    }
    if joints >= 2 || joints == 1 && digits == 2 && end == 5 {
        return Some(end);
    }
    let is_place =
        before.ends_with(':') && before.trim_end_matches(':').ends_with(|c: char| c.is_alphanumeric() || c == '#');
    let is_line = before.ends_with("line ") && rest[digits..].starts_with([',', ':']);
    let is_named = is_line || ["pid ", "PID ", "port "].iter().any(|name| before.ends_with(name));
    let is_process = before.ends_with(['(', '[']) && digits >= 4 && rest[digits..].starts_with([')', ']']);
    if is_place || is_named || is_process {
        return Some(digits);
    }
    let fraction = if rest[digits..].starts_with('.') { 1 + part(digits + 1) } else { 0 };
    let unit = rest[digits + fraction..].trim_start_matches(' ');
    let word = unit.find(|c: char| !c.is_alphabetic()).unwrap_or(unit.len());
    UNITS.contains(&&unit[..word]).then(|| rest.len() - unit.len() + word)
}
