//! Arguments of tools: reading what models write. The core knows the schema and mends what it can (`agent::repair`).

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

use super::ToolError;
pub use crate::agent::repair::schema_of;
use crate::agent::{ToolName, repair};

/// Reads the arguments of a call. What does not fit is explained with the names the tool takes.
pub fn parse<T: DeserializeOwned + JsonSchema>(tool: ToolName, arguments: &str) -> Result<T, ToolError> {
    repair::read(tool.as_str(), arguments).map_err(ToolError::ForModel)
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
            (r#"{"path":"a","count":"x"}"#, "`count` must be a whole number from 0, not \"x\""),
            (r#"{"path":"a","count":-1}"#, "a whole number from 0, not -1"),
            (r#"{"path":"a","count":1.5}"#, "a whole number from 0, not 1.5"),
            (r#"{"path":"a","deep":"perhaps"}"#, "`deep` must be true or false, not \"perhaps\""),
            (r#"{"path":"a","file":"b"}"#, "unknown field `file`"),
            (r#"{"path":"#, "EOF"),
        ] {
            let fault = fault(text);
            assert!(fault.contains(reason) && fault.ends_with(takes), "{text}: {fault}");
        }
    }
}
