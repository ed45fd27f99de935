//! Malformed calls of models: repaired where they can mean one thing, else answered with one short error. Never guessed.
//!
//! `json` reads arguments that are nearly JSON, `fit` brings members to the types that a tool takes, `name` finds the tool
//! that a name means, `written` finds calls that stand in the text, `settle` does what concerns a whole reply, and `long` leaves out of it
//! what would only fill the conversation. Pure.

mod fit;
mod json;
mod long;
mod name;
mod schema;
mod settle;
mod written;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use fit::names;
pub use json::{check, is_object};
pub use name::unknown_tool;
pub use schema::schema_of;
pub use settle::{MOST_KEPT, settle};

/// How much of what a model wrote is shown to it again, in characters.
const SHOWN: usize = 60;
/// The longest reason, in characters.
const LONGEST_REASON: usize = 300;

/// Reads the arguments of a call, by the schema where they are not quite what the tool takes. The error is for the model:
/// the member, what was expected and what came, and the names that the tool takes.
pub fn read<T: DeserializeOwned + schemars::JsonSchema>(tool: &str, arguments: &str) -> Result<T, String> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let error = match serde_json::from_str::<T>(text) {
        Ok(read) => return Ok(read),
        Err(error) => error.to_string(),
    };
    let schema = schema_of::<T>();
    let fitted = match serde_json::from_str::<Value>(text) {
        // Two members of one name mean two things.
        Ok(value) if !error.starts_with("duplicate field") => fit::fit(&schema, value),
        Ok(_) | Err(_) => Err(error),
    };
    let read = fitted.and_then(|value| serde_json::from_value::<T>(value).map_err(|error| error.to_string()));
    read.map_err(|reason| misfit(tool, &reason, &schema))
}

/// What a model is told whose arguments do not fit.
fn misfit(tool: &str, reason: &str, schema: &Value) -> String {
    let (tool, reason) = (shortened(tool, SHOWN), shortened(reason, LONGEST_REASON));
    format!("The arguments of `{tool}` do not fit: {reason}. Nothing was done. It takes {}.", names(schema))
}

/// The beginning of a text on one line, marked when it is not all.
fn shortened(text: &str, chars: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(chars).map(clean).collect();
    if text.chars().nth(chars).is_some() {
        short.push('…');
    }
    short
}
