//! Codes of an app (RFC 6238: SHA-1, six digits, thirty seconds) and recovery codes. Pure, but for new secrets.

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

use super::super::secret::{NoRandom, random};

/// Seconds for which a code holds.
const STEP: i64 = 30;
/// Steps before and after the present one whose codes are taken: clocks differ.
const SKEW: u64 = 1;
/// Codes of six digits.
const CODES: u32 = 1_000_000;
/// Bytes of a secret: as many as SHA-1 gives (RFC 4226, section 4).
const SECRET: usize = 20;
/// Recovery codes of a person.
const RECOVERY: usize = 10;
/// Bytes of a recovery code: its digest can't be guessed back.
const RECOVERY_BYTES: usize = 10;

/// A code that somebody typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Six digits.
    Code(u32),
    /// A recovery code, as it is kept.
    Recovery(String),
}

impl Typed {
    /// Reads what somebody typed: spaces, hyphens and capitals count for nothing.
    pub(super) fn read(text: &str) -> Self {
        let bare: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        match bare.parse() {
            Ok(code) if bare.len() == 6 => Self::Code(code),
            _ => Self::Recovery(bare.to_ascii_lowercase()),
        }
    }
}

/// A new secret for an app, in Base32.
pub(super) fn secret() -> Result<String, NoRandom> {
    Ok(BASE32_NOPAD.encode(&random::<SECRET>()?))
}

/// New recovery codes, in groups of four characters.
pub(super) fn recovery() -> Result<Vec<String>, NoRandom> {
    let code = || {
        let text = BASE32_NOPAD.encode(&random::<RECOVERY_BYTES>()?).to_ascii_lowercase();
        let groups: Vec<&str> = (0..text.len()).step_by(4).filter_map(|at| text.get(at..at + 4)).collect();
        Ok(groups.join("-"))
    };
    (0..RECOVERY).map(|_| code()).collect()
}

/// The address by which an app takes a secret from a picture. None of the parts has to be escaped.
pub(super) fn uri(domain: &str, user: &str, secret: &str) -> String {
    format!(
        "otpauth://totp/{domain}:{user}?secret={secret}&issuer={domain}&algorithm=SHA1&digits=6&period=30"
    )
}

/// The step that a code was made for, if it is one of now and none before `last` was used.
pub(super) fn step_of(secret: &str, code: u32, now: Timestamp, last: Option<u64>) -> Option<u64> {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &BASE32_NOPAD.decode(secret.as_bytes()).ok()?);
    let present = u64::try_from(now.as_second().div_euclid(STEP)).ok()?;
    let steps = present.saturating_sub(SKEW)..=present + SKEW;
    steps.filter(|step| last.is_none_or(|last| *step > last)).find(|step| code_at(&key, *step) == Some(code))
}

/// The code of a step (RFC 4226, section 5.3).
fn code_at(key: &Key, step: u64) -> Option<u32> {
    let tag = sign(key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag.last()? & 0xf);
    let word: [u8; 4] = tag.get(at..at + 4)?.try_into().ok()?;
    Some((u32::from_be_bytes(word) & 0x7fff_ffff) % CODES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 6238, appendix B: `12345678901234567890`.
    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // Appendix B has eight digits; the last six of them are the code of six.
        for (second, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            let step = u64::try_from(second / 30).unwrap();
            assert_eq!(step_of(KEY, code, at(second), None), Some(step), "{second}");
        }
    }

    #[test]
    fn a_code_holds_one_step_before_and_after_and_once() {
        let (code, step) = (287_082, 1);
        for (second, holds) in [(0, true), (29, true), (30, true), (89, true), (90, false), (-31, false)] {
            assert_eq!(step_of(KEY, code, at(second), None).is_some(), holds, "{second}");
        }
        assert_eq!(step_of(KEY, code, at(59), Some(step - 1)), Some(step));
        assert_eq!(step_of(KEY, code, at(59), Some(step)), None);
        assert_eq!(step_of(KEY, code, at(59), Some(step + 7)), None, "a clock that went back opens nothing");
        assert_eq!(step_of(KEY, code + 1, at(59), None), None);
        assert_eq!(step_of("not base32!", code, at(59), None), None);
    }

    #[test]
    fn what_is_typed_is_read_as_it_is_meant() {
        assert_eq!(Typed::read(" 287 082\n"), Typed::Code(287_082));
        assert_eq!(Typed::read("000001"), Typed::Code(1));
        assert_eq!(Typed::read("0287082"), Typed::Recovery("0287082".to_owned()));
        assert_eq!(Typed::read("ABCD-efgh 2345-ijkl"), Typed::Recovery("abcdefgh2345ijkl".to_owned()));
        assert_eq!(Typed::read(""), Typed::Recovery(String::new()));
    }

    #[test]
    fn new_secrets_are_long_and_differ() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert_eq!((one.len(), one == other), (32, false));
        let mut codes = recovery().unwrap();
        assert!(codes.iter().all(|code| code.len() == 19 && code.matches('-').count() == 3), "{codes:?}");
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), RECOVERY);
        let Typed::Recovery(bare) = Typed::read(&codes[0]) else { panic!("{codes:?}") };
        assert_eq!(bare, codes[0].replace('-', ""));
    }
}
