//! Holds a file's tree against its JSON Schema: unknown keys, wrong types, values out of range, all at once.
//!
//! What is wrong is taken out of the tree, so that the rest can still be read and checked. It understands what
//! schemars makes of `raw.rs` and no more: the schema that editors get is the one that is enforced.

use serde_json::{Map, Value};

use super::problem::Problems;

/// What is wrong with a value, and what to do.
type Fault = (String, String);

/// Checks one file. `elsewhere` are the keys that the other file has at its top.
pub(super) fn check(tree: &mut Value, schema: &Value, elsewhere: &Elsewhere<'_>, problems: &mut Problems<'_>) {
    Shape { elsewhere, problems }.value(tree, schema, "");
}

/// The other file: what it is called and which keys it has at its top.
pub(super) struct Elsewhere<'a> {
    /// Its name in a sentence.
    pub(super) file: &'static str,
    /// Its schema.
    pub(super) schema: &'a Value,
}

/// `slack` and `botToken` make `slack.botToken`.
pub(super) fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

struct Shape<'s, 'p, 'f> {
    elsewhere: &'s Elsewhere<'s>,
    problems: &'p mut Problems<'f>,
}

impl Shape<'_, '_, '_> {
    /// Checks a value; `false` means that it cannot stay.
    fn value(&mut self, value: &mut Value, schema: &Value, key: &str) -> bool {
        let schema = resolve(schema);
        if let Some((what, fix)) = fault(value, schema) {
            match key {
                "" => self.problems.unreadable(what, fix),
                _ => self.problems.add(key, what, fix),
            }
            return false;
        }
        match value {
            Value::Object(map) => self.object(map, schema, key),
            Value::Array(items) => {
                let mut index = 0;
                items.retain_mut(|item| {
                    let stays = self.value(item, &schema["items"], &format!("{key}[{index}]"));
                    index += 1;
                    stays
                });
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        true
    }

    fn object(&mut self, map: &mut Map<String, Value>, schema: &Value, key: &str) {
        // `null` says the same as leaving the key out.
        map.retain(|name, value| {
            let path = join(key, name);
            if let Some(known) = schema["properties"].get(name) {
                return !value.is_null() && self.value(value, known, &path);
            }
            match &schema["additionalProperties"] {
                free @ Value::Object(_) => !value.is_null() && self.value(value, free, &path),
                _ => {
                    let fix = self.place_for(name, key, schema);
                    self.problems.add(path, "is not a known key", fix);
                    false
                }
            }
        });
    }

    /// Where an unknown key may have been meant to go.
    fn place_for(&self, name: &str, key: &str, schema: &Value) -> String {
        let known: Vec<&str> =
            schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let nearest = nearest(name, &known);
        let in_other_file = if key.is_empty() {
            self.elsewhere.schema["properties"].get(name).is_some()
        } else {
            let section = &self.elsewhere.schema["properties"][key.split('.').next().unwrap_or(key)];
            !key.contains('.') && section["properties"].get(name).is_some()
        };
        match nearest {
            _ if in_other_file => format!("move it to {}", self.elsewhere.file),
            Some(nearest) => format!("the nearest known key is `{nearest}`; known here: {}", known.join(", ")),
            None => "remove it".to_owned(),
        }
    }
}

/// Sees through "this or null".
fn resolve(schema: &Value) -> &Value {
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    choices.into_iter().find(|choice| choice["type"] != "null").unwrap_or(schema)
}

/// The known key that looks most like `name`.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_lowercase();
    known.iter().copied().min_by_key(|key| strsim::damerau_levenshtein(&key.to_lowercase(), &name))
}

/// What is wrong with a value itself, whatever it holds.
fn fault(value: &Value, schema: &Value) -> Option<Fault> {
    let words = choices(schema);
    if !words.is_empty() {
        return (!words.contains(&value)).then(|| {
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            (format!("must be one of {}", words.join(", ")), "write one of them, in quotation marks".to_owned())
        });
    }
    let expected = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    }?;
    let fits = match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        _ => value.is_number(),
    };
    if !fits {
        let (expected, example) = name_of_type(expected);
        return Some((format!("must be {expected}, but is {}", kind_of(value)), format!("write {example}")));
    }
    out_of_range(value, schema)
}

fn out_of_range(value: &Value, schema: &Value) -> Option<Fault> {
    let number = value.as_f64()?;
    let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
        return None;
    }
    let range = match (least, most) {
        (Some(least), Some(most)) => format!("from {least} to {most}"),
        (Some(least), None) => format!("from {least} upwards"),
        (None, most) => format!("up to {}", most.unwrap_or_default()),
    };
    Some((format!("is {value}, which is out of range"), format!("write a number {range}")))
}

/// The words of an enumeration, in both forms that schemars writes.
fn choices(schema: &Value) -> Vec<&Value> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().filter_map(|choice| choice.get("const"));
    listed.chain(described).collect()
}

fn name_of_type(schema_type: &str) -> (&'static str, &'static str) {
    match schema_type {
        "object" => ("an object", "{ … }"),
        "array" => ("a list", "[ … ]"),
        "string" => ("a text", "it in quotation marks"),
        "boolean" => ("true or false", "true or false, without quotation marks"),
        "integer" => ("a whole number", "it without quotation marks and without a point"),
        _ => ("a number", "it without quotation marks"),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a point",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
