//! Places in a JSON document.

use serde_json::{Map, Value};

/// The value of a key, which gets `value` if it has none.
pub(crate) fn filled<'a>(object: &'a mut Map<String, Value>, key: &str, value: Value) -> &'a mut Value {
    let slot = object.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value;
    }
    slot
}
