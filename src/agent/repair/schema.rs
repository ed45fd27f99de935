//! The JSON schema of a tool's arguments, as models are shown it and as arguments are fitted to it.
//!
//! Kept to what every provider understands: no references, titles, formats or null types.

use schemars::JsonSchema;
use serde_json::{Map, Value};

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
