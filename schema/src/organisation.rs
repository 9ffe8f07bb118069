//! `[organisation]`: the face of whoever runs the platform, in words of their own.
//!
//! Owns the title, whom people ask, the terms, the language and the notice. All of it is one line of plain text without a character
//! that steers a terminal: it goes into pages, mails and messages of programs alike.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use schemars::JsonSchema;
use serde::Serialize;

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::{shown, steers};
use crate::user::check_email;
use crate::value::text_values;

/// The most characters of a title.
const TITLE_MAX: usize = 80;
/// The most characters of a notice.
const NOTICE_MAX: usize = 500;
/// The most characters of an address, of either kind.
const ADDRESS_MAX: usize = 200;

/// The face of whoever runs the platform, on pages and in messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Organisation {
    /// The organisation's name, or the platform's, on one line. It stands where "Berth" would.
    #[schemars(length(min = 1, max = 80))]
    pub title: Option<String>,
    /// Contact of people who need help: an e-mail address, or the `https` URL of a page. Without it, messages say "an admin".
    pub contact: Option<Contact>,
    /// The terms of use: an `https` URL, or a page of this repository such as `docs/terms.md`.
    pub terms: Option<Terms>,
    /// The language of the organisation's own words, as a tag of BCP 47. The panel's words are English.
    pub language: Language,
    /// A short text on top of every page, such as planned maintenance.
    #[schemars(length(min = 1, max = 500))]
    pub notice: Option<String>,
}

/// Contact of people who need help: an e-mail address, or the URL of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Contact(String);

/// The terms of use: a URL, or a page of the state repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Terms(String);

/// A language, as a tag of BCP 47.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Language(String);

impl Organisation {
    /// Contact in words, as the object of "ask" or the subject of a sentence.
    pub fn help(&self) -> &str {
        self.contact().unwrap_or("an admin")
    }

    /// Address of the contact; `None` where the organisation names nobody.
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_ref().map(Contact::as_str)
    }

    /// The organisation's title, or the program's name.
    pub fn name(&self) -> &str {
        self.title.as_deref().unwrap_or("Berth")
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let line = |fields: &mut Fields<'_, '_>, key: &'static str, max: usize| {
            let found = fields.optional_if(key, |text: &String| check_line(key, text, max));
            found.map(|found| found.value)
        };
        Self {
            title: line(fields, "title", TITLE_MAX),
            contact: fields.value("contact"),
            terms: fields.value("terms"),
            language: fields.value("language").unwrap_or_default(),
            notice: line(fields, "notice", NOTICE_MAX),
        }
    }
}

impl Contact {
    /// The address, or the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target of a link to it.
    pub fn href(&self) -> String {
        if self.is_page() { self.0.clone() } else { format!("mailto:{}", self.0) }
    }

    /// Returns whether it is a page, and not an e-mail address.
    pub fn is_page(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl Terms {
    /// The URL, or the page's path in the repository.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target of a link to them from the panel.
    pub fn href(&self) -> String {
        self.0
            .strip_suffix(".md")
            .filter(|_| self.is_page_here())
            .map_or_else(|| self.0.clone(), |page| format!("/{page}"))
    }

    fn is_page_here(&self) -> bool {
        !self.0.starts_with("https://")
    }
}

impl Language {
    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Language {
    fn default() -> Self {
        Self("en".to_owned())
    }
}

/// The next step of a message, with whom people ask in the place of `{help}`, or of `{Help}` where a sentence begins. Messages that are
/// made where nobody knows the organisation have these; whoever tells them fills them in.
pub fn addressed(text: &str, contact: Option<&str>) -> String {
    text.replace("{help}", contact.unwrap_or("an admin")).replace("{Help}", contact.unwrap_or("An admin"))
}

/// Checks that a text is one line, and harmless wherever it is printed.
fn check_line(key: &str, text: &str, max: usize) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new(format!("`{key}` is empty"), "leave the field out to have none"));
    }
    if let Some(bad) = text.chars().find(|c| steers(*c)) {
        let message = format!(
            "`{key}` has the character U+{:04X}, which ends a line or steers a terminal",
            u32::from(bad)
        );
        return Err(Invalid::new(message, "write one line of plain text"));
    }
    let length = text.chars().count();
    if length > max {
        let message = format!("`{key}` has {length} characters, and {max} are the most");
        return Err(Invalid::new(message, "write it shorter; a page in `docs/` has room for more"));
    }
    Ok(())
}

/// Returns whether a text is an absolute `https` URL that needs no care in an attribute of HTML.
fn is_url(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"'`\\<>{}|^".contains(c);
    let host = text.parse::<Uri>().ok().and_then(|uri| {
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        (uri.scheme_str() == Some("https")).then(|| authority.host().to_owned())
    });
    text.starts_with("https://")
        && text.len() <= ADDRESS_MAX
        && text.chars().all(is_plain)
        && host.is_some_and(|host| !host.is_empty())
}

