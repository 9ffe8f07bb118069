//! Streams of a connection: one that can be cut from outside and counts what passes, and one whose beginning is read ahead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::offer::{self, Offer};

/// Bytes that passed on the wire.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

/// TCP stream that ends when its token is cancelled, whatever the library is waiting for.
pub(crate) struct Cuttable {
    stream: TcpStream,
    traffic: Arc<Traffic>,
    token: CancellationToken,
    // One future for each direction: they may wait in different tasks, and a future wakes only the last that polled it.
    reading: Pin<Box<WaitForCancellationFutureOwned>>,
    writing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cuttable {
    pub(crate) fn new(stream: TcpStream, traffic: Arc<Traffic>, token: CancellationToken) -> Self {
        let wait = || Box::pin(token.clone().cancelled_owned());
        Self { stream, traffic, reading: wait(), writing: wait(), token }
    }

    fn check_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.token.is_cancelled() || self.writing.as_mut().poll(context).is_ready() {
            return Err(cut());
        }
        Ok(())
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the router ended the connection")
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.token.is_cancelled() || self.reading.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(cut()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.traffic.received.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Err(error) = self.check_write(context) {
            return Poll::Ready(Err(error));
        }
        let polled = Pin::new(&mut self.stream).poll_write(context, data);
        if let Poll::Ready(Ok(written)) = &polled {
            self.traffic.sent.fetch_add(*written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = self.check_write(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Stream whose beginning was written and read before the library began; the library writes and reads it once more.
pub(crate) struct Begun {
    stream: Cuttable,
    read: Bytes,
    /// Bytes already written that the library will write again.
    said: usize,
}

/// Longest wait for a client's offer. A client nearby has sent it by then. A distant one gets the full offer instead of a
/// delay: its line is slower than any cipher.
const LOOK_MAX: Duration = Duration::from_millis(25);

impl Begun {
    /// Sends the router's name and reads the client's offer. An error means that the client is gone.
    pub(crate) async fn greet(mut stream: Cuttable, name: &str) -> io::Result<(Self, Offer)> {
        let name = format!("{name}\r\n");
        stream.write_all(name.as_bytes()).await?;
        let mut read = BytesMut::new();
        let look = async {
            let mut offer = Offer::Unfinished;
            while offer == Offer::Unfinished && stream.read_buf(&mut read).await? > 0 {
                offer = offer::read(&read);
            }
            Ok::<_, io::Error>(offer)
        };
        let offer = tokio::time::timeout(LOOK_MAX, look).await.unwrap_or(Ok(Offer::Unfinished))?;
        Ok((Self { stream, read: read.freeze(), said: name.len() }, offer))
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let part = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..part]);
        self.read.advance(part);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.said == 0 {
            return Pin::new(&mut self.stream).poll_write(context, data);
        }
        let part = self.said.min(data.len());
        self.said -= part;
        Poll::Ready(Ok(part))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
