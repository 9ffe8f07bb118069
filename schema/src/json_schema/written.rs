//! Schemas of types that are written as one TOML value, each beside its type; and markers for types of other crates.

/// Gives types that are written as one TOML value their schema.
macro_rules! written_as {
    ($($type:ty: $json:tt,)*) => {$(
        impl ::schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!($json)
            }
        }
    )*};
}

pub(crate) use written_as;

/// The schema of a subnet, whose type is another crate's.
pub(crate) struct Subnet;

/// The schema of an IPv4 network.
pub(crate) struct Ipv4Network;

/// The schema of an IPv4 address.
pub(crate) struct Address;

/// The schema of an address of either family.
pub(crate) struct AnyAddress;

/// The schema of a network of either address family.
pub(crate) struct Network;

/// The schema of an address with a port.
pub(crate) struct ListenAddress;

written_as! {
    Subnet: { "type": "string", "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}$" },
    Ipv4Network: { "type": "string", "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}$" },
    Address: { "type": "string", "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}$" },
    AnyAddress: { "type": "string", "pattern": "^[0-9a-fA-F.:]+$" },
    Network: { "type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$" },
    ListenAddress: {
        "type": "string",
        "pattern": "^([0-9.]+|\\[[0-9a-fA-F:]+\\]):[0-9]{1,5}$",
        "examples": ["127.0.0.1:10080"],
    },
}