impl FromStr for Contact {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_address = || {
            text.chars().all(|c| c.is_ascii_graphic() && !"\"\\<>(),;:".contains(c))
                && text.len() <= ADDRESS_MAX
                && check_email(text).is_ok()
        };
        if is_url(text) || is_address() {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            format!("`{}` is neither an e-mail address nor an `https` URL", shown(text)),
            "write whom people ask, such as \"help@example.org\" or \"https://example.org/help\"",
        ))
    }
}

impl FromStr for Terms {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_url(text) || is_page(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            format!("`{}` is neither an `https` URL nor a page of this repository", shown(text)),
            "write a URL such as \"https://example.org/terms\", or a page such as \"docs/terms.md\"",
        ))
    }
}

/// Returns whether a text is the path of a page in `docs/`, in letters that a URL has as they are.
fn is_page(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain);
    let page = text.strip_prefix("docs/").and_then(|rest| rest.strip_suffix(".md"));
    text.len() <= ADDRESS_MAX && page.is_some_and(|page| page.split('/').all(is_name))
}

impl FromStr for Language {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.split('-');
        let is_language = parts.next().is_some_and(|part| {
            (2..=3).contains(&part.len()) && part.chars().all(|c| c.is_ascii_lowercase())
        });
        let is_part =
            |part: &str| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric());
        match is_language && text.len() <= 35 && parts.all(is_part) {
            true => Ok(Self(text.to_owned())),
            false => Err(Invalid::new(
                format!("`{}` is no tag of a language (BCP 47)", shown(text)),
                "write one such as \"en\", \"lt\" or \"pt-BR\"",
            )),
        }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

written_as! {
    Contact: { "type": "string", "maxLength": 200, "examples": ["help@example.org", "https://example.org/help"] },
    Terms: { "type": "string", "pattern": "^(https://|docs/.+\\.md$)", "maxLength": 200 },
    Language: { "type": "string", "pattern": "^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$", "maxLength": 35 },
}

text_values! {
    Contact: "an e-mail address or an `https` URL in quotes, such as \"help@example.org\"",
    Terms: "an `https` URL or a page in quotes, such as \"docs/terms.md\"",
    Language: "a language in quotes, such as \"en\"",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_an_address_or_a_page_and_nothing_that_leaves_its_attribute() {
        let href = |text: &str| text.parse::<Contact>().unwrap().href();
        assert_eq!(href("help@example.org"), "mailto:help@example.org");
        assert_eq!(href("https://example.org/help?x=1"), "https://example.org/help?x=1");
        for bad in [
            "",
            "help",
            "http://example.org",
            "https://",
            "https:///x",
            "https://ann:pw@example.org/",
            "javascript:alert(1)",
            "https://example.org/\"onclick=",
            "https://example.org/{http.request.header}",
            "help@example.org\nbcc: all@example.org",
            "Help <help@example.org>",
        ] {
            assert!(bad.parse::<Contact>().is_err(), "{bad}");
        }
    }

    #[test]
    fn terms_lead_out_or_to_a_page() {
        let href = |text: &str| text.parse::<Terms>().unwrap().href();
        assert_eq!(
            (href("docs/a/terms.md").as_str(), href("https://e.org/t.md").as_str()),
            ("/docs/a/terms", "https://e.org/t.md")
        );
        for bad in [
            "docs/../users/ann.md",
            "docs/.git.md",
            "terms.md",
            "docs/terms",
            "docs//x.md",
            "/docs/x.md",
            "docs/a b.md",
        ] {
            assert!(bad.parse::<Terms>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_language_is_a_tag() {
        for good in ["en", "lt", "pt-BR", "zh-Hant-TW", "sr-Latn-x-a"] {
            assert_eq!(good.parse::<Language>().unwrap().as_str(), good);
        }
        for bad in ["", "e", "EN", "english", "en_GB", "en-", "en\" onload"] {
            assert!(bad.parse::<Language>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_names_whom_to_ask() {
        let text = "{Help} can mend it: ask {help}.";
        assert_eq!(addressed(text, None), "An admin can mend it: ask an admin.");
        assert_eq!(addressed(text, Some("help@h.org")), "help@h.org can mend it: ask help@h.org.");
    }

    #[test]
    fn a_line_is_one_line_and_steers_nothing() {
        let check = |text: &str| check_line("title", text, 5).map_err(|invalid| invalid.message);
        assert_eq!(check("Žalia"), Ok(()));
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "\u{1b}[2J", "sixsix"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
