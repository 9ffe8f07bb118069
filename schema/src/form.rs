//! Forms: the fields of a file that somebody fills in, read from its text and written into it.
//!
//! Owns which fields a form has, how a value that somebody typed becomes TOML, and which field a finding is about. Judges no
//! value: what a form writes is parsed as everything else is, so a mistake is told in the same words at every door. A value
//! that is no number where one is wanted is written as a text, for the schema to refuse. Some things are in no form: a password's
//! hash, and the name of a file.

mod place;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::kind::Kind;
use crate::name::{Fqdn, ServerName, UserName};
use crate::suggest::hint;
use crate::text::shown;

pub use place::field_of;
pub(crate) use read::default;
pub use read::{fields, read};
pub use write::{WriteError, create, write};

/// A value as a form has it. What it means is the schema's to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// The file doesn't have the field.
    #[default]
    Unset,
    /// Text, such as `2GiB`, `0.5`, `running` or `true`.
    Text(String),
    /// Entries of a list, in order.
    List(Vec<String>),
}

/// A field of a file and its value; [`Input::Unset`] where the file doesn't have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name: `memory`, `quota.memory`.
    pub name: String,
    /// Its value.
    pub value: Input,
    /// Value that holds while the file doesn't have the field; empty for none.
    pub default: String,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldEdit {
    /// Its name: `memory`, `quota.memory`.
    pub name: String,
    /// Value that the form came with.
    pub was: Input,
    /// Value that somebody sent.
    pub now: Input,
}

impl Input {
    /// Returns the value without the spaces around it, which nobody means. An empty text and an empty list are no value.
    #[must_use]
    pub fn normal(&self) -> Self {
        match self {
            Self::Unset => Self::Unset,
            Self::Text(text) => match text.trim_matches(SPACES) {
                "" => Self::Unset,
                text => Self::Text(text.to_owned()),
            },
            Self::List(entries) => {
                let entries = entries.iter().map(|entry| entry.trim_matches(SPACES));
                let entries: Vec<String> =
                    entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
                if entries.is_empty() { Self::Unset } else { Self::List(entries) }
            }
        }
    }
}

/// Characters that browsers and people leave around a value.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Sort of value that a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Text,
    /// A number without a fraction.
    Whole,
    Number,
    Flag,
    /// A list that begins on one line.
    Words,
    /// A list with a line for each entry.
    Lines,
    /// Shown, and never changed.
    Fixed,
}

/// A field as a form knows it.
#[derive(Debug, Clone, Copy)]
struct Known {
    name: &'static str,
    sort: Sort,
}

impl Known {
    /// The table in which it is, and its key there.
    fn keys(self) -> (Option<&'static str>, &'static str) {
        match self.name.split_once('.') {
            Some((table, key)) => (Some(table), key),
            None => (None, self.name),
        }
    }
}

const fn known(name: &'static str, sort: Sort) -> Known {
    Known { name, sort }
}

const SERVER: [Known; 15] = [
    known("id", Sort::Fixed),
    known("owner", Sort::Text),
    known("members", Sort::Words),
    known("state", Sort::Text),
    known("cpus", Sort::Number),
    known("memory", Sort::Text),
    known("pids", Sort::Whole),
    known("disk", Sort::Text),
    known("image", Sort::Text),
    known("reset", Sort::Whole),
    known("allow", Sort::Words),
    known("backup.enabled", Sort::Flag),
    known("backup.pause", Sort::Text),
    known("backup.before", Sort::Text),
    known("backup.after", Sort::Text),
];

const DOMAIN: [Known; 5] = [
    known("server", Sort::Text),
    known("port", Sort::Whole),
    known("tls", Sort::Text),
    known("access", Sort::Text),
    known("cloudflare", Sort::Flag),
];

const USER: [Known; 11] = [
    known("role", Sort::Text),
    known("email", Sort::Text),
    known("ssh_keys", Sort::Lines),
    known("quota.servers", Sort::Whole),
    known("quota.cpus", Sort::Number),
    known("quota.memory", Sort::Text),
    known("quota.pids", Sort::Whole),
    known("quota.disk", Sort::Text),
    known("quota.domains", Sort::Whole),
    known("quota.certificates", Sort::Whole),
    known("quota.custom_domains", Sort::Flag),
];

/// The fields of a kind's form, in their order in a new file. The platform's settings are a text.
fn of(kind: Kind) -> &'static [Known] {
    match kind {
        Kind::Platform => &[],
        Kind::User => &USER,
        Kind::Server => &SERVER,
        Kind::Domain => &DOMAIN,
    }
}

/// The names of the fields of a kind's form. Everything else of a file is in no form.
pub fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    of(kind).iter().map(|field| field.name)
}

/// A field and its value as somebody types it on a command line: entries of a list parted by commas or spaces, and nothing for no
/// value. Refused where no form of this kind has the field, or it never changes.
pub fn typed(kind: Kind, name: &str, value: &str) -> Result<(&'static str, Input), Invalid> {
    let may_change = || of(kind).iter().filter(|field| field.sort != Sort::Fixed);
    let Some(field) = may_change().find(|field| field.name == name) else {
        let names: Vec<&str> = may_change().map(|field| field.name).collect();
        let hint = hint(name, names.iter().copied(), format!("the fields are {}", names.join(", ")));
        let what = match of(kind).iter().any(|field| field.name == name) {
            true => format!("`{name}` of a {kind} never changes"),
            false => format!("`{}` is not a field of a {kind} that can be set here", shown(name)),
        };
        return Err(Invalid::new(what, hint));
    };
    let input = match field.sort {
        Sort::Words | Sort::Lines => {
            let entries = value.split([',', ' ']).filter(|entry| !entry.is_empty());
            Input::List(entries.map(str::to_owned).collect())
        }
        _ => Input::Text(value.to_owned()),
    };
    Ok((field.name, input.normal()))
}

/// The path of the file of this kind for a name that somebody typed, or why there can't be one.
pub fn path(kind: Kind, name: &str) -> Result<String, Invalid> {
    Ok(match kind {
        Kind::Platform => "platform.toml".to_owned(),
        Kind::User => format!("users/{}.toml", name.parse::<UserName>()?),
        Kind::Server => format!("servers/{}.toml", name.parse::<ServerName>()?),
        Kind::Domain => crate::domain::domain_path(&name.parse::<Fqdn>()?),
    })
}
