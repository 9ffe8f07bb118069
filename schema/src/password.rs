//! Password hashes that may stand in a file which everybody can read.
//!
//! Accepts bcrypt and argon2id in their usual text forms, at a cost that makes guessing slow and checking bearable: a
//! member writes their own hash, and whoever tries a password makes the platform pay for it. No message repeats the
//! value: whatever isn't a good hash may be somebody's password.

use std::str::FromStr;

use phc::PasswordHash as Phc;

use crate::invalid::Invalid;
use crate::value::text_values;

/// A bcrypt or argon2id hash that has passed its rules.
#[derive(Debug)]
pub(crate) struct PasswordHash(pub(crate) String);

/// A hash that has passed the rules but for the one on what checking costs: a routes file may be older than that rule, and
/// one member's hash is no reason to refuse everybody's routes.
#[derive(Debug)]
pub(crate) struct RoutedHash(pub(crate) String);

/// Reason why something is no good hash.
enum Refused {
    /// It couldn't be checked, or is guessed quickly.
    Unfit(Invalid),
    /// It could be checked, at a cost that nobody should pay.
    Dear(Invalid),
}

/// The least bcrypt cost (OWASP, Password Storage Cheat Sheet).
const BCRYPT_COST_MIN: u32 = 10;
/// The greatest bcrypt cost: about a second for each check. Each one more doubles it.
const BCRYPT_COST_MAX: u32 = 14;
/// bcrypt's own ceiling; a greater one is a typing mistake.
const BCRYPT_COST_END: u32 = 31;
/// The least argon2id memory in KiB, and the least product of memory and passes: every line of OWASP's table passes.
const ARGON2_MEMORY_MIN: u32 = 7168;
const ARGON2_WORK_MIN: u64 = 35_840;
/// The greatest argon2id memory in KiB, product of memory and passes, and lanes: the second choice of RFC 9106 (m=65536,
/// t=3, p=4) passes.
const ARGON2_MEMORY_MAX: u32 = 65_536;
const ARGON2_WORK_MAX: u64 = 262_144;
const ARGON2_LANES_MAX: u32 = 4;

const REPLACE: &str = "write a bcrypt or argon2id hash; `htpasswd -nBC 12 <user>` prints one after the colon";

impl FromStr for PasswordHash {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        match check(value) {
            Ok(()) => Ok(Self(value.to_owned())),
            Err(Refused::Unfit(invalid) | Refused::Dear(invalid)) => Err(invalid),
        }
    }
}

impl FromStr for RoutedHash {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        match check(value) {
            Ok(()) | Err(Refused::Dear(_)) => Ok(Self(value.to_owned())),
            Err(Refused::Unfit(invalid)) => Err(invalid),
        }
    }
}

fn check(value: &str) -> Result<(), Refused> {
    match value.split('$').collect::<Vec<_>>().as_slice() {
        ["", "2a" | "2b" | "2y", cost, rest] => check_bcrypt(cost, rest),
        [""] => Err(unfit("there is no hash in the quotes", format!("remove the line, or {REPLACE}"))),
        ["", "argon2id", ..] => check_argon2id(value),
        ["", algorithm, _, ..] if !algorithm.is_empty() => {
            Err(unfit("this is a password hash of a kind that the platform doesn't check", REPLACE))
        }
        _ => Err(not_plain(value).unwrap_or_else(|| {
            unfit(
                "this is a password in plain text, and everybody who can read the repository has it now",
                format!("treat the password as compromised: choose another, and {REPLACE}"),
            )
        })),
    }
}

/// Beginnings of hashes as other programs write them.
const OTHERS: [&str; 12] = [
    "pbkdf2_",
    "pbkdf2:",
    "scrypt:",
    "scrypt$",
    "bcrypt$",
    "bcrypt_sha256$",
    "argon2$",
    "md5$",
    "sha1$",
    "sha256$",
    "{SSHA",
    "{CRYPT}",
];

