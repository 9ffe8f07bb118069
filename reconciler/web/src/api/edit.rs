//! Bodies that say how a file is to be: the fields of a server, a domain or a member.
//!
//! A field that isn't there stays as it is, and `null` takes it out, so that the default holds. Values aren't judged here: the
//! door says what is wrong with them, at the field, as it says it to a form.

use berth_wire::web::{Field, FieldEdit, Input};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// A field of a body.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Given<T> {
    /// The body doesn't have it.
    #[default]
    Absent,
    /// It is `null`.
    Null,
    /// It has this value.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// A value as a form has it.
trait Typed {
    fn input(self) -> Input;
}

impl Typed for String {
    fn input(self) -> Input {
        Input::Text(self)
    }
}

impl Typed for Vec<String> {
    fn input(self) -> Input {
        Input::List(self)
    }
}

macro_rules! typed {
    ($($type:ty),*) => {$(
        impl Typed for $type {
            fn input(self) -> Input {
                Input::Text(self.to_string())
            }
        }
    )*};
}
typed!(bool, f64, u64);

/// Values of a body, by the names of the fields.
pub(crate) type Values = Vec<(&'static str, Input)>;

/// A body that changes a file.
pub(crate) trait Edits {
    /// The values that it has.
    fn values(self) -> Values;
}

fn put<T: Typed>(values: &mut Values, name: &'static str, given: Given<T>) {
    match given {
        Given::Absent => {}
        Given::Null => values.push((name, Input::Unset)),
        Given::Value(value) => values.push((name, value.input())),
    }
}

/// Declares a body of fields, and one that has a name besides, for something new.
macro_rules! bodies {
    ($(#[$doc:meta])* $edit:ident, $(#[$new_doc:meta])* $new:ident by $(#[$key_doc:meta])* $key:ident {
        $($(#[$field_doc:meta])* $field:ident as $name:literal: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $edit {
            $($(#[$field_doc])* #[serde(default)] #[schema(value_type = Option<$type>)] pub(super) $field: Given<$type>,)*
        }

        $(#[$new_doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $new {
            $(#[$key_doc])* pub(super) $key: String,
            $($(#[$field_doc])* #[serde(default)] #[schema(value_type = Option<$type>)] pub(super) $field: Given<$type>,)*
        }

        impl Edits for $edit {
            fn values(self) -> Values {
                let mut values = Values::new();
                $(put(&mut values, $name, self.$field);)*
                values
            }
        }

        impl $new {
            /// The name, and the fields besides.
            pub(super) fn split(self) -> (String, $edit) {
                (self.$key, $edit { $($field: self.$field),* })
            }
        }
    };
}

bodies! {
    /// Fields of a server.
    ServerEdit,
    /// A new server.
    NewServer by
    /// Its name: up to 25 lower-case letters, digits and hyphens.
    name {
        /// Member who answers for it. Whoever asks, where a new server's says nothing.
        owner as "owner": String,
        /// Members besides the owner who may log in.
        members as "members": Vec<String>,
        /// `running` or `stopped`.
        state as "state": String,
        /// Processors, such as 1 or 0.5.
        cpus as "cpus": f64,
        /// Memory with its unit, such as `2GiB`.
        memory as "memory": String,
        /// Processes and threads at most.
        pids as "pids": u64,
        /// Disk with its unit, such as `20GiB`.
        disk as "disk": String,
        /// Image that it is made of.
        image as "image": String,
        /// A higher number than before makes the server's system anew.
        reset as "reset": u64,
        /// Destinations that the firewall allows; only admins may change this.
        allow as "allow": Vec<String>,
        /// `false`: it isn't backed up.
        backup_enabled as "backup.enabled": bool,
        /// `none`, `freeze` or `stop`: what it does while its last changes are backed up.
        backup_pause as "backup.pause": String,
        /// Command that runs in it before it is backed up.
        backup_before as "backup.before": String,
        /// Command that runs in it afterwards.
        backup_after as "backup.after": String,
    }
}

bodies! {
    /// Fields of a domain.
    DomainEdit,
    /// A new domain.
    NewDomain by
    /// Its name, whole.
    fqdn {
        /// Name of the server that answers.
        server as "server": String,
        /// Port in the server.
        port as "port": u64,
        /// Source of its certificate: `auto`, `internal` or `off`.
        tls as "tls": String,
        /// People who may open it: `public`, `users` or `owner`.
        access as "access": String,
        /// Set if Cloudflare stands in front.
        cloudflare as "cloudflare": bool,
    }
}

bodies! {
    /// Fields of a member's file.
    UserEdit,
    /// A new member.
    NewUser by
    /// Name: up to 25 lower-case letters, digits and hyphens.
    name {
        /// `admin` or `user`.
        role as "role": String,
        /// Address.
        email as "email": String,
        /// SSH public keys.
        ssh_keys as "ssh_keys": Vec<String>,
        /// Servers that they may own.
        quota_servers as "quota.servers": u64,
        /// Processors of all their servers together.
        quota_cpus as "quota.cpus": f64,
        /// Memory of all their servers together, with its unit.
        quota_memory as "quota.memory": String,
        /// Processes of all their servers together.
        quota_pids as "quota.pids": u64,
        /// Disk of all their servers together, with its unit.
        quota_disk as "quota.disk": String,
        /// Domains of all their servers together.
        quota_domains as "quota.domains": u64,
        /// Names for which they may newly need a certificate within seven days.
        quota_certificates as "quota.certificates": u64,
        /// Allows names outside the platform's domain.
        quota_custom_domains as "quota.custom_domains": bool,
    }
}

/// The edits of a new file.
pub(super) fn of_new(values: Values) -> Vec<FieldEdit> {
    let edit =
        |(name, now): (&'static str, Input)| FieldEdit { name: name.to_owned(), was: Input::Unset, now };
    values.into_iter().map(edit).collect()
}

/// The edits of a file that has these values now.
pub(super) fn of_changed(values: Values, fields: &[Field]) -> Vec<FieldEdit> {
    let was = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value.clone());
    let edit = |(name, now): (&'static str, Input)| FieldEdit {
        name: name.to_owned(),
        was: was(name).unwrap_or_default(),
        now,
    };
    values.into_iter().map(edit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_stays_and_null_takes_it_out() {
        let edit: ServerEdit =
            serde_json::from_str(r#"{"cpus":1.5,"pids":null,"members":["bob"],"memory":"2GiB"}"#).unwrap();
        let text = |text: &str| Input::Text(text.to_owned());
        assert_eq!(
            edit.values(),
            [
                ("members", Input::List(vec!["bob".to_owned()])),
                ("cpus", text("1.5")),
                ("memory", text("2GiB")),
                ("pids", Input::Unset)
            ]
        );
        assert_eq!(UserEdit::default().values(), []);
        let unknown = serde_json::from_str::<ServerEdit>(r#"{"privileged":true}"#).unwrap_err();
        assert!(unknown.to_string().contains("`privileged`"), "{unknown}");
    }

    #[test]
    fn every_field_of_a_body_is_one_of_the_form() {
        use berth_schema::form::names;
        use berth_schema::kind::Kind;
        fn all<T: serde::de::DeserializeOwned + Edits>(names: &[&str]) -> Vec<&'static str> {
            let body: Vec<String> =
                names.iter().map(|name| format!("\"{}\":null", name.replace('.', "_"))).collect();
            let body: T = serde_json::from_str(&format!("{{{}}}", body.join(","))).unwrap();
            body.values().into_iter().map(|(name, _)| name).collect()
        }
        let of = |kind| names(kind).filter(|name| *name != "id").collect::<Vec<_>>();
        assert_eq!(all::<ServerEdit>(&of(Kind::Server)).len(), of(Kind::Server).len());
        assert_eq!(all::<DomainEdit>(&of(Kind::Domain)).len(), of(Kind::Domain).len());
        assert_eq!(all::<UserEdit>(&of(Kind::User)).len(), of(Kind::User).len());
    }
}
