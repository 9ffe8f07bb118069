//! `/vm/{id}/terminal`: a shell in the browser, and the WebSocket that carries it.
//!
//! Binary messages are the terminal's bytes, in both directions. Text messages are JSON: the browser tells its size, the panel
//! tells the shell's number, that the screen begins anew, and why it was closed.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Of;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_schema::name::ServerId;
use berth_schema::ticket::{Act, Size};
use berth_wire::web::{Me, ServerRead, Ticket};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue, StatusCode};
use minijinja::context;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::address::{Named, Wishes};
use super::words::value;
use crate::app::App;
use crate::guard;
use crate::page;
use crate::problem::Problem;
use crate::shell::{Order, SIZE, STAY, Shell, Sight, View};
use crate::visitor::{Peer, Visitor};

/// Time between two pings. Proxies cut what is silent for a minute.
const PING: Duration = Duration::from_secs(25);
/// Silence of a browser after which it is given up: two pings without an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// Time between two words to the door that somebody types: that is a use of their session.
const USE: Duration = Duration::from_secs(300);
/// The longest message of a browser, in bytes. Longer input comes in several.
const LONGEST: usize = 64 << 10;
/// The scripts that make a terminal of a page, where they were there when this program was built.
const SCRIPTS: [&str; 3] = ["xterm.js", "addon-fit.js", "xterm.css"];

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &ServerRead { id }).await?;
    let mut nonce = [0; 16];
    SystemRandom::new().fill(&mut nonce).map_err(|_| Problem::internal())?;
    let nonce = URL_SAFE_NO_PAD.encode(nonce);
    let has_scripts = SCRIPTS.iter().all(|name| app.templates.assets().has(name));
    let context = context! {
        card => value(&sheet.card),
        nonce => nonce.as_str(),
        has_scripts,
        stay => STAY.as_secs(),
    };
    let mut response = page::render(&app, &visitor, "terminal.html", context);
    // The terminal makes its own style sheets, which carry the nonce, and places its letters by attributes.
    let policy = format!("{}; style-src-attr 'unsafe-inline'", guard::POLICY)
        .replace("style-src 'self'", &format!("style-src 'self' 'nonce-{nonce}'"));
    let policy = HeaderValue::from_str(&policy).map_err(|_| Problem::internal())?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// Wishes of a browser that opens the WebSocket.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    columns: Option<u16>,
    rows: Option<u16>,
    /// Number of a shell that it has had before.
    shell: String,
    /// Bytes that it has shown of it.
    seen: u64,
}

/// Message of the panel's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Tell<'a> {
    Shell { number: &'a str, seen: u64, anew: bool },
    End(&'a str),
    Elsewhere(&'a str),
}

/// Message of a browser's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Told {
    Size(Size),
}

pub(crate) async fn socket(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
    Wishes(wish): Wishes<Wish>,
    Peer(from): Peer,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    // An upgrade is a GET, which other sites' pages may send with the cookie.
    guard::own_origin(&headers)?;
    visitor.ask(&app, &ServerRead { id }).await?;
    let upgrade = upgrade.map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "This address is for the terminal's own script.")
            .hint("Open the server’s terminal page.")
    })?;
    let size = Size { columns: wish.columns.unwrap_or(SIZE.columns), rows: wish.rows.unwrap_or(SIZE.rows) };
    let found = app.shells.find(&visitor.token, id, &wish.shell);
    let seen = if found.is_some() { wish.seen } else { 0 };
    let is_old = found.is_some();
    let shell = match found {
        Some(shell) => Ok(shell),
        None => {
            let asked = Ticket { server: id, act: Act::Terminal, from };
            app.shells.begin(&app.door, &visitor.token, &asked, size).await
        }
    };
    let upgrade = upgrade.max_message_size(LONGEST).max_frame_size(LONGEST);
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            match shell {
                Ok(shell) => {
                    if is_old {
                        shell.order(Order::Resize(size)).await;
                    }
                    Talk { app, visitor, shell }.run(socket, seen).await;
                }
                Err(problem) => refuse(socket, &problem).await,
            }
        })
        .into_response())
}

/// Tells why there is no shell: a browser doesn't show a script the answer to an upgrade.
async fn refuse(mut socket: WebSocket, problem: &Problem) {
    // Whoever is gone doesn't hear it.
    let _ = socket.send(message(&Tell::End(&problem.words()))).await;
    let _ = socket.close().await;
}

fn message(tell: &Tell<'_>) -> Message {
    Message::text(serde_json::to_string(tell).unwrap_or_default())
}

fn elsewhere() -> Message {
    message(&Tell::Elsewhere("This shell was opened on another page."))
}

/// A browser at a shell.
struct Talk {
    app: App,
    visitor: Visitor,
    shell: Arc<Shell>,
}

impl Talk {
    /// Carries both directions until either ends.
    async fn run(self, socket: WebSocket, seen: u64) {
        let (to, from) = socket.split();
        let sight = self.shell.screen.lock().look(seen);
        let taken = sight.taken.clone();
        let heard = Arc::new(parking_lot::Mutex::new(Instant::now()));
        tokio::select! {
            () = self.show(to, sight, seen, &heard) => {}
            () = self.hear(from, &heard) => {}
        }
        self.shell.screen.lock().look_away(&taken);
    }

    async fn show(
        &self,
        mut to: SplitSink<WebSocket, Message>,
        sight: Sight,
        seen: u64,
        heard: &parking_lot::Mutex<Instant>,
    ) {
        let Sight { missed, is_anew, mut news, taken } = sight;
        let begun = if is_anew { self.shell.screen.lock().written() - missed.len() as u64 } else { seen };
        let tell = Tell::Shell { number: &self.shell.number, seen: begun, anew: is_anew };
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        let mut sent = to.send(message(&tell)).await;
        if !missed.is_empty() && sent.is_ok() {
            sent = to.send(Message::Binary(missed)).await;
        }
        while sent.is_ok() {
            let (next, is_last) = tokio::select! {
                view = news.recv() => match view {
                    Some(View::Output(bytes)) => (Message::Binary(bytes), false),
                    Some(View::End(words)) => (message(&Tell::End(&words)), true),
                    // It goes to another page from now on.
                    None => (elsewhere(), true),
                },
                () = taken.cancelled() => (elsewhere(), true),
                _ = pings.tick() => {
                    if heard.lock().elapsed() > SILENCE {
                        return;
                    }
                    (Message::Ping(Bytes::new()), false)
                }
            };
            sent = tokio::select! {
                sent = to.send(next) => sent,
                // A browser that takes nothing must not hold up the one that took its place.
                () = taken.cancelled(), if !is_last => return,
            };
            if is_last {
                let _ = to.close().await;
                return;
            }
        }
    }

    async fn hear(&self, mut from: SplitStream<WebSocket>, heard: &parking_lot::Mutex<Instant>) {
        let mut used = Instant::now();
        while let Some(Ok(message)) = from.next().await {
            *heard.lock() = Instant::now();
            match message {
                Message::Binary(bytes) => {
                    self.shell.order(Order::Input(bytes)).await;
                    if used.elapsed() > USE {
                        used = Instant::now();
                        // Its answer matters to nobody: the door ends the shell with the session.
                        let _ = self.visitor.ask(&self.app, &Me {}).await;
                    }
                }
                Message::Text(text) => {
                    if let Ok(Told::Size(size)) = serde_json::from_str(text.as_str()) {
                        self.shell.order(Order::Resize(size)).await;
                    }
                }
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }
}
