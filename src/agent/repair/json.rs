//! Arguments as the model wrote them: a JSON object, or nearly one. What can mean one thing is taken; all else is replaced
//! by `{}` with the fault in words for the model.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::CharIndices;

use serde_json::{Map, Number, Value};

/// How deep objects and lists may stand in each other.
const DEEPEST: usize = 100;
/// How often arguments may be a text that holds the real ones.
const MOST_ENCODINGS: usize = 3;

/// Arguments that are a JSON object, and why they are not the ones the model wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// The object as JSON text.
    pub arguments: String,
    /// Why the call cannot run, for the model.
    pub fault: Option<String>,
}

/// Checks the arguments of a call. `cut` says that the reply ended at the output limit; `harmless`, that the tool changes
/// nothing, so that a missing last brace may be added: what could be lost with it does no harm.
pub fn check(raw: &str, cut: bool, harmless: bool) -> Checked {
    match object(raw, harmless && !cut) {
        Ok(arguments) => Checked { arguments: arguments.into_owned(), fault: None },
        Err(reason) => {
            let fault = if cut {
                "Nothing was done: the reply reached the output limit in the middle of this call. Make the call again \
                 with less in it, or split the work into several calls."
                    .to_owned()
            } else {
                format!("Nothing was done: the call's arguments are {reason}. Make the call again with valid JSON.")
            };
            Checked { arguments: "{}".to_owned(), fault: Some(fault) }
        }
    }
}

/// Whether a text is a complete JSON object.
pub fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

fn object(raw: &str, close: bool) -> Result<Cow<'_, str>, String> {
    let text = without_fence(raw.trim());
    if text.is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    let mut value = match serde_json::from_str(text) {
        Ok(Value::Object(_)) => return Ok(Cow::Borrowed(text)),
        Ok(value) => value,
        Err(strict) => Lenient::read(text, close).map_err(|reason| match reason {
            Some(reason) => reason,
            None if strict.is_eof() => "incomplete: they end in the middle".to_owned(),
            None => format!("not valid JSON ({strict})"),
        })?,
    };
    for _ in 0..MOST_ENCODINGS {
        let Value::String(inner) = &value else { break };
        let inner = without_fence(inner.trim());
        let Ok(next) = serde_json::from_str(inner).or_else(|_| Lenient::read(inner, false)) else { break };
        value = next;
    }
    match value {
        Value::Object(object) => Ok(Cow::Owned(Value::Object(object).to_string())),
        Value::Null => Ok(Cow::Borrowed("{}")),
        other => Err(format!("{}, not a JSON object", kind(&other))),
    }
}

/// A value that is nearly JSON.
pub(super) fn value(text: &str) -> Option<Value> {
    let text = without_fence(text.trim());
    serde_json::from_str(text).ok().or_else(|| Lenient::read(text, false).ok())
}

/// The text inside a code fence, when it stands in one.
pub(super) fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else { return text };
    let word = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
    inner[word..].trim()
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads JSON with single quotes, bare keys, comments, commas too many, raw control characters and escapes that are none.
/// Each of these can mean one thing only; a text that could mean two is refused.
struct Lenient<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    /// Whether the outermost object may lack its brace.
    close: bool,
}

/// Why it is refused; `None` when the strict parser's words say it better.
type Refused = Option<String>;

impl<'a> Lenient<'a> {
    fn read(text: &'a str, close: bool) -> Result<Value, Refused> {
        let mut lenient = Self { text, chars: text.char_indices().peekable(), close };
        let value = lenient.value(0)?;
        lenient.space()?;
        // Braces too many close nothing.
        while lenient.chars.next_if(|(_, c)| matches!(c, '}' | ']' | ';') || c.is_whitespace()).is_some() {}
        if lenient.chars.peek().is_some() { Err(None) } else { Ok(value) }
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.next_if(|(_, c)| *c == wanted).is_some()
    }

