//! A stand-in for the SSH router: a real socket that takes tickets, which the stand-in for the door gives out. What runs behind
//! it is a script of the test's.

use std::path::Path;
use std::sync::Arc;

use berth_schema::door::{EXIT, Head, INPUT, OUTPUT, RESIZE, WORDS};
use berth_schema::ticket::{Act, Opening, Size};
use berth_wire::router::TICKET_SOCKET;
use berth_wire::web::{Ticket, TicketGiven};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use crate::door::StandIn;

/// The stand-in. A terminal answers each input with itself in brackets, and ends at `exit`; a log is the text that it was given.
pub(crate) struct Router {
    /// Sizes that terminals were told, in order.
    pub(crate) sizes: Arc<Mutex<Vec<Size>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Router {
    /// Takes tickets in a folder. Every log is `log`.
    pub(crate) fn serve(folder: &Path, door: &StandIn, log: &'static [u8]) -> Self {
        door.answer(|_, me, asked: Ticket| {
            let act = serde_json::to_string(&asked.act).unwrap();
            Ok(TicketGiven { ticket: format!("{me} {} {}", asked.server, act.trim_matches('"')) })
        });
        let listener = UnixListener::bind(folder.join(TICKET_SOCKET)).unwrap();
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&sizes);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&told), log));
            }
        });
        Self { sizes, _serving: AbortOnDropHandle::new(serving) }
    }
}

async fn say(stream: &mut BufReader<UnixStream>, kind: u8, bytes: &[u8]) {
    for piece in bytes.chunks(60_000) {
        let head = Head { kind, length: piece.len() }.bytes();
        // Whoever has left hears nothing more.
        let _ = stream.write_all(&[&head, piece].concat()).await;
    }
}

async fn answer(stream: UnixStream, sizes: Arc<Mutex<Vec<Size>>>, log: &[u8]) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let Opening { ticket, size } = serde_json::from_str(&line).unwrap();
    let act = ticket.rsplit(' ').next().unwrap();
    let act: Act = serde_json::from_str(&format!("\"{act}\"")).unwrap();
    if act != Act::Terminal {
        say(&mut stream, OUTPUT, log).await;
        if act != Act::LogFollow {
            say(&mut stream, EXIT, &0_u32.to_be_bytes()).await;
        }
        // Follows until the panel leaves.
        let _ = stream.read_u8().await;
        return;
    }
    sizes.lock().push(size);
    say(&mut stream, OUTPUT, format!("shell of {ticket}\r\n").as_bytes()).await;
    let mut head = [0; Head::BYTES];
    while stream.read_exact(&mut head).await.is_ok() {
        let Head { kind, length } = Head::read(head).unwrap();
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.unwrap();
        match kind {
            RESIZE => sizes.lock().push(Size::read(bytes.try_into().unwrap())),
            INPUT if bytes == b"exit" => {
                say(&mut stream, WORDS, b"this login is no longer allowed").await;
                return;
            }
            INPUT => say(&mut stream, OUTPUT, &[b"[", &bytes[..], b"]"].concat()).await,
            other => panic!("{other}"),
        }
    }
}
