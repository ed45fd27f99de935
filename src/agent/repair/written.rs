//! Calls that a model wrote into its text in place of calling: as XML in an explicit tag, or as JSON that is all it said.
//! A text that shows or explains such things, in a code fence or between other words, stays a text.

use serde_json::{Map, Value};

use super::{json, name};
use crate::agent::{Role, ToolCall};
use crate::ids::CallId;

/// Members under which models put the arguments.
const ARGUMENTS: [&str; 4] = ["arguments", "parameters", "input", "args"];
/// Tags around calls, which say nothing themselves.
const WRAPPERS: [&str; 8] = [
    "<function_calls>",
    "</function_calls>",
    "<tool_calls>",
    "</tool_calls>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<tool_call>",
    "</tool_call>",
];

/// The rest of the text and the calls in it; `None` when it has none.
pub(super) fn calls(role: Role, text: &str) -> Option<(String, Vec<ToolCall>)> {
    let trimmed = text.trim();
    if let Some(found) = as_json(role, json::without_fence(trimmed)) {
        return Some((String::new(), found));
    }
    if let Some(rest) = trimmed.strip_prefix("[TOOL_CALLS]") {
        return as_json(role, rest.trim()).map(|found| (String::new(), found));
    }
    let (mut rest, mut found, mut from) = (String::new(), Vec::new(), 0);
    for (at, form) in tags(text) {
        if at < from {
            continue;
        }
        let body = &text[at + form.open.len()..];
        let end = body.find(form.close);
        let (inside, next) = match end {
            Some(end) => (&body[..end], at + form.open.len() + end + form.close.len()),
            None => (body, text.len()),
        };
        rest.push_str(&text[from..at]);
        match (form.read)(inside, end.is_some()).filter(|written| name::resolve(role, &written.name).is_some()) {
            Some(written) => found.push(written.call()),
            None => rest.push_str(&text[at..next]),
        }
        from = next;
    }
    rest.push_str(&text[from..]);
    if found.is_empty() {
        return None;
    }
    WRAPPERS.iter().for_each(|wrapper| rest = rest.replace(wrapper, ""));
    Some((rest.trim().to_owned(), found))
}

/// A call as it was written.
struct Written {
    name: String,
    arguments: String,
    fault: Option<String>,
}

impl Written {
    fn call(self) -> ToolCall {
        let Self { name, arguments, fault } = self;
        ToolCall { id: CallId::new(""), name, arguments, fault }
    }

    /// Arguments as text, checked like those of a real call.
    fn checked(name: &str, arguments: &str) -> Self {
        let json::Checked { arguments, fault } = json::check(arguments, false, false);
        Self { name: name.trim().to_owned(), arguments, fault }
    }
}

/// A way of writing a call.
struct Form {
    open: &'static str,
    close: &'static str,
    /// Reads what stands between; `closed` says whether its end was there.
    read: fn(inside: &str, closed: bool) -> Option<Written>,
}

const FORMS: [Form; 4] = [
    Form { open: "<tool_call>", close: "</tool_call>", read: tool_call },
    Form { open: "<function=", close: "</function>", read: function },
    Form { open: "<invoke name=", close: "</invoke>", read: invoke },
    Form { open: "<|tool_call_begin|>", close: "<|tool_call_end|>", read: kimi },
];

/// The tags of a text that do not stand in code, a fence or backticks on their line, in order.
fn tags(text: &str) -> Vec<(usize, &'static Form)> {
    let (mut tags, mut fenced, mut begin) = (Vec::new(), false, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let mut quoted = false;
            for (at, c) in line.char_indices().filter(|(_, c)| matches!(c, '`' | '<')) {
                if c == '`' {
                    quoted = !quoted;
                } else if !quoted {
                    let form = FORMS.iter().find(|form| line[at..].starts_with(form.open));
                    tags.extend(form.map(|form| (begin + at, form)));
                }
            }
        }
        begin += line.len();
    }
    tags
}

