//! JSON Schema (draft 2020-12) of the four kinds, for editors.
//!
//! Made from the types and their docstrings, so that an editor says what this crate says. It can't say what only the
//! whole repo knows; `berth check` does.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::domain::Domain;
use crate::firewall::Exception;
use crate::kind::Kind;
use crate::name::{Fqdn, ImageRef, Label, Prefix, ServerName, UserName};
use crate::platform::Platform;
use crate::quantity::{Bytes, Cpus, Span};
use crate::remote::{Branch, RemoteUrl};
use crate::server::Server;
use crate::ssh_key::SshKey;
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

/// TOML has no null, so "absent" is not a type; and a table takes no other fields than those that are listed.
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

/// Gives types that are written as one TOML value their schema.
macro_rules! written_as {
    ($($type:ty: $json:tt,)*) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($json)
            }
        }
    )*};
}

/// The schema of a subnet, whose type is another crate's.
pub(crate) struct Subnet;

/// The schema of an IPv4 network.
pub(crate) struct Ipv4Network;

/// The schema of an IPv4 address.
pub(crate) struct Address;

/// The schema of a network of either address family.
pub(crate) struct Network;

/// The schema of an address with a port.
pub(crate) struct ListenAddress;

written_as! {
    UserName: { "type": "string", "pattern": "^[a-z0-9-]{1,25}$" },
    ServerName: { "type": "string", "pattern": "^[a-z0-9-]{1,25}$" },
    Label: { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" },
    Prefix: { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$" },
    Fqdn: {
        "type": "string",
        "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "maxLength": 253,
    },
    ImageRef: { "type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9_./:@-]*[A-Za-z0-9])?$", "maxLength": 255 },
    Cpus: { "type": "number", "minimum": 0.01, "maximum": 1024 },
    Bytes: { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *([kKMGTP]i?[bB]?|[bB])$", "examples": ["512 MiB", "2 GiB"] },
    Span: { "type": "string", "pattern": "^([0-9]+ ?[a-zA-Z]+ ?)+$", "examples": ["30d", "12h"] },
    SshKey: { "type": "string", "pattern": "^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ +[A-Za-z0-9+/=]+" },
    Subnet: { "type": "string", "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}$" },
    Ipv4Network: { "type": "string", "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}$" },
    Address: { "type": "string", "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}$" },
    Exception: {
        "type": "string",
        "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}(:[0-9]{1,5}(-[0-9]{1,5})?)?(/(tcp|udp))?$",
        "examples": ["10.1.2.3/32:5432/tcp", "192.168.7.0/24"],
    },
    Network: { "type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$" },
    ListenAddress: {
        "type": "string",
        "pattern": "^([0-9.]+|\\[[0-9a-fA-F:]+\\]):[0-9]{1,5}$",
        "examples": ["127.0.0.1:10080"],
    },
    RemoteUrl: {
        "type": "string",
        "pattern": "^(https://|ssh://|/|[A-Za-z0-9_.-]+(@[A-Za-z0-9.-]+)?:)",
        "examples": ["https://git.example.org/org/state.git", "ssh://git@git.example.org/org/state.git"],
    },
    Branch: { "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_./-]*$", "maxLength": 200 },
}
