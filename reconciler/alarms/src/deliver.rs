//! The way of a message to a target: HTTP to a webhook or a chat, a letter into the spool of mails.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use berth_ca::checked_by;
use berth_fault::chain;
use berth_schema::alarms::{AlarmChat, AlarmHook};
use berth_schema::certificate::Certificates;
use berth_schema::name::UserName;
use berth_schema::secret::{Form, SecretName};
use berth_schema::text::safe_line;
use berth_wire::mail::Letter;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tower::{ServiceExt as _, service_fn};

use crate::message::{Message, Target};
use crate::settings::AlarmSettings;
use crate::trouble::AlarmError;

/// The longest answer that is read, in bytes.
const ANSWER: usize = 64 << 10;
/// Characters of an answer that are shown.
const WORDS: usize = 200;

/// Answer of a target that took a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer in a few words.
    pub said: String,
}

/// A program's hook, whichever it is.
struct Hook<'a> {
    secret: &'a SecretName,
    ca: Option<&'a Certificates>,
    body: Value,
}

/// Sends a message to a target that only tries whether it arrives, at once.
pub async fn test(settings: &AlarmSettings, target: &Target) -> Result<Answer, AlarmError> {
    let now = Timestamp::now();
    let message = Message::of_test(format!("test-{}", now.as_nanosecond()), now);
    deliver(settings, target, &message).await
}

/// Hands a message to a target, once.
pub(crate) async fn deliver(
    settings: &AlarmSettings,
    target: &Target,
    message: &Message,
) -> Result<Answer, AlarmError> {
    let hook = match target {
        Target::Mail { address, user } => {
            if !settings.sends_mail {
                return Err(AlarmError::NoMail);
            }
            let letter = Letter {
                id: letter_id(message, address, user.as_ref()),
                user: user.clone(),
                to: address.clone(),
                made: message.at,
                content: message.letter(settings),
            };
            block_in_place(|| settings.spool.put(letter)).map_err(AlarmError::Spool)?;
            return Ok(Answer { said: "it waits to be mailed".to_owned() });
        }
        Target::Webhook => {
            let AlarmHook { secret, ca } = settings.rules.webhook.as_ref().ok_or(AlarmError::NoTarget)?;
            Hook { secret, ca: ca.as_ref(), body: message.json(settings) }
        }
        Target::Chat => {
            let AlarmChat { secret, field, ca } = settings.rules.chat.as_ref().ok_or(AlarmError::NoTarget)?;
            let body = Map::from_iter([(field.clone(), Value::String(message.text(settings)))]);
            Hook { secret, ca: ca.as_ref(), body: Value::Object(body) }
        }
    };
    let url = settings.secrets.read(hook.secret, Form::Url)?;
    let body = serde_json::to_vec(&hook.body).map_err(AlarmError::Message)?;
    let request = Request::post(url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("berth/", env!("CARGO_PKG_VERSION")))
        .header("berth-message", &message.id)
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| AlarmError::Url)?;
    send(request, hook.ca, settings.pace.answer).await
}

/// Sends a request, over a connection of its own. What fails before there is one may be sent again, and nothing else.
async fn send(
    request: Request<Full<Bytes>>,
    ca: Option<&Certificates>,
    within: Duration,
) -> Result<Answer, AlarmError> {
    let tls = block_in_place(|| checked_by(ca.map(Certificates::as_str))).map_err(AlarmError::Roots)?;
    let mut http = HttpConnector::new();
    // A URL of this machine may be plain; others are refused when they are stored, and when they are read.
    http.enforce_http(false);
    // Whoever drops every packet hasn't taken the message: a name server, the target's host, or what speaks TLS there.
    let soon = within / 2;
    http.set_connect_timeout(Some(soon));
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    let https = builder.wrap_connector(http);
    let connector = service_fn(move |to: Uri| {
        let connected = timeout(soon, https.clone().oneshot(to));
        let late = move |_| Err(format!("there was no connection within {} s", soon.as_secs_f32()).into());
        Box::pin(async move { connected.await.unwrap_or_else(late) })
    });
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .retry_canceled_requests(false)
        .build::<_, Full<Bytes>>(connector);
    let exchange = async {
        let answer = client.request(request).await.map_err(|error| {
            let why = safe_line(&chain(&error), WORDS);
            match error.is_connect() {
                true => AlarmError::Unreachable { why },
                false => AlarmError::Unknown { why },
            }
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await;
        // The status has said it all; the words are only shown.
        let words =
            body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        let words = safe_line(words.trim(), WORDS);
        let said = if words.is_empty() { words } else { format!(": {words}") };
        match status.is_success() {
            true => Ok(Answer { said: format!("{}{said}", shown(status)) }),
            false => Err(AlarmError::Refused { status, said }),
        }
    };
    timeout(within, exchange).await.unwrap_or(Err(AlarmError::Silent { within }))
}

fn shown(status: StatusCode) -> String {
    format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}

/// Name of a letter: the same message to the same person at the same address is the same letter.
fn letter_id(message: &Message, address: &str, user: Option<&UserName>) -> String {
    let mut hasher = DefaultHasher::new();
    (address, user).hash(&mut hasher);
    let id: String = message.id.chars().take(40).collect();
    format!("{id}-{:016x}", hasher.finish())
}
