//! An app that makes codes, after the RFCs alone: HMAC is written out here, as is Base32.

use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The code of a secret in Base32, at a time.
pub(crate) fn code(secret: &str, at: Timestamp) -> String {
    let step = (at.as_second() / 30).to_be_bytes();
    let tag = hmac(&base32(secret), &step);
    let at = usize::from(tag[19] % 16);
    let number = tag[at..at + 4].iter().fold(0_u64, |number, byte| number * 256 + u64::from(*byte));
    format!("{:06}", number % (1 << 31) % 1_000_000)
}

/// RFC 2104, for keys that are shorter than a block.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect::<Vec<u8>>();
    let sha1 = |parts: [&[u8]; 2]| digest(&SHA1_FOR_LEGACY_USE_ONLY, &parts.concat()).as_ref().to_vec();
    let inner = sha1([&pad(0x36), text]);
    sha1([&pad(0x5c), &inner])
}

/// RFC 4648, section 6.
fn base32(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = text.chars().map(|c| format!("{:05b}", alphabet.find(c).unwrap())).collect();
    bits.as_bytes()
        .chunks_exact(8)
        .map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap())
        .collect()
}

#[test]
fn its_codes_are_those_of_the_rfc() {
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let of = |second| code(secret, Timestamp::from_second(second).unwrap());
    assert_eq!([of(59), of(1_234_567_890), of(2_000_000_000)], ["287082", "005924", "279037"]);
}
