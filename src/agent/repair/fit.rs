//! Brings the members of arguments to the types that a schema asks for, where they can mean one thing: `"5"` for 5, a text
//! for a list of texts, one object for a list of them. What does not fit is named with what was expected and what came.

use serde_json::{Map, Value};

use super::json;
use super::{SHOWN, shortened};

/// The largest whole number that a float holds exactly.
const MOST: f64 = 9_007_199_254_740_992.0;

/// The value as the schema wants it, or why it is not.
pub(super) fn fit(schema: &Value, value: Value) -> Result<Value, String> {
    member(schema, value, "the arguments")
}

/// The value without members that the schema does not know, but for long ones: some tools take no notice of them.
pub(super) fn without_unknown(schema: &Value, value: Value, short: usize) -> Value {
    let empty = Map::new();
    match value {
        Value::Object(object) => {
            let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
            let written: Vec<String> = object.keys().cloned().collect();
            let kept = object.into_iter().filter_map(|(name, value)| match known_name(properties, &name, &written) {
                Some(known) => {
                    let schema = properties.get(known).unwrap_or(&Value::Null);
                    Some((name, without_unknown(schema, value, short)))
                }
                None => (value.to_string().len() > short).then_some((name, value)),
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            Value::Array(items.into_iter().map(|item| without_unknown(schema, item, short)).collect())
        }
        other => other,
    }
}

/// ``file_path (required), `offset`, `limit` `` from a schema.
pub fn names(schema: &Value) -> String {
    let required: Vec<&str> = list(schema, "required").iter().filter_map(Value::as_str).collect();
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|map| !map.is_empty()) else {
        return "no arguments".to_owned();
    };
    let optional = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
    let required = required.iter().map(|name| format!("`{name}` (required)"));
    required.chain(optional.map(|name| format!("`{name}`"))).collect::<Vec<_>>().join(", ")
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn member(schema: &Value, value: Value, path: &str) -> Result<Value, String> {
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => string(schema, value, path),
        Some("integer") => integer(value, path),
        Some("boolean") => boolean(value, path),
        Some("array") => array(schema.get("items").unwrap_or(&Value::Null), value, path),
        Some("object") => object(schema, value, path),
        Some(_) | None => Ok(value),
    }
}

fn wrong(path: &str, expected: &str, value: &Value) -> String {
    format!("{path} must be {expected}, not {}", shown(value))
}

/// What came, in few words.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", shortened(text, SHOWN)),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => json::kind(value).to_owned(),
    }
}

fn string(schema: &Value, value: Value, path: &str) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(switch) => switch.to_string(),
        Value::Array(mut items) if items.len() == 1 && items[0].is_string() => return Ok(items.remove(0)),
        other => return Err(wrong(path, "a text", &other)),
    };
    let choices: Vec<&str> = list(schema, "enum").iter().filter_map(Value::as_str).collect();
    if choices.is_empty() || choices.contains(&text.as_str()) {
        return Ok(Value::String(text));
    }
    let plain = plain(&text);
    match choices.iter().find(|choice| self::plain(choice) == plain) {
        Some(choice) => Ok(Value::String((*choice).to_owned())),
        None => {
            let choices = choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ");
            Err(wrong(path, &format!("one of {choices}"), &Value::String(text)))
        }
    }
}

/// A name without case and separators.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn integer(value: Value, path: &str) -> Result<Value, String> {
    let number = match &value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<u32>().ok().map(f64::from),
        _ => None,
    };
    let whole = number.filter(|number| number.fract() == 0.0 && (0.0..=MOST).contains(number));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
    whole.map(|number| Value::from(number as u64)).ok_or_else(|| wrong(path, "a whole number from 0", &value))
}

fn boolean(value: Value, path: &str) -> Result<Value, String> {
    match &value {
        Value::Bool(_) => Ok(value),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        _ => Err(wrong(path, "true or false", &value)),
    }
}

