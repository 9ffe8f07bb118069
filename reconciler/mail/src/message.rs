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

/// An address as servers know it: the domain in ASCII, whatever its letters are.
pub(crate) fn address(text: &str) -> Result<Address, MailError> {
    let wrong = || MailError::Address { address: berth_schema::text::safe(text) };
    let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let domain = match domain.is_ascii() {
        true => domain.to_owned(),
        false => idna::domain_to_ascii(domain).map_err(|_| wrong())?,
    };
    Address::new(local, domain).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn a_domain_of_any_letters_is_ascii_on_its_way() {
        let is = |text: &str| address(text).unwrap().to_string();
        assert_eq!(is("ann@žilė.example.org"), "ann@xn--il-9ma32b.example.org");
        assert_eq!(is("žilė@example.org"), "žilė@example.org");
        assert!(address("ann").is_err() && address("ann@exa mple.org").is_err());
    }
}
