//! `[docs]`: the organisation's wiki, which is the folder `docs/` of the state repo.
//!
//! Owns who may read its pages and who may change them without asking. Paths are in [`path`], types of pictures in [`picture`]. The
//! platform reads no settings from a page.

pub mod path;
pub mod picture;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::name::UserName;
use crate::suggest;
use crate::text::shown;
use crate::value::{Value, choice_values};

pub use path::{DocKind, DocPath, FOLDER, LARGEST_PAGE, LARGEST_PICTURE, is_below, too_large};

/// The organisation's wiki.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Docs {
    /// People who may read its pages.
    pub read: DocsRead,
    /// People who may change pages without asking anybody: a group, or a list of members' names. Admins may in any case.
    pub edit: DocsEdit,
}

/// People who may read pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DocsRead {
    /// Everybody who can open the panel, signed in or not.
    Public,
    /// Members.
    #[default]
    Users,
    /// Admins.
    Admins,
}

/// People who may change pages without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum DocsEdit {
    /// A group.
    Group(Editors),
    /// The admins, and these members.
    These(Vec<UserName>),
}

/// A group of people who may change pages without asking anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Editors {
    /// The admins. Everybody else's changes wait until somebody agrees.
    #[default]
    Admins,
    /// Everybody.
    Users,
}

choice_values! {
    DocsRead, "a group of readers": "\"public\", \"users\" or \"admins\"",
}

impl Default for DocsEdit {
    fn default() -> Self {
        Self::Group(Editors::default())
    }
}

impl Value for DocsEdit {
    const WANTED: &'static str =
        "\"admins\", \"users\" or a list of members' names, such as [\"ann\", \"bob\"]";

    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        if let Some(text) = value.as_str() {
            return Some(match text {
                "admins" => Ok(Self::Group(Editors::Admins)),
                "users" => Ok(Self::Group(Editors::Users)),
                _ => {
                    let otherwise = format!("write {}", Self::WANTED);
                    let hint = suggest::hint(text, ["admins", "users"], otherwise);
                    Err(Invalid::new(format!("`{}` is not a group of editors", shown(text)), hint))
                }
            });
        }
        let names = value.as_array()?.iter().map(|entry| match entry.get_ref().as_str() {
            Some(name) => name.parse::<UserName>(),
            None => Err(Invalid::new("an entry of `edit` is no name", format!("write {}", Self::WANTED))),
        });
        Some(names.collect::<Result<_, _>>().map(Self::These))
    }
}

impl Docs {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let read = fields.value("read").unwrap_or_default();
        let edit = fields.optional::<DocsEdit>("edit");
        if let Some(edit) = edit.as_ref().filter(|edit| read == DocsRead::Admins && edit.value.is_wide()) {
            let message = "nobody but admins reads the pages, so nobody else can change them";
            let hint = "leave `edit` out, or let members read: `read = \"users\"`";
            fields.found().warning(Some(edit.at), Invalid::new(message, hint));
        }
        Self { read, edit: edit.map(|found| found.value).unwrap_or_default() }
    }

    /// Returns whether somebody may read pages: an admin, a member, or nobody who is known.
    pub fn may_read(&self, is_known: bool, is_admin: bool) -> bool {
        match self.read {
            DocsRead::Public => true,
            DocsRead::Users => is_known,
            DocsRead::Admins => is_admin,
        }
    }

    /// Returns whether a member may change pages without asking anybody. Admins may in any case.
    pub fn may_edit(&self, member: &UserName) -> bool {
        self.read != DocsRead::Admins
            && match &self.edit {
                DocsEdit::Group(Editors::Admins) => false,
                DocsEdit::Group(Editors::Users) => true,
                DocsEdit::These(names) => names.contains(member),
            }
    }
}

impl DocsEdit {
    /// Returns whether it names anybody besides the admins.
    fn is_wide(&self) -> bool {
        match self {
            Self::Group(editors) => *editors == Editors::Users,
            Self::These(names) => !names.is_empty(),
        }
    }
}
