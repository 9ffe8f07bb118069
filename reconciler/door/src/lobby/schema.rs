//! JSON Schema of the lobby's answers, made from their types and docstrings.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::answer::Answer;

/// The JSON Schema (draft 2020-12) of everything that the lobby answers with `--json`.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.transforms.push(Box::new(RecursiveTransform(tidy)));
    });
    let mut schema = settings.into_generator().into_root_schema_for::<Answer>();
    schema.insert("title".to_owned(), "Answers of the lobby, ssh git@<host> <command> --json".into());
    schema.to_value()
}

/// Docstrings break their lines where the source does. An answer has no fields that aren't listed.
fn tidy(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}
