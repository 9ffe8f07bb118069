//! The words of mails: templates, embedded or from a folder that replaces them. The first line is the subject.

use std::fs;
use std::path::Path;

use berth_schema::text::{safe, safe_line};
use berth_wire::mail::{Content, Decision, Letter};
use include_dir::{Dir, include_dir};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use crate::settings::MailSettings;
use crate::trouble::MailError;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../templates/mail");
/// Folder of the mails' templates among all templates.
const FOLDER: &str = "mail";
/// The longest subject, in characters.
const SUBJECT: usize = 150;

/// The longest line of an alarm, in characters.
const LINE: usize = 500;

/// A mail's subject and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// The words of a letter.
pub(crate) fn of_letter(settings: &MailSettings, letter: &Letter) -> Result<Words, MailError> {
    let name = letter.user.as_ref().map(safe);
    match &letter.content {
        Content::Invitation { link, until } => {
            let until = until.strftime("%Y-%m-%d %H:%M UTC").to_string();
            make(settings, "invitation.txt", context! { name, link => &link.0, until })
        }
        Content::Decision { topic, decision, by, link } => {
            let decision = match decision {
                Decision::Merged => "merged",
                Decision::Rejected => "rejected",
                Decision::Conflicts => "conflicts",
            };
            let by = by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            make(settings, "decision.txt", context! { name, topic => safe(topic), decision, by, link })
        }
        Content::Alarms { began, over, link } => {
            let lines = |texts: &[String]| -> Vec<String> {
                texts.iter().map(|text| safe_line(text, LINE)).collect()
            };
            let first = began.first().or(over.first()).map(|text| safe_line(text, SUBJECT));
            let (began, over) = (lines(began), lines(over));
            make(settings, "alarms.txt", context! { name, first, began, over, link })
        }
    }
}

/// The words of a mail that only tries whether it arrives.
pub(crate) fn of_test(settings: &MailSettings) -> Result<Words, MailError> {
    make(settings, "test.txt", context! {})
}

fn make(settings: &MailSettings, name: &str, more: Value) -> Result<Words, MailError> {
    let template = template(settings.templates.as_deref(), name)?;
    let failed = |source| MailError::Template { name: name.to_owned(), source };
    let mut environment = Environment::new();
    // Plain text: no character means anything there.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    let organisation = &settings.organisation;
    let around = context! {
        title => safe(organisation.name()),
        contact => organisation.contact(),
        domain => settings.domain.as_str(),
    };
    let text =
        environment.render_named_str(name, &template, context! { ..around, ..more }).map_err(failed)?;
    let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
    Ok(Words { subject: safe_line(subject, SUBJECT), text: tidy(text) })
}

/// The text without empty lines at its ends and with one at a time in it, as templates leave some behind.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && tidy.ends_with("\n\n")) {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}

fn template(overrides: Option<&Path>, name: &str) -> Result<String, MailError> {
    if let Some(path) = overrides.map(|folder| folder.join(FOLDER).join(name))
        && path.is_file()
    {
        return fs::read_to_string(&path).map_err(|source| MailError::Folder { path, source });
    }
    let embedded = EMBEDDED.get_file(name).and_then(|file| file.contents_utf8());
    Ok(embedded.unwrap_or_default().to_owned())
}
