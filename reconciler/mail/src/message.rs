//! A mail as it travels: headers and text. An address is parsed before it gets into one, so none ends a header early.

use std::time::SystemTime;

use berth_wire::mail::Letter;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::{Address, error};

use crate::settings::MailSettings;
use crate::trouble::MailError;
use crate::words::{Words, of_letter};

/// `Auto-Submitted: auto-generated` (RFC 3834): nobody's machine answers it.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The mail of a letter.
pub(crate) fn of_letter_in(settings: &MailSettings, letter: &Letter) -> Result<Message, MailError> {
    let made = SystemTime::from(letter.made);
    write(settings, &letter.to, &letter.id, made, of_letter(settings, letter)?)
}

/// A mail with these words. The same `id` is the same mail, should it come twice.
pub(crate) fn write(
    settings: &MailSettings,
    to: &str,
    id: &str,
    made: SystemTime,
    Words { subject, text }: Words,
) -> Result<Message, MailError> {
    let title = settings.organisation.name().to_owned();
    let from = Mailbox::new(Some(title), address(&settings.mail.from)?);
    let message = Message::builder()
        .from(from)
        .to(Mailbox::new(None, address(to)?))
        .subject(subject)
        .date(made)
        .message_id(Some(format!("<{id}@{}>", settings.domain)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    message.body(text).map_err(|error: error::Error| error.into())
}

pub(crate) fn address(text: &str) -> Result<Address, MailError> {
    text.parse().map_err(|_| MailError::Address { address: berth_schema::text::safe(text) })
}
