//! The talk with the mail server: one connection for as many mails as wait. Each step that can fail says how far it got.

use std::time::{Duration, SystemTime};

use berth_schema::mail::MailTls;
use berth_schema::secret::Form;
use lettre::address::Envelope;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail as From, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use lettre::{Address, Message};

use crate::message;
use crate::settings::MailSettings;
use crate::trouble::MailError;
use crate::words::of_test;

/// A connection to the server, over which it takes mails.
pub(crate) struct Connection<'s> {
    settings: &'s MailSettings,
    server: String,
    smtp: AsyncSmtpConnection,
}

/// A mail that the server has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The server, with its port.
    pub server: String,
    /// Its answer.
    pub answer: String,
}

/// Sends a mail that tries whether mails arrive, at once and past the spool.
pub async fn test(settings: &MailSettings, to: &str) -> Result<Delivered, MailError> {
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = format!("test-{}", since.as_nanos());
    let mail = message::write(settings, to, &id, now, of_test(settings)?)?;
    let mut connection = Connection::open(settings).await?;
    let answer = connection.send(&mail, || Ok(())).await?;
    let server = connection.server.clone();
    connection.close().await;
    Ok(Delivered { server, answer })
}

impl<'s> Connection<'s> {
    /// Connects and signs in.
    pub(crate) async fn open(settings: &'s MailSettings) -> Result<Self, MailError> {
        let mail = &settings.mail;
        let server = format!("{}:{}", mail.server, mail.port());
        let hello = ClientId::Domain(settings.domain.as_str().to_owned());
        let tls = |cause| MailError::Tls { server: server.clone(), cause };
        let implicit = match mail.tls {
            MailTls::Tls => Some(parameters(settings).map_err(tls)?),
            MailTls::Starttls | MailTls::Off => None,
        };
        let place = (mail.server.as_str(), mail.port());
        let within = settings.pace.answer;
        let connected = AsyncSmtpConnection::connect_tokio1(place, Some(within), &hello, implicit, None);
        let connected = in_time(&server, within, connected).await?;
        let smtp = connected.map_err(|cause| match cause.is_tls() {
            true => tls(cause),
            false => MailError::Unreachable { server: server.clone(), cause },
        })?;
        let mut connection = Self { settings, server, smtp };
        if mail.tls == MailTls::Starttls {
            connection.encrypt(&hello).await?;
        }
        connection.sign_in().await?;
        Ok(connection)
    }

    async fn encrypt(&mut self, hello: &ClientId) -> Result<(), MailError> {
        let within = self.settings.pace.answer;
        let parameters = parameters(self.settings);
        let parameters = parameters.map_err(|cause| MailError::Tls { server: self.server.clone(), cause })?;
        // Whoever stands between can't keep it from being asked for: without it nothing is sent.
        let done = in_time(&self.server, within, self.smtp.starttls(parameters, hello)).await?;
        done.map_err(|cause| MailError::Tls { server: self.server.clone(), cause })
    }

    async fn sign_in(&mut self) -> Result<(), MailError> {
        let mail = &self.settings.mail;
        let Some(user) = &mail.user else { return Ok(()) };
        let password = self.settings.secrets.read(&mail.secret, Form::Password)?;
        let credentials = Credentials::new(user.clone(), password.to_string());
        let within = self.settings.pace.answer;
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let done = in_time(&self.server, within, self.smtp.auth(&mechanisms, &credentials)).await?;
        done.map(drop).map_err(|cause| MailError::Login { server: self.server.clone(), cause })
    }