    /// Skips white space and comments.
    fn space(&mut self) -> Result<(), Refused> {
        loop {
            while self.chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            if self.peek() != Some('/') {
                return Ok(());
            }
            self.chars.next();
            match self.chars.next() {
                Some((_, '/')) => while self.chars.next_if(|(_, c)| *c != '\n').is_some() {},
                Some((_, '*')) => {
                    let mut before = ' ';
                    loop {
                        let Some((_, c)) = self.chars.next() else { return Err(None) };
                        if before == '*' && c == '/' {
                            break;
                        }
                        before = c;
                    }
                }
                _ => return Err(None),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Refused> {
        if depth > DEEPEST {
            return Err(Some("nested too deep".to_owned()));
        }
        self.space()?;
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"' | '\'') => self.string().map(Value::String),
            Some(_) => self.literal(),
            None => Err(None),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Refused> {
        self.chars.next();
        let mut object = Map::new();
        loop {
            self.space()?;
            if self.next_is('}') {
                return Ok(Value::Object(object));
            }
            let key = match self.peek() {
                Some('"' | '\'') => self.string()?,
                _ => self.word(),
            };
            self.space()?;
            if key.is_empty() || !self.next_is(':') {
                return Err(None);
            }
            let value = self.value(depth + 1)?;
            // A number that stands at the end may lack digits; nothing else can.
            let whole = !value.is_number();
            if object.insert(key.clone(), value).is_some() {
                return Err(Some(format!("ambiguous: `{}` is there twice", super::shortened(&key, super::SHOWN))));
            }
            self.space()?;
            if self.next_is(',') || self.peek() == Some('}') {
                continue;
            }
            let ended = self.peek().is_none() && depth == 0;
            return if ended && whole && self.close { Ok(Value::Object(object)) } else { Err(None) };
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Refused> {
        self.chars.next();
        let mut items = Vec::new();
        loop {
            self.space()?;
            if self.next_is(']') {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.space()?;
            if !self.next_is(',') && self.peek() != Some(']') {
                return Err(None);
            }
        }
    }

    /// Letters, digits and what names are made of.
    fn word(&mut self) -> String {
        let mut word = String::new();
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | '$');
        while let Some((_, c)) = self.chars.next_if(|(_, c)| part(*c)) {
            word.push(c);
        }
        word
    }

    fn literal(&mut self) -> Result<Value, Refused> {
        let word = self.word();
        match word.as_str() {
            "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
            "null" | "None" | "undefined" => Ok(Value::Null),
            _ => serde_json::from_str::<Number>(&word).map(Value::Number).map_err(|_| None),
        }
    }

    fn string(&mut self) -> Result<String, Refused> {
        let Some((_, quote)) = self.chars.next() else { return Err(None) };
        let mut text = String::new();
        loop {
            match self.chars.next() {
                None => return Err(None),
                Some((_, c)) if c == quote => return Ok(text),
                Some((at, '\\')) => self.escape(at, &mut text)?,
                Some((_, c)) => text.push(c),
            }
        }
    }

    /// What follows a backslash; one that escapes nothing stands for itself, as in `\d`.
    fn escape(&mut self, at: usize, text: &mut String) -> Result<(), Refused> {
        let Some((_, c)) = self.chars.next() else { return Err(None) };
        match c {
            '"' | '\'' | '\\' | '/' => text.push(c),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'u' => {
                let high = self.hex(at)?;
                let code = if (0xD800..0xDC00).contains(&high) {
                    let low = match (self.chars.next(), self.chars.next()) {
                        (Some((_, '\\')), Some((_, 'u'))) => self.hex(at)?,
                        _ => 0,
                    };
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(Some(lone(high)));
                    }
                    0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                } else {
                    high
                };
                text.push(char::from_u32(code).ok_or_else(|| Some(lone(code)))?);
            }
            other => {
                text.push('\\');
                text.push(other);
            }
        }
        Ok(())
    }

    fn hex(&mut self, at: usize) -> Result<u32, Refused> {
        let digits: String =
            (0..4).filter_map(|_| self.chars.next_if(|(_, c)| c.is_ascii_hexdigit())).map(|(_, c)| c).collect();
        let shown = || super::shortened(&self.text[at..], 6);
        u32::from_str_radix(&digits, 16)
            .ok()
            .filter(|_| digits.len() == 4)
            .ok_or_else(|| Some(format!("not valid JSON (`{}` is no character)", shown())))
    }
}

fn lone(code: u32) -> String {
    format!("not valid JSON (`\\u{code:04x}` is half a character; write the character itself)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_can_mean_one_thing_are_taken() {
        let cases = [
            ("", "{}"),
            (" \n", "{}"),
            ("null", "{}"),
            (r#"{"a": [1, 2]}"#, r#"{"a": [1, 2]}"#),
            (" {}\n", "{}"),
            ("```json\n{\"a\":1}\n```", r#"{"a":1}"#),
            ("```\n{}\n```", "{}"),
            ("```json5\n{a: 1}\n```", r#"{"a":1}"#),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (r#""\"{\\\"a\\\":1}\"""#, r#"{"a":1}"#),
            ("{'a': 'it is \"so\"'}", r#"{"a":"it is \"so\""}"#),
            (r#"{"a": 1, "b": [1, 2,],}"#, r#"{"a":1,"b":[1,2]}"#),
            ("{a: 1, -i: true}", r#"{"a":1,"-i":true}"#),
            ("{\"a\": 1 // one\n, /* two */ \"b\": 2}", r#"{"a":1,"b":2}"#),
            ("{\"a\": \"one\ntwo\tthree\"}", r#"{"a":"one\ntwo\tthree"}"#),
            (r#"{"a": "\d+\s"}"#, r#"{"a":"\\d+\\s"}"#),
            (r#"{"a": True, "b": None, "c": False}"#, r#"{"a":true,"b":null,"c":false}"#),
            (r#"{"a": 1}}"#, r#"{"a":1}"#),
            (r#"{'a': '\ud83d\ude00'}"#, r#"{"a":"😀"}"#),
        ];
        for (raw, expected) in cases {
            assert_eq!(check(raw, false, false), Checked { arguments: expected.to_owned(), fault: None }, "{raw}");
        }
    }

    #[test]
    fn others_are_replaced_and_the_model_is_told_why() {
        let deep = "[".repeat(100_000);
        let cases = [
            (r#"{"a":"#, "the call's arguments are incomplete: they end in the middle"),
            (r#"{"file_path":"a","content":"half"#, "incomplete: they end in the middle"),
            (r#"{"file_path":"a","content":"whole""#, "incomplete: they end in the middle"),
            ("[1]", "the call's arguments are an array, not a JSON object"),
            ("\"ls\"", "the call's arguments are a text, not a JSON object"),
            (r#"{"a":"\ud800"}"#, "`\\ud800` is half a character; write the character itself"),
            (r#"{"a":"\udc00\ud800"}"#, "`\\udc00` is half a character"),
            (r#"{"a":"\u12"}"#, "`\\u12\"}` is no character"),
            ("{'a': 1, 'a': 2}", "ambiguous: `a` is there twice"),
            ("{'a': 'it's'}", "not valid JSON (key must be a string at line 1 column 2)"),
            (r#"{"a":1}{"b":2}"#, "not valid JSON (trailing characters at line 1 column 8)"),
            ("read the file", "not valid JSON (expected value at line 1 column 1)"),
            (deep.as_str(), "nested too deep"),
        ];
        for (raw, expected) in cases {
            let checked = check(raw, false, false);
            let fault = checked.fault.unwrap_or_default();
            assert!(fault.contains(expected), "{fault}");
            assert!(fault.len() < 300, "{fault}");
            assert_eq!(checked.arguments, "{}");
        }
        assert!(check(r#"{"a":"#, true, true).fault.is_some_and(|fault| fault.contains("output limit")));
    }

    #[test]
    fn a_missing_brace_is_added_only_where_nothing_can_be_lost() {
        let cases = [
            (r#"{"file_path":"a""#, false, true, true),
            (r#"{"file_path":"a" "#, false, true, true),
            (r#"{"file_path":"a""#, false, false, false),
            (r#"{"file_path":"a""#, true, true, false),
            (r#"{"file_path":"a"#, false, true, false),
            (r#"{"file_path":"a","#, false, true, false),
            (r#"{"file_path":"a","offset":1"#, false, true, false),
            (r#"{"file_path":"a","offset":"#, false, true, false),
            (r#"{"a":{"b":"c""#, false, true, false),
            (r#"{"a":["b""#, false, true, false),
        ];
        for (raw, cut, harmless, taken) in cases {
            assert_eq!(check(raw, cut, harmless).fault.is_none(), taken, "{raw} {cut} {harmless}");
        }
    }
}
