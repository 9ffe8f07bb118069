//! Failures, in words for whoever reads `berth status`.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use berth_fault::{Fault, Kind};
use berth_secrets::SecretError;
use lettre::transport::smtp;

/// Point that a delivery reached when it failed, which says what may be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The server itself: no letter gets through now.
    Server,
    /// A letter that the server had begun to hear of: either may be the reason.
    Midway,
    /// The letter: the server doesn't take this one now.
    Wait,
    /// The letter: the server never takes this one.
    Never,
    /// The last word: the server has it all, and nobody knows whether it took it.
    Unknown,
    /// Nothing: the letter was taken out before the server had it.
    Nothing,
}

/// A mail that isn't sent, or nobody knows. The connection's errors repeat their causes in their own words, so those are no sources here.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MailError {
    #[error("the mail server {server} can't be reached: {}", words(cause))]
    Unreachable { server: String, cause: smtp::Error },
    #[error("the mail server {server} doesn't answer within {} s", within.as_secs_f32())]
    Silent { server: String, within: Duration },
    #[error("the mail server {server} offers no TLS that works: {}", words(cause))]
    Tls { server: String, cause: smtp::Error },
    #[error("the mail server {server} doesn't let Berth in: {}", words(cause))]
    Login { server: String, cause: smtp::Error },
    #[error("the mail server {server} takes no mail from {from}: {}", words(cause))]
    Sender { server: String, from: String, cause: smtp::Error },
    #[error(transparent)]
    Midway(Box<MailError>),
    #[error("a newer mail has its place")]
    Gone,
    #[error(
        "the part of `{address}` before the `@` has letters that the mail server {server} can't deal with (it has no SMTPUTF8)"
    )]
    Letters { server: String, address: String },
    #[error(
        "the part of `{from}`, which mails come from, before the `@` has letters that the mail server {server} can't deal with (it has no SMTPUTF8)"
    )]
    SenderLetters { server: String, from: String },
    #[error("the mail server refuses it: {}", words(cause))]
    Refused { cause: smtp::Error },
    #[error("nobody knows whether it has arrived: the mail server had it, and said no more ({why})")]
    Unknown { why: String },
    #[error("it was being sent when Berth ended, so nobody knows whether it has arrived")]
    CutOff,
    #[error("it couldn't be sent for a day; at last: {why}")]
    TooOld { why: String },
    #[error("`{address}` is no address that a mail can go to")]
    Address { address: String },
    #[error("cannot write the mail")]
    Message(#[from] lettre::error::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cannot use the template {name}")]
    Template {
        name: String,
        #[source]
        source: minijinja::Error,
    },
    #[error("cannot read or write {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl MailError {
    /// Returns whether the server said nothing for as long as it may take.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Midway(cause) => cause.is_silence(),
            Self::Silent { .. } => true,
            _ => false,
        }
    }

    /// Point that the delivery reached.
    pub fn reached(&self) -> Reached {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Tls { .. }
            | Self::Login { .. }
            | Self::Sender { .. }
            | Self::SenderLetters { .. }
            | Self::Secret(_)
            | Self::Template { .. }
            | Self::Folder { .. } => Reached::Server,
            Self::Midway(_) => Reached::Midway,
            Self::Gone => Reached::Nothing,
            Self::Letters { .. } => Reached::Never,
            Self::Refused { cause } if cause.is_permanent() => Reached::Never,
            Self::Refused { .. } => Reached::Wait,
            Self::Unknown { .. } | Self::CutOff => Reached::Unknown,
            Self::TooOld { .. } | Self::Address { .. } | Self::Message(_) => Reached::Never,
        }
    }
}

impl Fault for MailError {
    fn kind(&self) -> Kind {
        Kind::Configuration
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Midway(cause) => cause.hint(),
            Self::Unreachable { .. } | Self::Silent { .. } => Some(
                "does `mail.server` name the right server and `mail.port` the right port, and does a firewall let this host out?",
            ),
            Self::Tls { .. } => Some(
                "`mail.tls` says which kind of TLS; a server with a CA of your own needs its root in `mail.ca`",
            ),
            Self::Login { .. } => {
                Some("check `mail.user`, and store the password anew: `berth secret set mail`")
            }
            Self::Sender { .. } => {
                Some("`mail.from` has to be an address that the server lets `mail.user` send from")
            }
            Self::SenderLetters { .. } => Some(
                "choose another address for `mail.from`, with a-z, 0-9, dots and hyphens before the `@`, or a mail server with SMTPUTF8",
            ),
            _ => None,
        }
    }
}

/// A failure of the connection with its causes, on one line. They are a server's words.
fn words(error: &smtp::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    berth_schema::text::safe_line(&text, 300)
}
