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

/// A JSON text as it is stored, and the big texts that were taken out of it.
#[derive(Debug)]
pub(super) struct Outlined {
    /// The JSON text.
    pub(super) body: String,
    blobs: Vec<(String, String)>,
}

/// Takes the big texts out of `body`. Done by the caller, not by the store's thread: it may be megabytes.
pub(super) fn outline(body: String) -> Result<Outlined, StoreError> {
    let mut blobs = Vec::new();
    if body.len() <= LIMIT {
        return Ok(Outlined { body, blobs });
    }
    let mut value: Value = serde_json::from_str(&body)?;
    take_out(&mut value, &mut blobs);
    Ok(Outlined { body: serde_json::to_string(&value)?, blobs })
}

/// Writes what [`outline`] took out.
pub(super) fn put(connection: &Connection, outlined: &Outlined) -> Result<(), StoreError> {
    for (hash, text) in &outlined.blobs {
        connection
            .prepare_cached("INSERT OR IGNORE INTO blobs (hash, content) VALUES (?1, ?2)")?
            .execute(params![hash, text.as_bytes()])?;
    }
    Ok(())
}

/// The JSON text as it was before [`outline`].
pub(super) fn inline(connection: &Connection, body: String) -> Result<String, StoreError> {
    if !body.contains(MARK) {
        return Ok(body);
    }
    let mut value: Value = serde_json::from_str(&body)?;
    put_back(connection, &mut value)?;
    Ok(serde_json::to_string(&value)?)
}

/// A text of a stored event, which may be a mark.
pub(super) fn text(connection: &Connection, stored: &Value) -> Result<Option<String>, StoreError> {
    let mut value = stored.clone();
    put_back(connection, &mut value)?;
    Ok(match value {
        Value::String(text) => Some(text),
        _ => None,
    })
}

fn take_out(value: &mut Value, blobs: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if text.len() > LIMIT => {
            let hash = hash(text.as_bytes());
            let mark = serde_json::json!({ MARK: hash, "bytes": text.len() });
            blobs.push((hash, std::mem::take(text)));
            *value = mark;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| take_out(item, blobs)),
        Value::Object(fields) => fields.values_mut().for_each(|field| take_out(field, blobs)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn put_back(connection: &Connection, value: &mut Value) -> Result<(), StoreError> {
    match value {
        Value::Object(fields) => {
            let hash = match (fields.len(), fields.get(MARK)) {
                (2, Some(Value::String(hash))) => hash.clone(),
                _ => return fields.values_mut().try_for_each(|field| put_back(connection, field)),
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
        Value::Array(items) => items.iter_mut().try_for_each(|item| put_back(connection, item))?,
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// The name of a blob.
pub(super) fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
