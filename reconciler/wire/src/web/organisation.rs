//! The question for the organisation's face, which every page shows, the sign-in too.

use berth_schema::platform::Organisation;
use serde::{Deserialize, Serialize};

use super::questions;

questions! {
    FaceRead, "/organisation", Anybody => Face;
}

/// Asks for the organisation's face.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaceRead {}

/// The organisation's face.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Face {
    /// Its title, or the platform's.
    pub title: Option<String>,
    /// Contact of people who need help.
    pub contact: Option<ContactLink>,
    /// Target of a link to the terms of use.
    pub terms: Option<String>,
    /// The language of its own words, as a tag of BCP 47.
    pub language: String,
    /// A text for everybody.
    pub notice: Option<String>,
}

/// Contact, as a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactLink {
    /// The address as people read it.
    pub text: String,
    /// The link's target.
    pub href: String,
}

impl Default for Face {
    fn default() -> Self {
        Self::from(&Organisation::default())
    }
}

impl From<&Organisation> for Face {
    fn from(organisation: &Organisation) -> Self {
        let Organisation { title, contact, terms, language, notice } = organisation;
        let contact =
            contact.as_ref().map(|contact| ContactLink { text: contact.to_string(), href: contact.href() });
        Self {
            title: title.clone(),
            contact,
            terms: terms.as_ref().map(|terms| terms.href()),
            language: language.as_str().to_owned(),
            notice: notice.clone(),
        }
    }
}

impl Face {
    /// Address of the contact; `None` where the organisation names nobody.
    pub fn help(&self) -> Option<&str> {
        self.contact.as_ref().map(|contact| contact.text.as_str())
    }
}
