//! Frames and lines between the router, the panel and the door, over unix sockets.

use std::io;

use berth_schema::door::{ERROR, EXIT, FRAME_MAX, Head, INPUT, INPUT_END, OUTPUT, RESIZE, WORDS};
use berth_schema::ticket::{LINE_MAX, Size};
use bytes::Bytes;
use serde_json::de::from_slice;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;

/// Receiving half of a connection.
pub(super) type Reader = BufReader<OwnedReadHalf>;

/// Frame of the panel's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Input(Bytes),
    InputEnd,
    Resize(Size),
}

/// Frame for the panel.
#[derive(Debug)]
pub(super) enum Say<'a> {
    Output(&'a [u8]),
    Error(&'a [u8]),
    Exit(u32),
    Words(&'a str),
}

/// Reads one line of JSON. A longer one, or the end of the connection before it, is an error.
pub(super) async fn read_line<T: serde::de::DeserializeOwned>(from: &mut Reader) -> io::Result<T> {
    let mut line = Vec::new();
    from.take(LINE_MAX as u64).read_until(b'\n', &mut line).await?;
    match line.last() {
        Some(b'\n') => from_slice(&line).map_err(io::Error::from),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads a frame of the panel's.
pub(super) async fn hear(from: &mut Reader) -> io::Result<Heard> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut head = [0; Head::BYTES];
    from.read_exact(&mut head).await?;
    let Head { kind, length } = Head::read(head).map_err(|_| invalid())?;
    let mut data = vec![0; length];
    from.read_exact(&mut data).await?;
    match kind {
        INPUT => Ok(Heard::Input(data.into())),
        INPUT_END => Ok(Heard::InputEnd),
        RESIZE => Ok(Heard::Resize(Size::read(data.try_into().map_err(|_| invalid())?))),
        _ => Err(invalid()),
    }
}

/// Writes a frame; long data makes several.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), what: Say<'_>) -> io::Result<()> {
    let code;
    let (kind, bytes) = match what {
        Say::Output(bytes) => (OUTPUT, bytes),
        Say::Error(bytes) => (ERROR, bytes),
        Say::Exit(status) => {
            code = status.to_be_bytes();
            (EXIT, &code[..])
        }
        Say::Words(words) => (WORDS, words.as_bytes()),
    };
    let mut frame = Vec::with_capacity(Head::BYTES + bytes.len().min(FRAME_MAX));
    for piece in bytes.chunks(FRAME_MAX) {
        frame.clear();
        frame.extend_from_slice(&Head { kind, length: piece.len() }.bytes());
        frame.extend_from_slice(piece);
        to.write_all(&frame).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    async fn heard(bytes: &[u8]) -> io::Result<Heard> {
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(bytes).await.unwrap();
        drop(one);
        hear(&mut BufReader::new(other.into_split().0)).await
    }

    #[tokio::test]
    async fn the_panel_sends_input_and_sizes_and_nothing_else() {
        assert_eq!(heard(&[INPUT, 0, 0, 0, 2, b'l', b's']).await.unwrap(), Heard::Input("ls".into()));
        assert_eq!(heard(&[INPUT_END, 0, 0, 0, 0]).await.unwrap(), Heard::InputEnd);
        let size = Size { columns: 300, rows: 2 };
        assert_eq!(heard(&[RESIZE, 0, 0, 0, 4, 1, 44, 0, 2]).await.unwrap(), Heard::Resize(size));
        for bad in [&[RESIZE, 0, 0, 0, 1, 1][..], &[OUTPUT, 0, 0, 0, 0], &[INPUT, 0, 1, 0, 1], &[INPUT, 0]] {
            assert!(heard(bad).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn long_output_goes_in_several_frames_and_the_end_in_one() {
        let mut sent = Vec::new();
        say(&mut sent, Say::Output(&vec![7; FRAME_MAX + 1])).await.unwrap();
        assert_eq!(sent.len(), FRAME_MAX + 1 + 2 * Head::BYTES);
        sent.clear();
        say(&mut sent, Say::Exit(3)).await.unwrap();
        assert_eq!(sent, [EXIT, 0, 0, 0, 4, 0, 0, 0, 3]);
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_none() {
        for bad in [&b"1"[..], &[b'1'; LINE_MAX + 1], b"", b"x\n"] {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(bad).await.unwrap();
            drop(one);
            assert!(read_line::<u32>(&mut BufReader::new(other.into_split().0)).await.is_err());
        }
    }
}