/// `<tool_call>{"name": …, "arguments": …}</tool_call>`, or one of the other forms within.
fn tool_call(inside: &str, closed: bool) -> Option<Written> {
    let inside = inside.trim();
    for form in FORMS[1..].iter() {
        if let Some(body) = inside.strip_prefix(form.open) {
            let (body, closed) = body.split_once(form.close).map_or((body, closed), |(body, _)| (body, true));
            return (form.read)(body, closed);
        }
    }
    one(&json::value(inside)?)
}

/// `<function=Read>{…}</function>`, or with `<parameter=file_path>…</parameter>`.
fn function(inside: &str, closed: bool) -> Option<Written> {
    let (name, body) = inside.split_once('>')?;
    with_body(name, body, "<parameter=", closed)
}

/// `<invoke name="Read"><parameter name="file_path">…</parameter></invoke>`.
fn invoke(inside: &str, closed: bool) -> Option<Written> {
    let (name, body) = inside.split_once('>')?;
    with_body(name, body, "<parameter name=", closed)
}

/// `<|tool_call_begin|>functions.Read:0<|tool_call_argument_begin|>{…}<|tool_call_end|>`.
fn kimi(inside: &str, _closed: bool) -> Option<Written> {
    let (name, arguments) = inside.split_once("<|tool_call_argument_begin|>")?;
    Some(Written::checked(name, arguments))
}

fn with_body(name: &str, body: &str, opening: &str, closed: bool) -> Option<Written> {
    let name = name.trim().trim_matches(['"', '\'', '/']);
    let mut arguments = Map::new();
    let mut rest = body;
    while let Some((_, after)) = rest.split_once(opening) {
        let (key, after) = after.split_once('>')?;
        let Some((value, after)) = after.split_once("</parameter>") else { return Some(half(name)) };
        let key = key.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']);
        // Models put a line break after the tag and before its end.
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        arguments.insert(key.to_owned(), Value::String(value.to_owned()));
        rest = after;
    }
    if !closed {
        return Some(half(name));
    }
    if arguments.is_empty() {
        return Some(Written::checked(name, body));
    }
    Some(Written { name: name.to_owned(), arguments: Value::Object(arguments).to_string(), fault: None })
}

fn half(name: &str) -> Written {
    let fault = "Nothing was done: the call stands in your text and has no end. Call the tool, do not write the call.";
    Written { name: name.to_owned(), arguments: "{}".to_owned(), fault: Some(fault.to_owned()) }
}

/// The calls that a JSON text is, when it is nothing else and each is one of the role's tools.
fn as_json(role: Role, text: &str) -> Option<Vec<ToolCall>> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let value = json::value(text)?;
    let list = match &value {
        Value::Array(list) => list.as_slice(),
        Value::Object(object) => match object.get("tool_calls") {
            Some(Value::Array(list)) => list.as_slice(),
            _ => std::slice::from_ref(&value),
        },
        _ => return None,
    };
    let written: Option<Vec<Written>> = list.iter().map(one).collect();
    let written = written.filter(|written| !written.is_empty())?;
    let known = written.iter().all(|written| name::resolve(role, &written.name).is_some());
    known.then(|| written.into_iter().map(Written::call).collect())
}

