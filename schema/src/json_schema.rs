//! JSON Schema (draft 2020-12) of the four kinds, for editors.
//!
//! Made from the types and their docstrings, so that an editor says what this crate says. It can't say what only the
//! whole repo knows; `berth check` does.

pub(crate) mod written;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use crate::domain::Domain;
use crate::kind::Kind;
use crate::platform::Platform;
use crate::server::Server;
use crate::user::User;

/// The JSON Schema of a kind of file.
pub fn json_schema(kind: Kind) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        // A file of each kind is one screen; references would only make the editor's hover worse.
        settings.inline_subschemas = true;
        settings.transforms.push(Box::new(RecursiveTransform(tidy)));
    });
    let generator = settings.into_generator();
    let mut schema = match kind {
        Kind::Platform => generator.into_root_schema_for::<Platform>(),
        Kind::User => generator.into_root_schema_for::<User>(),
        Kind::Server => generator.into_root_schema_for::<Server>(),
        Kind::Domain => generator.into_root_schema_for::<Domain>(),
    };
    let title = match kind {
        Kind::Platform => "platform.toml: the settings of the whole platform",
        Kind::User => "users/<user>.toml: a member",
        Kind::Server => "servers/<name>.toml: a virtual server",
        Kind::Domain => "domains/<fqdn>.toml: a web domain",
    };
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// Removes null from the types, since TOML has none, and closes each table to fields that aren't listed.
fn tidy(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                // The field's own words come before its type's.
                if schema.get(&key).is_none() {
                    schema.insert(key, value);
                }
            }
        }
    }
    if schema.get("default").is_some_and(|value| value.is_null() || value.is_object()) {
        schema.remove("default");
    }
    // Docstrings break their lines where the source does.
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    // Rust's own number formats say nothing that `minimum` and `maximum` don't.
    if schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|name| name.contains("int") || name == "double")
    {
        schema.remove("format");
    }
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}
