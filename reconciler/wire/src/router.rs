//! The panel's end of the SSH router's ticket socket: hands a ticket in, then carries one act's frames.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_schema::door::{ERROR, EXIT, FRAME_MAX, Head, INPUT, OUTPUT, RESIZE, WORDS};
use berth_schema::ticket::{Opening, Size};
use futures_util::StreamExt as _;
use hyper::body::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::bytes::{Buf as _, BytesMut};
use tokio_util::codec::{Decoder, FramedRead};

use crate::web::TicketGiven;

/// The socket's name in its folder.
pub const TICKET_SOCKET: &str = "ticket.sock";
/// Time for the router to take a ticket.
const PATIENCE: Duration = Duration::from_secs(5);

/// The router, as the panel reaches it.
#[derive(Debug, Clone)]
pub struct Router(PathBuf);

/// The router's half of an act.
#[derive(Debug)]
pub struct Ears(FramedRead<OwnedReadHalf, Frames>);

/// The panel's half of an act. The act ends when it is dropped, with [`Ears`].
#[derive(Debug)]
pub struct Mouth(OwnedWriteHalf);

/// Frame of the router's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Standard output, or everything that a terminal shows.
    Output(Bytes),
    /// Standard error.
    Error(Bytes),
    /// The end of the program, with its exit code.
    Exit(u32),
    /// The end of the act for another reason: a sentence for the person.
    Words(String),
}

impl Router {
    /// The router that listens in this folder.
    pub fn at(folder: &Path) -> Self {
        Self(folder.join(TICKET_SOCKET))
    }

    /// Hands a ticket in. What the router says to it comes as the first frame.
    pub async fn open(&self, TicketGiven { ticket }: TicketGiven, size: Size) -> io::Result<(Ears, Mouth)> {
        let opened = tokio::time::timeout(PATIENCE, async {
            let (reader, mut writer) = UnixStream::connect(&self.0).await?.into_split();
            let mut line = serde_json::to_vec(&Opening { ticket, size })?;
            line.push(b'\n');
            writer.write_all(&line).await?;
            Ok((Ears(FramedRead::new(reader, Frames)), Mouth(writer)))
        });
        opened.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Ears {
    /// The next frame. Nothing is lost if it isn't waited for to the end.
    pub async fn next(&mut self) -> io::Result<Said> {
        self.0.next().await.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

impl Mouth {
    /// Sends input.
    pub async fn input(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(FRAME_MAX) {
            self.frame(INPUT, piece).await?;
        }
        Ok(())
    }

    /// Tells the terminal's size.
    pub async fn resize(&mut self, size: Size) -> io::Result<()> {
        self.frame(RESIZE, &size.bytes()).await
    }

    async fn frame(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let head = Head { kind, length: bytes.len() }.bytes();
        self.0.write_all(&[&head, bytes].concat()).await
    }
}

/// Decoder of the router's frames.
#[derive(Debug)]
struct Frames;

impl Decoder for Frames {
    type Item = Said;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<Said>> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let Some(head) = from.first_chunk::<{ Head::BYTES }>() else { return Ok(None) };
        let Head { kind, length } = Head::read(*head).map_err(|_| invalid())?;
        if from.len() < Head::BYTES + length {
            return Ok(None);
        }
        from.advance(Head::BYTES);
        let bytes = from.split_to(length).freeze();
        match kind {
            OUTPUT => Ok(Some(Said::Output(bytes))),
            ERROR => Ok(Some(Said::Error(bytes))),
            EXIT => {
                let code = bytes.first_chunk().filter(|_| length == 4).ok_or_else(invalid)?;
                Ok(Some(Said::Exit(u32::from_be_bytes(*code))))
            }
            WORDS => Ok(Some(Said::Words(String::from_utf8_lossy(&bytes).into_owned()))),
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn frames_are_whole_whatever_pieces_they_come_in() {
        let bytes = [
            &[OUTPUT, 0, 0, 0, 2, b'h', b'i'][..],
            &[ERROR, 0, 0, 0, 1, b'!'],
            &[WORDS, 0, 0, 0, 1, 0xff],
            &[EXIT, 0, 0, 0, 4, 0, 0, 1, 2],
        ];
        let (mut buffer, mut said) = (BytesMut::new(), Vec::new());
        for byte in bytes.concat() {
            buffer.extend_from_slice(&[byte]);
            said.extend(Frames.decode(&mut buffer).unwrap());
        }
        let words = Said::Words("\u{fffd}".to_owned());
        assert_eq!(said, [Said::Output("hi".into()), Said::Error("!".into()), words, Said::Exit(258)]);
        for bad in [&[INPUT, 0, 0, 0, 0][..], &[EXIT, 0, 0, 0, 1, 0], &[OUTPUT, 0, 1, 0, 1]] {
            assert!(Frames.decode(&mut BytesMut::from(bad)).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_ticket_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(TICKET_SOCKET)).unwrap();
        let size = Size { columns: 80, rows: 24 };
        let router = Router::at(folder.path());
        let given = TicketGiven { ticket: "t".to_owned() };
        let (opened, accepted) = tokio::join!(router.open(given, size), listener.accept());
        let ((mut ears, mut mouth), (mut stream, _)) = (opened.unwrap(), accepted.unwrap());
        mouth.input(b"x").await.unwrap();
        mouth.resize(size).await.unwrap();
        drop(mouth);
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        let opening = serde_json::to_string(&Opening { ticket: "t".to_owned(), size }).unwrap();
        let frames = [&[INPUT, 0, 0, 0, 1, b'x'][..], &[RESIZE, 0, 0, 0, 4, 0, 80, 0, 24]].concat();
        assert_eq!(heard, [opening.as_bytes(), b"\n", &frames].concat());
        drop(stream);
        assert!(ears.next().await.is_err());
    }
}