fn array(items: &Value, value: Value, path: &str) -> Result<Value, String> {
    let of_objects = items.get("type").and_then(Value::as_str) == Some("object");
    let list = match value {
        Value::Array(list) => list,
        Value::Object(_) if of_objects => vec![value],
        Value::String(text) => match json::value(&text) {
            Some(Value::Array(list)) => list,
            Some(object @ Value::Object(_)) if of_objects => vec![object],
            _ if of_objects && only_text(items).is_none() => {
                return Err(wrong(path, "a list of objects", &Value::String(text)));
            }
            _ => vec![Value::String(text)],
        },
        other => return Err(wrong(path, "a list", &other)),
    };
    let path = path.trim_matches('`');
    let each = list.into_iter().enumerate();
    each.map(|(index, item)| member(items, item, &format!("`{path}[{index}]`"))).collect()
}

/// The one text that an object cannot do without, when that is all it cannot do without.
fn only_text(schema: &Value) -> Option<&str> {
    let [only] = list(schema, "required") else { return None };
    let only = only.as_str()?;
    let of_text = schema.get("properties")?.get(only)?.get("type")?.as_str()? == "string";
    of_text.then_some(only)
}

fn object(schema: &Value, value: Value, path: &str) -> Result<Value, String> {
    let object = match value {
        Value::Object(object) => object,
        Value::String(text) => match (json::value(&text), only_text(schema)) {
            (Some(Value::Object(object)), _) => object,
            (_, Some(name)) => Map::from_iter([(name.to_owned(), Value::String(text))]),
            (_, None) => return Err(wrong(path, "an object", &Value::String(text))),
        },
        other => return Err(wrong(path, "an object", &other)),
    };
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required = |name: &str| list(schema, "required").iter().any(|known| known == name);
    let at = |name: &str| match path.trim_matches('`') {
        "the arguments" => format!("`{name}`"),
        path => format!("`{path}.{name}`"),
    };
    let written: Vec<String> = object.keys().cloned().collect();
    let mut fitted = Map::new();
    for (name, value) in object {
        let known = known_name(properties, &name, &written);
        let Some((name, schema)) = known.and_then(|known| Some((known, properties.get(known)?))) else {
            if value.is_null() {
                continue;
            }
            return Err(format!("unknown field {}", at(&shortened(&name, SHOWN))));
        };
        // What may be left out may be null.
        if value.is_null() && !required(name) {
            continue;
        }
        fitted.insert(name.to_owned(), member(schema, value, &at(name))?);
    }
    let missing = properties.keys().find(|name| required(name) && !fitted.contains_key(*name));
    missing.map_or(Ok(Value::Object(fitted)), |name| Err(format!("missing field {}", at(name))))
}

