//! A member who wants to bring the router down, with a client and a server that say what no other says.

use std::future::Future;
use std::io::Read as _;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Sig, client};
use tokio::net::TcpListener;

use crate::attacks::MEMORY_MAX;
use crate::harness::{Place, Running, await_that};
use crate::measure::most_memory_of;

/// Conduct of the server when somebody runs a command. It counts its messages.
type Deed =
    fn(Handle, Arc<ChannelWriteHalf<Msg>>, Arc<AtomicUsize>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The server `gone` of a place.
struct Hostile {
    done: Arc<AtomicUsize>,
}

impl Hostile {
    async fn new(place: &Place, deed: Deed) -> Self {
        let listener = TcpListener::bind((place.host(), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let done = Arc::new(AtomicUsize::new(0));
        let root = Root { deed, channel: None, done: Arc::clone(&done) };
        let key = russh::keys::load_secret_key(place.path("host"), None).unwrap();
        let config = Arc::new(server::Config { keys: vec![key], ..server::Config::default() });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (config, root) = (Arc::clone(&config), root.clone());
                tokio::spawn(async move {
                    // The router may leave when it likes.
                    if let Ok(session) = server::run_stream(config, stream, root).await {
                        let _ = session.await;
                    }
                });
            }
        });
        place
            .put_routes(&place.routes().render().unwrap().replace("port = 1\n", &format!("port = {port}\n")));
        place.await_log("routes changed");
        Self { done }
    }

    fn await_deeds(&self, count: usize) {
        await_that("the deeds", || self.done.load(Ordering::Relaxed) >= count);
    }
}

/// Lets everybody in, and does its deed once for each connection.
#[derive(Clone)]
struct Root {
    deed: Deed,
    channel: Option<Arc<ChannelWriteHalf<Msg>>>,
    done: Arc<AtomicUsize>,
}

impl server::Handler for Root {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        _: server::PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channel = Some(Arc::new(channel.split().1));
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        if let Some(channel) = self.channel.take() {
            tokio::spawn((self.deed)(session.handle(), channel, Arc::clone(&self.done)));
        }
        Ok(())
    }

    async fn tcpip_forward(&mut self, _: &str, _: &mut u32, _: &mut Session) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A member's client, which keeps what it is asked and never answers.
struct Visitor {
    asked: Vec<client::ChannelOpenHandle>,
}

impl client::Handler for Visitor {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.asked.push(reply);
        Ok(())
    }
}

async fn connect(place: &Place, window: u32) -> client::Handle<Visitor> {
    let config = client::Config { window_size: window, nodelay: true, ..client::Config::default() };
    let visitor = Visitor { asked: Vec::new() };
    client::connect(Arc::new(config), (place.host(), place.port), visitor).await.unwrap()
}

/// Logs in. Each of its channels lets the router say `window` bytes.
async fn visit(place: &Place, key: &str, login: &str, window: u32) -> client::Handle<Visitor> {
    let mut handle = connect(place, window).await;
    let key = Arc::new(russh::keys::load_secret_key(place.path(key), None).unwrap());
    let shown = handle.authenticate_publickey(login, PrivateKeyWithHashAlg::new(key, None)).await.unwrap();
    assert!(shown.success(), "{login}");
    handle
}

