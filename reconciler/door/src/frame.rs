//! Frames of the git door (`berth_schema::door`), read and written. Never holds more than one.

use std::io;

use berth_schema::door::{EXIT, FRAME_MAX, Head};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;

/// Receiving half of a connection.
pub(crate) type Reader = BufReader<OwnedReadHalf>;

/// Reads a frame into `payload` and returns its kind; `None` where the stream ends between two frames.
pub(super) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    payload: &mut Vec<u8>,
) -> io::Result<Option<u8>> {
    let mut head = [0; Head::BYTES];
    let (first, rest) = head.split_at_mut(1);
    if from.read(first).await? == 0 {
        return Ok(None);
    }
    from.read_exact(rest).await?;
    let Head { kind, length } =
        Head::read(head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    payload.resize(length, 0);
    from.read_exact(payload).await?;
    Ok(Some(kind))
}

/// Writes bytes as frames of one kind; no bytes are no frame.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), kind: u8, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(FRAME_MAX) {
        to.write_all(&Head { kind, length: part.len() }.bytes()).await?;
        to.write_all(part).await?;
    }
    to.flush().await
}

/// Writes the last frame.
pub(super) async fn write_exit(to: &mut (impl AsyncWrite + Unpin), code: i32) -> io::Result<()> {
    write(to, EXIT, &code.to_be_bytes()).await
}

#[cfg(test)]
mod tests {
    use berth_schema::door::{INPUT, OUTPUT};

    use super::*;

    #[tokio::test]
    async fn what_is_written_can_be_read_again() {
        let long = vec![7; FRAME_MAX + 1];
        let mut bytes = Vec::new();
        write(&mut bytes, OUTPUT, &long).await.unwrap();
        write(&mut bytes, OUTPUT, &[]).await.unwrap();
        write_exit(&mut bytes, 129).await.unwrap();
        let (mut from, mut payload) = (&bytes[..], Vec::new());
        for (kind, expected) in [(OUTPUT, &long[1..]), (OUTPUT, &long[..1]), (EXIT, &[0, 0, 0, 129][..])] {
            assert_eq!(read(&mut from, &mut payload).await.unwrap(), Some(kind));
            assert_eq!(payload, expected);
        }
        assert_eq!(read(&mut from, &mut payload).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_frame_that_is_too_long_or_ends_early_is_refused() {
        let mut payload = Vec::new();
        let mut long = vec![INPUT];
        long.extend(u32::MAX.to_be_bytes());
        assert!(read(&mut &long[..], &mut payload).await.is_err());
        assert!(payload.is_empty(), "no memory for what nobody sent");
        for short in [&[INPUT, 0, 0][..], &[INPUT, 0, 0, 0, 2, 1]] {
            assert!(read(&mut &short[..], &mut payload).await.is_err());
        }
    }
}