/// The member that a name means: its own, or one that differs by case and separators only and was not written itself.
fn known_name<'a>(properties: &'a Map<String, Value>, name: &str, written: &[String]) -> Option<&'a str> {
    if let Some((known, _)) = properties.get_key_value(name) {
        return Some(known);
    }
    let wanted = plain(name);
    let alike = |name: &&String| plain(name) == wanted;
    let mut meant = properties.keys().filter(alike);
    let rivals = written.iter().filter(alike).count();
    match (meant.next(), meant.next()) {
        (Some(only), None) if rivals == 1 && !wanted.is_empty() => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::repair::{read, schema_of};
    use crate::thread::plan::{Plan, Todo};

    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        file_path: String,
        #[serde(default)]
        offset: Option<u64>,
        #[serde(default)]
        deep: Option<bool>,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        todos: Vec<Todo>,
        #[serde(default, rename = "-i")]
        i: Option<bool>,
    }

    #[test]
    fn members_that_can_mean_one_thing_are_brought_to_their_type() {
        let cases = [
            (r#"{"file_path":5}"#, json!({"file_path": "5"})),
            (r#"{"filePath":"a"}"#, json!({"file_path": "a"})),
            (r#"{"File-Path":["a"]}"#, json!({"file_path": "a"})),
            (r#"{"file_path":"a","offset":" 10 "}"#, json!({"file_path": "a", "offset": 10})),
            (r#"{"file_path":"a","offset":10.0}"#, json!({"file_path": "a", "offset": 10})),
            (r#"{"file_path":"a","offset":null,"extra":null}"#, json!({"file_path": "a"})),
            (r#"{"file_path":"a","deep":"True"}"#, json!({"file_path": "a", "deep": true})),
            (r#"{"file_path":"a","tags":"x"}"#, json!({"file_path": "a", "tags": ["x"]})),
            (r#"{"file_path":"a","tags":"[\"x\",\"y\"]"}"#, json!({"file_path": "a", "tags": ["x", "y"]})),
            (r#"{"file_path":"a","tags":[1,true]}"#, json!({"file_path": "a", "tags": ["1", "true"]})),
            (
                r#"{"file_path":"a","todos":{"content":"c","status":"In Progress"}}"#,
                json!({"file_path": "a", "todos": [{"content": "c", "status": "in_progress"}]}),
            ),
            (
                r#"{"file_path":"a","todos":"[{'content': 'c', 'status': 'PENDING'}]"}"#,
                json!({"file_path": "a", "todos": [{"content": "c", "status": "pending"}]}),
            ),
            (r#""{\"file_path\":\"a\"}""#, json!({"file_path": "a"})),
        ];
        for (text, expected) in cases {
            let value = serde_json::from_str(text).expect("is JSON");
            assert_eq!(fit(&schema_of::<Sample>(), value), Ok(expected), "{text}");
            assert!(read::<Sample>("Sample", text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_plan_in_other_words_is_still_the_plan() {
        let text = r#"{"title":"t","workflow":"w","summary":"s","steps":["do it",{"text":"x","files":"a:1"}],
                       "files":"a","acceptance":"it works","risks":null}"#;
        let plan = read::<Plan>("ProposePlan", text).expect("can mean one thing");
        assert_eq!(plan.steps[0].text, "do it");
        assert_eq!((plan.steps[1].files.as_slice(), plan.files.len()), (&["a:1".to_owned()][..], 1));
        assert_eq!(plan.acceptance, ["it works"]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_was_expected_and_what_came() {
        let long = format!(r#"{{"file_path":"a","offset":"{}"}}"#, "x".repeat(1_000_000));
        let wide = format!(r#"{{"file_path":"a","{}":1}}"#, "k".repeat(10_000));
        let cases = [
            ("", "missing field `file_path`"),
            (r#"{"file_path":null}"#, "`file_path` must be a text, not null"),
            (r#"{"file_path":{}}"#, "`file_path` must be a text, not an object"),
            (r#"{"file_path":"a","offset":"five"}"#, "`offset` must be a whole number from 0, not \"five\""),
            (r#"{"file_path":"a","offset":1.5}"#, "`offset` must be a whole number from 0, not 1.5"),
            (r#"{"file_path":"a","deep":1}"#, "`deep` must be true or false, not 1"),
            (r#"{"file_path":"a","append":true}"#, "unknown field `append`"),
            (r#"{"file_path":"a","file_path":"b"}"#, "duplicate field `file_path`"),
            (r#"{"file_path":"a","filePath":"b"}"#, "unknown field `filePath`"),
            (r#"{"file_path":"a","todos":"x"}"#, "`todos` must be a list of objects, not \"x\""),
            (
                r#"{"file_path":"a","todos":[{"content":"c","status":"later"}]}"#,
                "`todos[0].status` must be one of `pending`, `in_progress`, `completed`, not \"later\"",
            ),
            (r#"{"file_path":"a","todos":[{"content":"c"}]}"#, "missing field `todos[0].status`"),
            ("[]", "the arguments must be an object, not an array"),
            (long.as_str(), "`offset` must be a whole number from 0, not \"xxx"),
            (wide.as_str(), "unknown field `kkk"),
        ];
        for (text, expected) in cases {
            let fault = read::<Sample>("Sample", text).expect_err(text);
            assert!(fault.contains(expected), "{fault}");
            assert!(
                fault.ends_with(
                    "Nothing was done. It takes `file_path` (required), `offset`, `deep`, `tags`, `todos`, `-i`."
                ),
                "{fault}"
            );
            assert!(fault.len() < 500, "{}", fault.len());
        }
    }
}
