//! A client's offer, read for one thing only: whether the client knows AES-GCM.
//!
//! The client's order of ciphers decides, and OpenSSH's begins with ChaCha20, which takes twice as long on a processor with
//! AES instructions. A client that knows AES-GCM is therefore offered nothing else. Pure: bytes in, an answer out.

/// Result of reading the beginning of a client's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The offer isn't complete yet.
    Unfinished,
    /// The client knows AES-GCM.
    Gcm,
    /// The client doesn't know AES-GCM, or it doesn't speak SSH.
    Other,
}

/// Longest line with a peer's name, with its line break (RFC 4253, section 4.2).
const NAME_MAX: usize = 255;
/// Longest packet that a peer must accept (section 6.1).
const PACKET_MAX: usize = 35_000;
/// Number of the message `SSH_MSG_KEXINIT`.
const KEXINIT: u8 = 20;
/// Length of the message's number and its cookie, which precede the lists.
const LISTS_AT: usize = 17;
/// Lists before the one of ciphers from client to server: key exchanges and host keys.
const LISTS_BEFORE: usize = 2;

/// Reads what a client has sent so far.
pub(crate) fn read(said: &[u8]) -> Offer {
    let begin = said.len().min(b"SSH-".len());
    if said[..begin] != b"SSH-"[..begin] {
        return Offer::Other;
    }
    let Some(end) = said.iter().take(NAME_MAX).position(|byte| *byte == b'\n') else {
        return if said.len() < NAME_MAX { Offer::Unfinished } else { Offer::Other };
    };
    let Some((length, rest)) = number(&said[end + 1..]) else { return Offer::Unfinished };
    if !(LISTS_AT..=PACKET_MAX).contains(&length) {
        return Offer::Other;
    }
    let Some(packet) = rest.get(..length) else { return Offer::Unfinished };
    match gcm_in(packet) {
        Some(true) => Offer::Gcm,
        Some(false) | None => Offer::Other,
    }
}

/// Returns whether AES-GCM is in the packet's list of ciphers; `None` if the packet lists no algorithms.
fn gcm_in(packet: &[u8]) -> Option<bool> {
    let (padding, packet) = packet.split_first()?;
    let payload = packet.get(..packet.len().checked_sub(usize::from(*padding))?)?;
    if payload.first() != Some(&KEXINIT) {
        return None;
    }
    let mut rest = payload.get(LISTS_AT..)?;
    for _ in 0..LISTS_BEFORE {
        let (length, after) = number(rest)?;
        rest = after.get(length..)?;
    }
    let (length, after) = number(rest)?;
    let mut ciphers = after.get(..length)?.split(|byte| *byte == b',');
    Some(ciphers.any(|name| name == b"aes256-gcm@openssh.com" || name == b"aes128-gcm@openssh.com"))
}

/// Splits a number of four bytes off.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*number)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name and a packet with these ciphers.
    fn said(ciphers: &str) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([7; 16]);
        for list in ["curve25519-sha256", "ssh-ed25519", ciphers, "aes256-gcm@openssh.com", ""] {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        let padding = 6;
        let length = u32::try_from(payload.len() + 1 + padding).unwrap();
        let head = [b"SSH-2.0-story\r\n".to_vec(), length.to_be_bytes().to_vec(), vec![6]].concat();
        [head, payload, vec![0; padding]].concat()
    }

    #[test]
    fn the_clients_own_ciphers_decide() {
        let openssh = "chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com";
        assert_eq!(read(&said(openssh)), Offer::Gcm);
        assert_eq!(read(&said("aes256-gcm@openssh.com")), Offer::Gcm);
        for without in
            ["chacha20-poly1305@openssh.com,aes256-ctr", "", "aes256-gcm", "xaes256-gcm@openssh.com"]
        {
            assert_eq!(read(&said(without)), Offer::Other, "{without}");
        }
    }

    #[test]
    fn every_beginning_is_unfinished_and_more_than_the_packet_changes_nothing() {
        let whole = said("aes128-gcm@openssh.com");
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Offer::Unfinished, "{end}");
        }
        assert_eq!(read(&[&whole[..], &[0xff; 100]].concat()), Offer::Gcm);
    }

    #[test]
    fn what_no_client_says_is_decided_at_once() {
        let name = b"SSH-2.0-story\r\n".to_vec();
        for nonsense in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            [&b"SSH-"[..], &[b'a'; 255]].concat(),
            [&name[..], &[0xff; 4]].concat(),
            [&name[..], &[0, 0, 0, 3, 9, 20, 0]].concat(),
            // Another message; padding longer than the packet; a list longer than the packet.
            [&name[..], &[0, 0, 0, 17], &[0; 17]].concat(),
            [&name[..], &[0, 0, 0, 17, 255, 20], &[0; 15]].concat(),
            [&name[..], &[0, 0, 0, 22, 0, 20], &[0; 16], &[0xff; 4]].concat(),
        ] {
            assert_eq!(read(&nonsense), Offer::Other, "{nonsense:?}");
        }
    }
}
