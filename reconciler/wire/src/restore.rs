//! Orders to restore, from the door to whoever backs up. The door has judged who asks, and may order nothing but what lies beside a server's
//! own data: that can be done to nobody's harm.

use std::io;
use std::path::Path;
use std::time::Duration;

use berth_schema::name::{ServerId, UserName};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::UnixStream;

/// Name of the socket, in Berth's data.
pub const SOCKET: &str = "restore.sock";

/// Longest line, in bytes.
const LONGEST: u64 = 64 << 10;
/// Time for an order to be sent.
const SENT: Duration = Duration::from_secs(10);

/// Order to restore something of a server beside its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreOrder {
    /// The server.
    pub server: ServerId,
    /// The time whose data is wanted; without one, the newest.
    pub at: Option<Timestamp>,
    /// The file or folder that is wanted, as the server sees it; without one, everything.
    pub path: Option<String>,
    /// User who asks, for the log.
    pub by: UserName,
}

/// The end of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreAnswer {
    /// It is there.
    Restored {
        /// When the copy was made.
        from: Timestamp,
        /// The folder, as the server sees it.
        folder: String,
        /// When it goes again.
        until: Timestamp,
    },
    /// It isn't.
    Refused {
        /// Why.
        message: String,
        /// The next step, if one is known.
        hint: Option<String>,
    },
}

/// Gives an order at the socket there, and waits for its end; `None` where nobody listens.
pub async fn ask(socket: &Path, order: &RestoreOrder) -> io::Result<Option<RestoreAnswer>> {
    let mut stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    write(&mut stream, order).await?;
    read(&mut stream).await.map(Some)
}

/// Hears the order of one connection.
pub async fn hear(stream: &mut UnixStream) -> io::Result<RestoreOrder> {
    tokio::time::timeout(SENT, read(stream)).await?
}

/// Answers it.
pub async fn answer(stream: &mut UnixStream, answer: &RestoreAnswer) -> io::Result<()> {
    write(stream, answer).await
}

async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line).await?;
    Ok(serde_json::from_slice(&line)?)
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}
