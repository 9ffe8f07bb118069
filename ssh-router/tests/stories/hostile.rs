//! A server whose root wants to bring the router down: an SSH server that says what no sshd says.

use std::future::Future;
use std::io::Read as _;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelWriteHalf, Sig};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::attacks::MEMORY_MAX;
use crate::harness::{Place, Running, await_that, most_memory_of};

/// What it does when somebody runs a command.
type Deed = fn(Handle, Arc<ChannelWriteHalf<Msg>>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The server `gone` of a place, while this is there.
struct Hostile {
    _runtime: Runtime,
    done: Arc<AtomicBool>,
}

impl Hostile {
    fn new(place: &Place, deed: Deed) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let done = Arc::new(AtomicBool::new(false));
        let root = Root { deed, channel: None, done: Arc::clone(&done) };
        let key = russh::keys::load_secret_key(place.path("host"), None).unwrap();
        let config = Arc::new(server::Config { keys: vec![key], ..server::Config::default() });
        runtime.spawn(async move {
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
        Self { _runtime: runtime, done }
    }

    fn await_deed(&self) {
        await_that("the deed", || self.done.load(Ordering::Relaxed));
    }
}

/// Lets everybody in, and does its deed once for each connection.
#[derive(Clone)]
struct Root {
    deed: Deed,
    channel: Option<Arc<ChannelWriteHalf<Msg>>>,
    done: Arc<AtomicBool>,
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
            let (deed, done) = ((self.deed)(session.handle(), channel), Arc::clone(&self.done));
            tokio::spawn(async move {
                deed.await;
                done.store(true, Ordering::Relaxed);
            });
        }
        Ok(())
    }
}

/// More than anybody takes, then ends without an end, each with as much as a packet carries.
fn end_for_ever(
    handle: Handle,
    channel: Arc<ChannelWriteHalf<Msg>>,
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
        }
    })
}

#[test]
fn a_program_that_ends_again_and_again_fills_no_memory() {
    let place = Place::new();
    let hostile = Hostile::new(&place, end_for_ever);
    let mut ssh = place.ssh("eve", "gone", &[]);
    let mut stalled = Running(ssh.arg("end").stdout(Stdio::piped()).spawn().unwrap());
    // Nobody takes more than the first.
    let mut stdout = stalled.0.stdout.take().unwrap();
    let mut first = [0];
    stdout.read_exact(&mut first).unwrap();
    hostile.await_deed();
    assert!(most_memory_of(&place) < MEMORY_MAX, "{} MiB", most_memory_of(&place) >> 20);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, 8 << 20);
    assert!(place.run("true").status.success());
}
