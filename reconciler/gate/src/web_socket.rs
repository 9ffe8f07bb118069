//! Connections that have changed their protocol: bytes in both directions until either end leaves or the right to them ends. A
//! WebSocket is told so by a close frame, for which its frames are followed, but not read.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes that are carried at once.
const CHUNK: usize = 16 << 10;
/// Close frame: 1008, a policy was violated.
const CLOSE: &[u8] = b"\x88\x17\x03\xf0the sign-in has ended";

/// Protocol after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    WebSocket,
    Other,
}

/// Carries bytes between a visitor and an app until `over`.
pub(crate) async fn carry(
    visitor: impl AsyncRead + AsyncWrite + Unpin,
    app: impl AsyncRead + AsyncWrite + Unpin,
    protocol: Protocol,
    over: impl Future<Output = ()>,
) -> io::Result<()> {
    let (mut from_visitor, mut to_visitor) = tokio::io::split(visitor);
    let (mut from_app, mut to_app) = tokio::io::split(app);
    let mut frames = Frames::default();
    let inward = async {
        tokio::io::copy(&mut from_visitor, &mut to_app).await?;
        to_app.shutdown().await
    };
    let outward = async {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = from_app.read(&mut chunk).await?;
            let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
            // First: what is half written when this ends is half a frame.
            frames.follow(bytes);
            to_visitor.write_all(bytes).await?;
            frames.written();
        }
        to_visitor.shutdown().await
    };
    let carried = async { tokio::try_join!(inward, outward).map(|_| ()) };
    tokio::select! {
        carried = carried => return carried,
        () = over => {}
    }
    if protocol == Protocol::WebSocket && frames.is_between() {
        to_visitor.write_all(CLOSE).await?;
    }
    to_visitor.shutdown().await
}

/// Place in a stream of WebSocket frames.
#[derive(Debug, Default)]
struct Frames {
    /// Beginning of a frame whose length isn't known yet.
    head: Vec<u8>,
    /// Bytes that are still missing of the frame.
    missing: u64,
    /// Set while a chunk is on its way.
    is_writing: bool,
}

impl Frames {
    /// Goes on by these bytes.
    fn follow(&mut self, bytes: &[u8]) {
        self.is_writing = true;
        let mut rest = bytes;
        while let Some((first, more)) = rest.split_first() {
            if self.missing > 0 {
                let here = usize::try_from(self.missing).unwrap_or(usize::MAX).min(rest.len());
                self.missing -= here as u64;
                rest = rest.get(here..).unwrap_or_default();
                continue;
            }
            self.head.push(*first);
            rest = more;
            if let Some(length) = length(&self.head) {
                self.missing = length;
                self.head.clear();
            }
        }
    }

    fn written(&mut self) {
        self.is_writing = false;
    }

    /// Returns whether a frame may begin here.
    fn is_between(&self) -> bool {
        !self.is_writing && self.missing == 0 && self.head.is_empty()
    }
}

/// Length of what follows a frame's head, once the head is whole.
fn length(head: &[u8]) -> Option<u64> {
    let (_, second) = (head.first()?, *head.get(1)?);
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        short => return (head.len() == 2).then_some(u64::from(short) + mask),
    };
    let bytes = head.get(2..2 + extended)?;
    Some(bytes.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte)).saturating_add(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(length as u8),
            126..65536 => frame.extend([&[126][..], &(length as u16).to_be_bytes()].concat()),
            _ => frame.extend([&[127][..], &(length as u64).to_be_bytes()].concat()),
        }
        frame.extend(vec![0xff; length]);
        frame
    }

    #[test]
    fn frames_are_told_apart_however_they_are_cut() {
        for length in [0, 1, 125, 126, 300, 65535, 65536] {
            let stream = [frame(length), frame(3)].concat();
            for cut in [1, 2, 3, 7, 4096] {
                let (mut frames, mut between) = (Frames::default(), 0);
                for bytes in stream.chunks(cut) {
                    frames.follow(bytes);
                    assert!(!frames.is_between());
                    frames.written();
                    between += usize::from(frames.is_between());
                }
                assert!(frames.is_between(), "{length} by {cut}");
                assert!(cut > 1 || between == 2, "{length}: {between}");
            }
        }
    }

    #[tokio::test]
    async fn a_web_socket_ends_with_a_frame_and_never_within_one() {
        assert_eq!(usize::from(CLOSE[1]), CLOSE.len() - 2);
        for (sent, is_told) in [(frame(5), true), (frame(5)[..4].to_vec(), false)] {
            let (mut browser, visitor) = tokio::io::duplex(1 << 16);
            let (app, mut server) = tokio::io::duplex(1 << 16);
            let (end, over) = tokio::sync::oneshot::channel::<()>();
            let over = async move { _ = over.await };
            let carried = tokio::spawn(carry(visitor, app, Protocol::WebSocket, over));
            server.write_all(&sent).await.unwrap();
            let mut heard = vec![0; sent.len()];
            browser.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, sent);
            drop(end);
            let mut rest = Vec::new();
            browser.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, if is_told { CLOSE } else { b"" });
            carried.await.unwrap().unwrap();
        }
    }
}
