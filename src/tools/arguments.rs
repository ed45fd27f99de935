//! Arguments of tools: their JSON schema as models are shown it, and reading what models write.
//!
//! The schema is kept to what every provider understands: no references, titles, formats or null types.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::{Map, Value};

use super::ToolError;
use crate::agent::ToolName;

/// Reads the arguments of a call. What does not fit is explained with the names the tool takes.
pub fn parse<T: DeserializeOwned + JsonSchema>(tool: ToolName, arguments: &str) -> Result<T, ToolError> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    serde_json::from_str(text).map_err(|fault| {
        ToolError::ForModel(format!(
            "The arguments of `{tool}` do not fit: {fault}. Nothing was done. It takes {}.",
            names(&schema_of::<T>())
        ))
    })
}

/// ``file_path (required), `offset`, `limit` `` from a schema.
fn names(schema: &Value) -> String {
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

/// The schema of an argument type, as it stands in the tool list.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    clean(&mut schema);
    // The type's own doc comment is for readers of the code; the model has the description.
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("description");
        schema.entry("properties").or_insert_with(|| Map::new().into());
    }
    schema
}

/// Takes out what models do not need and some providers refuse.
fn clean(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    // Of `additionalProperties` models take no notice, and it is paid for in every request: the answer to a wrong name
    // says the right ones.
    for noise in ["title", "format", "default", "minimum", "$schema", "additionalProperties"] {
        object.remove(noise);
    }
    drop_null(object);
    join_constants(object);
    if let Some(description) = object.get_mut("description")
        && let Some(text) = description.as_str()
    {
        *description = text.split_whitespace().collect::<Vec<_>>().join(" ").into();
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(clean);
    }
    if let Some(items) = object.get_mut("items") {
        clean(items);
    }
}

/// An optional argument is left out, never null.
fn drop_null(object: &mut Map<String, Value>) {
    if let Some(types) = object.get_mut("type")
        && let Some(names) = types.as_array_mut()
    {
        names.retain(|name| name != "null");
        if let [only] = names.as_slice() {
            *types = only.clone();
        }
    }
    let Some(Value::Array(variants)) = object.get_mut("anyOf") else { return };
    variants.retain(|variant| variant.get("type").is_none_or(|name| name != "null"));
    if let [Value::Object(only)] = variants.as_mut_slice() {
        let only = std::mem::take(only);
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// `oneOf` of documented constants becomes a plain `enum`.
fn join_constants(object: &mut Map<String, Value>) {
    let constants: Option<Vec<Value>> =
        list(&Value::Object(object.clone()), "oneOf").iter().map(|variant| variant.get("const").cloned()).collect();
    if let Some(constants) = constants.filter(|constants| !constants.is_empty()) {
        object.remove("oneOf");
        object.insert("type".to_owned(), "string".into());
        object.insert("enum".to_owned(), constants.into());
    }
}

/// A number that may come as text (`"10"`) or as a float (`10.0`), as some models write it.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let number = match &value {
        Value::Number(number) => number.as_f64().filter(|float| float.fract() == 0.0 && *float >= 0.0),
        Value::String(text) => text.trim().parse::<u32>().ok().map(f64::from),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative; saturates")]
    number
        .map(|number| Some(number as u64))
        .ok_or_else(|| D::Error::custom(format!("{value} is no whole number from 0")))
}

/// A switch that may come as text (`"true"`).
pub fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(switch)) => Ok(Some(switch)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(other) => Err(D::Error::custom(format!("{other} is neither true nor false"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::thread::plan::Plan;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        /// A path,
        /// in two lines.
        path: String,
        #[serde(default, deserialize_with = "number")]
        count: Option<u64>,
        #[serde(default, deserialize_with = "switch")]
        deep: Option<bool>,
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        /// The first.
        OneThing,
        /// The second.
        Other,
    }

    #[test]
    fn the_schema_has_no_noise() {
        assert_eq!(
            schema_of::<Sample>(),
            json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "A path, in two lines."},
                    "count": {"type": "integer"},
                    "deep": {"type": "boolean"},
                    "kind": {"type": "string", "enum": ["one_thing", "other"]},
                },
                "required": ["path"],
            })
        );
    }

    #[test]
    fn nested_objects_are_inlined() {
        let schema = schema_of::<Plan>();
        assert_eq!(schema["properties"]["steps"]["items"]["required"], json!(["text"]));
        assert!(!schema.to_string().contains("$ref"), "{schema}");
    }

    #[test]
    fn numbers_and_switches_may_come_as_text() {
        let sample = |text| parse::<Sample>(ToolName::Read, text).map(|sample| (sample.count, sample.deep));
        assert_eq!(sample(r#"{"path":"a","count":"10","deep":"true"}"#), Ok((Some(10), Some(true))));
        assert_eq!(sample(r#"{"path":"a","count":10.0,"deep":false}"#), Ok((Some(10), Some(false))));
        assert_eq!(sample(r#"{"path":"a","count":null,"deep":null,"kind":null}"#), Ok((None, None)));
        assert_eq!(sample(r#"{"path":"a"}"#), Ok((None, None)));
    }

    #[test]
    fn what_does_not_fit_is_explained_with_the_names() {
        let fault = |text: &str| parse::<Sample>(ToolName::Read, text).expect_err("does not fit").to_string();
        let takes = "Nothing was done. It takes `path` (required), `count`, `deep`, `kind`.";
        for (text, reason) in [
            ("", "missing field `path`"),
            ("{}", "missing field `path`"),
            (r#"{"path":"a","count":"x"}"#, "\"x\" is no whole number from 0"),
            (r#"{"path":"a","count":-1}"#, "-1 is no whole number from 0"),
            (r#"{"path":"a","count":1.5}"#, "1.5 is no whole number from 0"),
            (r#"{"path":"a","deep":"perhaps"}"#, "\"perhaps\" is neither true nor false"),
            (r#"{"path":"a","file":"b"}"#, "unknown field `file`"),
            (r#"{"path":"#, "EOF"),
        ] {
            let fault = fault(text);
            assert!(fault.contains(reason) && fault.ends_with(takes), "{text}: {fault}");
        }
    }
}
