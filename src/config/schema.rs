//! The JSON Schemas of the two files, for editors and for our own check.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::raw::{GlobalFile, RepoFile};

/// The global file's.
pub fn global() -> Value {
    of::<GlobalFile>()
}

/// A repository's.
pub fn repository() -> Value {
    of::<RepoFile>()
}

/// One that fits either file.
pub fn both() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "CodeButler's config.json, the global one or a repository's",
        "anyOf": [global(), repository()],
    })
}

/// Without references: `shape` walks the tree beside a file's.
fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
