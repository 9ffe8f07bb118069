//! Password hashes: what may stand in a file that everybody can read.
//!
//! Accepts bcrypt and argon2id in their usual text forms, at a cost that makes guessing slow. No message repeats the
//! value: whatever isn't a good hash may be somebody's password.

use std::str::FromStr;

use phc::PasswordHash as Phc;

use crate::name::Invalid;
use crate::value::text_values;

/// A bcrypt or argon2id hash that has passed its rules.
#[derive(Debug)]
pub(crate) struct PasswordHash(pub(crate) String);

/// The least bcrypt cost (OWASP, Password Storage Cheat Sheet).
const BCRYPT_COST_MIN: u32 = 10;
/// bcrypt's own ceiling; a greater one is a typing mistake that would lock the member out.
const BCRYPT_COST_MAX: u32 = 31;
/// The least argon2id memory in KiB, and the least product of memory and passes: every line of OWASP's table passes.
const ARGON2_MEMORY_MIN: u32 = 7168;
const ARGON2_WORK_MIN: u64 = 35_840;

const REPLACE: &str = "write a bcrypt or argon2id hash; `htpasswd -nBC 12 <user>` prints one after the colon";

impl FromStr for PasswordHash {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        let checked = match value.split('$').collect::<Vec<_>>().as_slice() {
            ["", "2a" | "2b" | "2y", cost, rest] => check_bcrypt(cost, rest),
            [""] => {
                Err(Invalid::new("there is no hash in the quotes", format!("remove the line, or {REPLACE}")))
            }
            ["", "argon2id", ..] => check_argon2id(value),
            ["", algorithm, _, ..] if !algorithm.is_empty() => Err(Invalid::new(
                "this is a password hash of a kind that the platform doesn't check",
                REPLACE,
            )),
            _ => Err(Invalid::new(
                "this is a password in plain text, and everybody who can read the repository has it now",
                format!("treat the password as compromised: choose another, and {REPLACE}"),
            )),
        };
        checked.map(|()| Self(value.to_owned()))
    }
}

/// `$2b$<two digits>$<22 characters of salt and 31 of hash>`
fn check_bcrypt(cost: &str, rest: &str) -> Result<(), Invalid> {
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    let cost = (cost.len() == 2).then(|| cost.parse::<u32>().ok()).flatten();
    match cost {
        Some(cost @ ..=BCRYPT_COST_MAX) if rest.len() == 53 && rest.chars().all(alphabet) => {
            if cost < BCRYPT_COST_MIN {
                return Err(too_cheap(
                    format!("a bcrypt cost of {cost}"),
                    format!("a cost of {BCRYPT_COST_MIN} or more"),
                ));
            }
            Ok(())
        }
        _ => Err(damaged("bcrypt")),
    }
}

/// `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`
fn check_argon2id(value: &str) -> Result<(), Invalid> {
    let hash = Phc::new(value).map_err(|_| damaged("argon2id"))?;
    let parameter = |name| hash.params.get_decimal(name);
    let (Some(memory), Some(passes), Some(_), Some(_)) =
        (parameter("m"), parameter("t"), hash.salt, hash.hash)
    else {
        return Err(damaged("argon2id"));
    };
    if memory < ARGON2_MEMORY_MIN || u64::from(memory) * u64::from(passes) < ARGON2_WORK_MIN {
        return Err(too_cheap(
            format!("argon2id with m={memory},t={passes}"),
            "m=19456,t=2,p=1 or more".to_owned(),
        ));
    }
    Ok(())
}

fn damaged(algorithm: &str) -> Invalid {
    Invalid::new(format!("this {algorithm} hash is damaged"), REPLACE)
}

fn too_cheap(what: String, enough: String) -> Invalid {
    Invalid::new(
        format!("{what} lets a password be guessed quickly"),
        format!("hash the password again with {enough}"),
    )
}

text_values! {
    PasswordHash: "a bcrypt or argon2id hash in quotes" SECRET,
}