    /// Hands a mail over, and returns the server's answer. `begins` is called when all of it is about to travel: from then on nobody
    /// knows whether the server has it, until it answers.
    pub(crate) async fn send(
        &mut self,
        mail: &Message,
        begins: impl FnOnce() -> Result<(), MailError>,
    ) -> Result<String, MailError> {
        let (envelope, text) = (mail.envelope(), mail.formatted());
        let pace = self.settings.pace;
        let parameters = self.letters(envelope)?;
        let from = From::new(envelope.from().cloned(), parameters);
        self.command(from, pace.answer).await?.map_err(|cause| {
            let from = self.settings.mail.from.clone();
            MailError::Sender { server: self.server.clone(), from, cause }
        })?;
        for to in envelope.to() {
            let to = Rcpt::new(to.clone(), Vec::new());
            self.command(to, pace.recipient).await.map_err(midway)?.map_err(refused)?;
        }
        self.command(Data, pace.recipient).await.map_err(midway)?.map_err(refused)?;
        begins()?;
        let within = pace.taking;
        let unknown = |why: String| MailError::Unknown { why };
        let answered = tokio::time::timeout(within, self.smtp.message(&text)).await;
        let answered = answered.map_err(|_| unknown(format!("nothing within {} s", within.as_secs_f32())))?;
        match answered {
            Ok(response) => Ok(said(&response)),
            // It answered, and said no.
            Err(cause) if cause.status().is_some() => Err(refused(cause)),
            Err(cause) => Err(unknown(cause.to_string())),
        }
    }

    /// Parameters that tell the server of addresses that aren't ASCII. Their domains are; what is before the `@` needs its word (RFC 6531).
    fn letters(&self, envelope: &Envelope) -> Result<Vec<MailParameter>, MailError> {
        let (mut from, mut to) = (envelope.from().into_iter(), envelope.to().iter());
        let is_other = |address: &&Address| !AsRef::<str>::as_ref(*address).is_ascii();
        let (from, to) = (from.find(is_other), to.find(is_other));
        if from.is_none() && to.is_none() {
            return Ok(Vec::new());
        }
        if self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Ok(vec![MailParameter::SmtpUtfEight]);
        }
        let server = self.server.clone();
        let shown = |address: &Address| berth_schema::text::safe(address.to_string());
        // The sender's comes first: no letter at all goes then, and none is to be given up for it.
        match (from, to) {
            (Some(from), _) => Err(MailError::SenderLetters { server, from: shown(from) }),
            (None, to) => Err(MailError::Letters { server, address: to.map(shown).unwrap_or_default() }),
        }
    }

    /// Forgets a mail that was begun (RFC 5321, 4.1.1.5), so that another one can follow. Returns whether the server goes on.
    pub(crate) async fn reset(&mut self) -> bool {
        matches!(self.command("RSET\r\n", self.settings.pace.answer).await, Ok(Ok(_)))
    }

    async fn command(
        &mut self,
        command: impl std::fmt::Display,
        within: Duration,
    ) -> Result<Result<Response, smtp::Error>, MailError> {
        let done = in_time(&self.server, within, self.smtp.command(command)).await?;
        match done {
            // Only a server's own word is about the letter.
            Err(cause) if cause.status().is_none() => {
                Err(MailError::Unreachable { server: self.server.clone(), cause })
            }
            done => Ok(done),
        }
    }

    /// Takes leave. What the server says to that is of no matter.
    pub(crate) async fn close(mut self) {
        let _ = tokio::time::timeout(self.settings.pace.answer, self.smtp.quit()).await;
    }
}

fn midway(error: MailError) -> MailError {
    MailError::Midway(Box::new(error))
}

fn refused(cause: smtp::Error) -> MailError {
    MailError::Refused { cause }
}

async fn in_time<T>(server: &str, within: Duration, work: impl Future<Output = T>) -> Result<T, MailError> {
    let silent = |_| MailError::Silent { server: server.to_owned(), within };
    tokio::time::timeout(within, work).await.map_err(silent)
}

fn said(response: &Response) -> String {
    let words = response.first_line().unwrap_or_default();
    berth_schema::text::safe_line(&format!("{} {words}", response.code()), 200)
}

/// The server is checked by its name, and by the CAs that the system knows, or the one that `mail.ca` names instead.
fn parameters(settings: &MailSettings) -> Result<TlsParameters, smtp::Error> {
    let builder = TlsParametersBuilder::new(settings.mail.server.as_str().to_owned());
    let builder = match &settings.mail.ca {
        None => builder.certificate_store(CertificateStore::Default),
        Some(ca) => builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(ca.as_str().as_bytes())?),
    };
    builder.build_rustls()
}
