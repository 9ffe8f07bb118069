//! An app that makes codes for a second factor, written after the RFCs alone (6238, 4226, 2104, 3174, 4648), so that it agrees with
//! the door only where both are right.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds for which a code holds.
const STEP: u64 = 30;

/// The code of a secret in Base32 for the step that is this many after the present one. Spaces in it count for nothing.
pub fn code(secret: &str, ahead: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    code_at(secret, now / STEP + ahead)
}

fn code_at(secret: &str, step: u64) -> String {
    let tag = hmac(&base32(secret), &step.to_be_bytes());
    let at = usize::from(tag[19] % 16);
    let number = tag[at..at + 4].iter().fold(0_u64, |number, byte| number * 256 + u64::from(*byte));
    format!("{:06}", number % (1 << 31) % 1_000_000)
}

/// For keys that are shorter than a block.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 20] {
    let pad = |byte: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect::<Vec<u8>>();
    sha1(&[pad(0x5c), sha1(&[pad(0x36), text.to_vec()].concat()).to_vec()].concat())
}

fn sha1(text: &[u8]) -> [u8; 20] {
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((text.len() as u64 * 8).to_be_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        let word = |bytes: &[u8]| bytes.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let mut words: Vec<u32> = block.chunks_exact(4).map(word).collect();
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.into_iter().enumerate() {
            let (mix, constant) = match at / 20 {
                0 => (b & c | !b & d, 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = [mix, e, constant, word].into_iter().fold(a.rotate_left(5), u32::wrapping_add);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut out = [0; 20];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn base32(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for place in text.chars().filter_map(|c| alphabet.find(c)) {
        bits = bits << 5 | place as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ";
        let of = |second: u64| code_at(secret, second / STEP);
        assert_eq!([of(59), of(1_234_567_890), of(20_000_000_000)], ["287082", "005924", "353130"]);
    }
}
