//! The arguments of a tool call as the model wrote them: checked, gently repaired, or replaced by `{}` with the fault in
//! words for the model. Guesses nothing: only what can mean one thing is repaired.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Arguments that are a JSON object, and why they are not the ones the model wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) arguments: String,
    pub(super) fault: Option<String>,
}

/// Checks the arguments of a call; `cut` says that the reply ended at the output limit.
pub(super) fn check(raw: &str, cut: bool) -> Checked {
    match object(raw) {
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
pub(super) fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

fn object(raw: &str) -> Result<Cow<'_, str>, String> {
    let text = without_fence(raw.trim());
    if text.is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(_)) => Ok(Cow::Borrowed(text)),
        Ok(Value::Null) => Ok(Cow::Borrowed("{}")),
        Ok(Value::String(inner)) if is_object(&inner) => Ok(Cow::Owned(inner)),
        Ok(other) => Err(format!("{}, not a JSON object", kind(&other))),
        Err(error) => Err(format!("not valid JSON ({error})")),
    }
}

/// The text inside a code fence, when it stands in one.
fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else { return text };
    inner.strip_prefix("json").unwrap_or(inner).trim()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
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
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
        ];
        for (raw, expected) in cases {
            assert_eq!(check(raw, false), Checked { arguments: expected.to_owned(), fault: None }, "{raw}");
        }
    }

    #[test]
    fn others_are_replaced_and_the_model_is_told_why() {
        let cases = [
            (r#"{"a":"#, "the call's arguments are not valid JSON (EOF while parsing a value at line 1 column 5)"),
            ("[1]", "the call's arguments are an array, not a JSON object"),
            ("\"ls\"", "the call's arguments are a text, not a JSON object"),
            (r#"{"a":"\ud800"}"#, "not valid JSON (unexpected end of hex escape at line 1 column 13)"),
            ("{a: 1}", "not valid JSON (key must be a string at line 1 column 2)"),
        ];
        for (raw, expected) in cases {
            let checked = check(raw, false);
            let fault = checked.fault.unwrap_or_default();
            assert!(fault.contains(expected), "{fault}");
            assert_eq!(checked.arguments, "{}");
        }
        assert!(check(r#"{"a":"#, true).fault.is_some_and(|fault| fault.contains("output limit")));
    }
}