/// Recognizes what is no good hash and no password in plain text either, so that nobody is alarmed for nothing.
fn not_plain(value: &str) -> Option<Refused> {
    let is_hash = |text: &str| {
        let begins = text != value && ["$2", "$argon2id$"].iter().any(|kind| text.starts_with(kind));
        begins && matches!(check(text), Ok(()) | Err(Refused::Dear(_)))
    };
    let (message, hint) = match value {
        _ if is_hash(&value.replace("$$", "$")) => (
            "the dollar signs of this hash are doubled, as in a Compose file",
            "write each `$$` as one `$`".to_owned(),
        ),
        _ if is_hash(value.trim_start_matches('!')) => (
            "this hash is locked with a `!`, as `passwd -l` does it",
            "take the `!` away; or remove the line, and no password opens anything".to_owned(),
        ),
        _ if value.split_once(':').is_some_and(|(_, hash)| is_hash(hash)) => {
            ("this is a line of a password file", "take everything up to the colon away".to_owned())
        }
        _ if OTHERS.iter().any(|other| value.starts_with(other)) => {
            ("this is a password hash of a kind that the platform doesn't check", REPLACE.to_owned())
        }
        _ => return None,
    };
    Some(unfit(message, hint))
}

/// `$2b$<two digits>$<22 characters of salt and 31 of hash>`
fn check_bcrypt(cost: &str, rest: &str) -> Result<(), Refused> {
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    let digits = cost.len() == 2 && cost.chars().all(|c| c.is_ascii_digit());
    let cost = digits.then(|| cost.parse::<u32>().ok()).flatten();
    match cost {
        Some(cost @ ..=BCRYPT_COST_END) if rest.len() == 53 && rest.chars().all(alphabet) => match cost {
            ..BCRYPT_COST_MIN => Err(too_cheap(
                format!("a bcrypt cost of {cost}"),
                format!("a cost of {BCRYPT_COST_MIN} or more"),
            )),
            BCRYPT_COST_MIN..=BCRYPT_COST_MAX => Ok(()),
            _ => Err(too_dear(
                format!("a bcrypt cost of {cost}"),
                format!("a cost of 12, and of {BCRYPT_COST_MAX} at most"),
            )),
        },
        _ => Err(damaged("bcrypt")),
    }
}

/// `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`
fn check_argon2id(value: &str) -> Result<(), Refused> {
    let hash = Phc::new(value).map_err(|_| damaged("argon2id"))?;
    let names: Vec<_> = hash.params.iter().map(|(name, _)| name).collect();
    // Whoever checks a password may take the last of two where this takes the first.
    if names.iter().enumerate().any(|(at, name)| names[..at].contains(name)) {
        return Err(damaged("argon2id"));
    }
    let parameter = |name| hash.params.get_decimal(name);
    let (Some(memory), Some(passes), Some(lanes), Some(_), Some(_)) =
        (parameter("m"), parameter("t"), parameter("p"), hash.salt, hash.hash)
    else {
        return Err(damaged("argon2id"));
    };
    let work = u64::from(memory) * u64::from(passes);
    if memory < ARGON2_MEMORY_MIN || work < ARGON2_WORK_MIN {
        return Err(too_cheap(
            format!("argon2id with m={memory},t={passes}"),
            "m=19456,t=2,p=1 or more".to_owned(),
        ));
    }
    if memory > ARGON2_MEMORY_MAX || work > ARGON2_WORK_MAX || lanes > ARGON2_LANES_MAX {
        return Err(too_dear(
            format!("argon2id with m={memory},t={passes},p={lanes}"),
            format!(
                "m=19456,t=2,p=1, and with m={ARGON2_MEMORY_MAX},t={},p={ARGON2_LANES_MAX} at most",
                ARGON2_WORK_MAX / u64::from(ARGON2_MEMORY_MAX)
            ),
        ));
    }
    Ok(())
}

fn unfit(message: impl Into<String>, hint: impl Into<String>) -> Refused {
    Refused::Unfit(Invalid::new(message, hint))
}

fn damaged(algorithm: &str) -> Refused {
    unfit(format!("this {algorithm} hash is damaged"), REPLACE)
}

fn too_cheap(what: String, enough: String) -> Refused {
    unfit(
        format!("{what} lets a password be guessed quickly"),
        format!("hash the password again with {enough}"),
    )
}

fn too_dear(what: String, bearable: String) -> Refused {
    Refused::Dear(Invalid::new(
        format!("{what} lets whoever tries a password keep the platform busy"),
        format!("hash the password again with {bearable}"),
    ))
}

text_values! {
    PasswordHash: "a bcrypt or argon2id hash in quotes" SECRET,
    RoutedHash: "a bcrypt or argon2id hash in quotes" SECRET,
}