/// `{"name": …, "arguments": …}`, and what else models write in its place. Both members must be there: any object may have
/// a name.
fn one(value: &Value) -> Option<Written> {
    let value = value.get("function").filter(|function| function.is_object()).unwrap_or(value);
    let name = ["name", "tool", "function", "tool_name"].iter().find_map(|key| value.get(*key)?.as_str())?;
    match ARGUMENTS.iter().find_map(|key| value.get(*key))? {
        Value::String(text) => Some(Written::checked(name, text)),
        arguments => Some(Written::checked(name, &arguments.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of the text, and each call with its arguments, or `!` when it must not run.
    fn found(text: &str) -> Option<(String, Vec<String>)> {
        let call = |call: ToolCall| match call.fault {
            None => format!("{} {}", call.name, call.arguments),
            Some(_) => format!("{} !", call.name),
        };
        calls(Role::Coder, text).map(|(rest, calls)| (rest, calls.into_iter().map(call).collect()))
    }

    #[test]
    fn calls_in_the_text_are_found() {
        let read = r#"Read {"file_path":"a"}"#;
        let json = r#"{"name":"Read","arguments":{"file_path":"a"}}"#;
        let cases = [
            (json.to_owned(), "", vec![read]),
            (format!("```json\n{json}\n```"), "", vec![read]),
            (format!("[{json},{json}]"), "", vec![read, read]),
            (format!(r#"{{"tool_calls":[{{"type":"function","function":{json}}}]}}"#), "", vec![read]),
            (r#"{"tool":"read","input":"{\"file_path\":\"a\"}"}"#.to_owned(), "", vec![r#"read {"file_path":"a"}"#]),
            (format!("[TOOL_CALLS] [{json}]"), "", vec![read]),
            (format!("I look.\n<tool_call>\n{json}\n</tool_call>"), "I look.", vec![read]),
            (format!("<tool_call>{json}</tool_call>\n<tool_call>{json}</tool_call> Done."), "Done.", vec![read, read]),
            (format!("<tool_call>\n{json}"), "", vec![read]),
            (r#"<function=Read>{"file_path":"a"}</function>"#.to_owned(), "", vec![read]),
            (
                "<tool_call>\n<function=Read>\n<parameter=file_path>\na\n</parameter>\n</function>\n</tool_call>".to_owned(),
                "",
                vec![read],
            ),
            (
                "So:<function_calls><invoke name=\"Read\">\n<parameter name=\"file_path\">a</parameter></invoke></function_calls>"
                    .to_owned(),
                "So:",
                vec![read],
            ),
            (
                "<|tool_calls_section_begin|><|tool_call_begin|>functions.Read:0<|tool_call_argument_begin|>{\"file_path\":\"a\"}<|tool_call_end|><|tool_calls_section_end|>"
                    .to_owned(),
                "",
                vec![r#"functions.Read:0 {"file_path":"a"}"#],
            ),
            ("<function=GitPush></function>".to_owned(), "", vec!["GitPush {}"]),
            ("<function=Write><parameter=content>half".to_owned(), "", vec!["Write !"]),
            ("<function=Write><parameter=content>x</parameter>".to_owned(), "", vec!["Write !"]),
            (r#"<function=Write>{"file_path":"a","content":"x</function>"#.to_owned(), "", vec!["Write !"]),
        ];
        for (text, rest, calls) in cases {
            let expected = Some((rest.to_owned(), calls.into_iter().map(str::to_owned).collect::<Vec<_>>()));
            assert_eq!(found(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_only_shows_or_explains_is_no_call() {
        let cases = [
            "Done.",
            r#"{"name":"Read"}"#,
            r#"{"name":"demo","arguments":{}}"#,
            r#"[{"name":"Read","arguments":{}},{"name":"demo","arguments":{}}]"#,
            r#"The call would be {"name":"Read","arguments":{"file_path":"a"}}."#,
            "Models write\n```\n<tool_call>{\"name\":\"Read\",\"arguments\":{}}</tool_call>\n```\nat times.",
            "They write `<function=Read>{}</function>` at times.",
            "<tool_call>{\"name\":\"demo\",\"arguments\":{}}</tool_call>",
            "<tool_call>no json</tool_call>",
            "<invoke name=\"demo\"></invoke>",
            "A <tool_call> is a tag.",
            "[1, 2]",
            "[]",
            "{}",
        ];
        for text in cases {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(calls(Role::Pm, r#"{"name":"Write","arguments":{"file_path":"a","content":"b"}}"#), None);
    }
}
