//! Big values apart: in a stored event each text over 16 KB is replaced by the hash of a blob, and put back when read.
//! The core never sees this.

use std::fmt::Write as _;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::StoreError;

/// Texts longer than this many bytes become blobs.
const LIMIT: usize = 16 * 1024;

/// The key that marks a blob in stored JSON.
const MARK: &str = "$blob";

/// The JSON text to store for `body`, its big texts written to the blobs.
pub(super) fn outline(connection: &Connection, body: String) -> Result<String, StoreError> {
    if body.len() <= LIMIT {
        return Ok(body);
    }
    let mut value: Value = serde_json::from_str(&body)?;
    put(connection, &mut value)?;
    Ok(serde_json::to_string(&value)?)
}

/// The JSON text as it was before [`outline`].
pub(super) fn inline(connection: &Connection, body: String) -> Result<String, StoreError> {
    if !body.contains(MARK) {
        return Ok(body);
    }
    let mut value: Value = serde_json::from_str(&body)?;
    take(connection, &mut value)?;
    Ok(serde_json::to_string(&value)?)
}

fn put(connection: &Connection, value: &mut Value) -> Result<(), StoreError> {
    match value {
        Value::String(text) if text.len() > LIMIT => {
            let hash = hash(text.as_bytes());
            connection
                .prepare_cached("INSERT OR IGNORE INTO blobs (hash, content) VALUES (?1, ?2)")?
                .execute(params![hash, text.as_bytes()])?;
            *value = serde_json::json!({ MARK: hash, "bytes": text.len() });
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| put(connection, item))?,
        Value::Object(fields) => fields.values_mut().try_for_each(|field| put(connection, field))?,
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn take(connection: &Connection, value: &mut Value) -> Result<(), StoreError> {
    match value {
        Value::Object(fields) => {
            let hash = match (fields.len(), fields.get(MARK)) {
                (2, Some(Value::String(hash))) => hash.clone(),
                _ => return fields.values_mut().try_for_each(|field| take(connection, field)),
            };
            let content: Option<Vec<u8>> = connection
                .prepare_cached("SELECT content FROM blobs WHERE hash = ?1")?
                .query_row([&hash], |row| row.get(0))
                .optional()?;
            // A text that merely looks like a mark, for example in a tool's output, has no blob and stays.
            if let Some(text) = content.and_then(|content| String::from_utf8(content).ok()) {
                *value = Value::String(text);
            }
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| take(connection, item))?,
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