/// More than anybody takes, then ends without an end, each with as much as a packet carries.
fn end_for_ever(
    handle: Handle,
    channel: Arc<ChannelWriteHalf<Msg>>,
    done: Arc<AtomicUsize>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let id = channel.id();
        let words = "x".repeat(128 << 10);
        for _ in 0..8 {
            channel.data_bytes(vec![0; 1 << 20]).await.unwrap();
        }
        for _ in 0..2000 {
            let signal = Sig::Custom("SAID".to_owned());
            handle.exit_signal_request(id, signal, false, words.clone(), String::new()).await.unwrap();
            handle.eof(id).await.unwrap();
            done.fetch_add(1, Ordering::Relaxed);
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_again_and_again_fills_no_memory() {
    let place = Place::new();
    let hostile = Hostile::new(&place, end_for_ever).await;
    let mut ssh = place.ssh("eve", "gone", &[]);
    let mut stalled = Running(ssh.arg("end").stdout(Stdio::piped()).spawn().unwrap());
    // Nobody takes more than the first.
    let mut stdout = stalled.0.stdout.take().unwrap();
    let mut first = [0];
    stdout.read_exact(&mut first).unwrap();
    hostile.await_deeds(2000);
    assert!(most_memory_of(&place) < MEMORY_MAX, "{} MiB", most_memory_of(&place) >> 20);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, 8 << 20);
    assert!(place.run("true").status.success());
}

/// Opens connections to the visitor, and counts those that are refused as too many.
fn open_for_ever(
    handle: Handle,
    _: Arc<ChannelWriteHalf<Msg>>,
    refused: Arc<AtomicUsize>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        for port in 0..50 {
            let (handle, refused) = (handle.clone(), Arc::clone(&refused));
            tokio::spawn(async move {
                let opened = handle.channel_open_forwarded_tcpip("127.0.0.1", 1, "127.0.0.1", port).await;
                let full = ChannelOpenFailure::ResourceShortage;
                if matches!(opened, Err(russh::Error::ChannelOpenFailure(why)) if why == full) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_opens_only_as_many_channels_as_a_connection_may_have() {
    let place = Place::with(&["--channels", "8"]);
    let hostile = Hostile::new(&place, open_for_ever).await;
    let visitor = visit(&place, "eve", "gone", 1 << 20).await;
    visitor.tcpip_forward("127.0.0.1", 1).await.unwrap();
    let session = visitor.channel_open_session().await.unwrap();
    session.exec(true, "open").await.unwrap();
    // The session is one of the eight, and the visitor answers none of the others.
    hostile.await_deeds(50 - 7);
    assert!(place.run("true").status.success());
}

/// A channel that opens only to say that there is no server counts before it is asked for anything, and for as long as
/// nobody takes its text.
#[tokio::test(flavor = "multi_thread")]
async fn channels_that_lead_nowhere_count_until_they_are_closed() {
    let place = Place::with(&["--channels", "4", "--git-socket", "/nowhere"]);
    for (key, login, command) in [("eve", "gone", "true"), ("ann", "git", "nonsense")] {
        // No room for a single byte of what is said.
        let visitor = visit(&place, key, login, 0).await;
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(visitor.channel_open_session().await.unwrap());
        }
        let one_more = || async {
            match visitor.channel_open_session().await {
                Ok(channel) => Some(channel),
                Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage)) => None,
                Err(error) => panic!("{error}"),
            }
        };
        assert!(one_more().await.is_none(), "{login}");
        for channel in &open {
            channel.exec(true, command).await.unwrap();
        }
        assert!(one_more().await.is_none(), "{login}");
        // They are given up after a while, and make room.
        let start = Instant::now();
        while one_more().await.is_none() {
            assert!(start.elapsed() < Duration::from_secs(120), "{login}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // So does one that is closed before anything was asked for. The router hears of it after what comes next.
        let mut mine = Vec::new();
        while let Some(channel) = one_more().await {
            mine.push(channel);
        }
        mine.pop().unwrap().close().await.unwrap();
        while one_more().await.is_none() {
            assert!(start.elapsed() < Duration::from_secs(120), "{login}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_breaks_no_line_of_the_log_and_makes_none_long() {
    let place = Place::new();
    let mut visitor = connect(&place, 0).await;
    let login = format!("a\nsession began\u{1b}[31m{}", "x".repeat(3000));
    assert!(!visitor.authenticate_none(login).await.unwrap().success());
    drop(visitor);
    place.await_log(r#"login="a\nsession began\u{1b}[31mxxx"#);
    assert!(place.log().lines().all(|line| line.len() < 400 && !line.starts_with("session began")));
}
