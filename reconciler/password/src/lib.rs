//! Passwords: which may be chosen, how one is hashed, and whether one is right.
//!
//! Owns the judgement that every door makes in the same way. Refuses to decide which hashes may be checked at all (the
//! schema bounds their cost), how many checks run at once, and how often somebody may try (the doors do).

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};

/// The longest password, in bytes. It bounds the memory that one check takes.
pub const LONGEST: usize = 1024;
/// The shortest password that may be chosen, in characters.
pub const SHORTEST: usize = 10;
/// Bytes of a salt.
pub const SALT: usize = 16;
/// Hash of no password. Checked where somebody has none, so that it takes as long as where they have one.
pub const STAND_IN: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password that may not be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too short, so that it is guessed easily.
    #[error("the password is too short: it needs {SHORTEST} characters at least")]
    Short,
    /// Longer than any that is checked.
    #[error("the password is too long: it may have {LONGEST} bytes at most")]
    Long,
    /// The first thing that anybody tries.
    #[error("the password is the user's name")]
    Name,
}

/// A password that can't be hashed.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash a password")]
pub struct HashError(#[from] argon2::password_hash::Error);

/// Checks a password that somebody chooses for the user of this name.
pub fn check(password: &str, name: &str) -> Result<(), Unfit> {
    if password.len() > LONGEST {
        return Err(Unfit::Long);
    }
    if password.trim().to_lowercase() == name {
        return Err(Unfit::Name);
    }
    match password.chars().count() {
        ..SHORTEST => Err(Unfit::Short),
        _ => Ok(()),
    }
}

/// Returns the hash of a password: argon2id with m=19456, t=2 and p=1. The salt has to be random.
pub fn hash(password: &str, salt: &[u8; SALT]) -> Result<String, HashError> {
    Ok(Argon2::default().hash_password_with_salt(password.as_bytes(), salt)?.to_string())
}

/// Returns whether a password is the one that was hashed, by bcrypt or argon2id. Takes as long as the hash costs.
pub fn matches(password: &str, hash: &str) -> bool {
    if password.len() > LONGEST {
        return false;
    }
    match hash.starts_with("$argon2id$") {
        true => Argon2::default().verify_password(password.as_bytes(), hash).is_ok(),
        false => bcrypt::verify(password, hash).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_hash_are_checked() {
        let bcrypt = bcrypt::hash("secret", 4).unwrap();
        assert!(matches("secret", &bcrypt) && !matches("Secret", &bcrypt));
        assert!(matches("secret", &bcrypt.replace("$2b$", "$2y$")));
        assert!(!matches(&"x".repeat(2000), &bcrypt) && !matches("secret", "nonsense"));
        let argon = "$argon2id$v=19$m=8192,t=5,p=1$c29tZXNhbHRzYWx0$";
        assert!(!matches("secret", argon));
    }

    #[test]
    fn a_hash_is_of_its_password_and_says_what_it_costs() {
        let hash = hash("correct horse", &[7; SALT]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(matches("correct horse", &hash) && !matches("correct house", &hash));
        // The stand-in costs the same, and no password opens it.
        let cost = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(STAND_IN), cost(&hash));
        assert!(
            Argon2::default()
                .verify_password(b"", STAND_IN)
                .is_err_and(|error| error == argon2::password_hash::Error::PasswordInvalid)
        );
    }

    #[test]
    fn a_password_that_is_guessed_first_is_not_chosen() {
        assert_eq!(check("ten chars!", "ann"), Ok(()));
        assert_eq!(check("ąčęėįšųūž", "ann"), Err(Unfit::Short));
        assert_eq!(check("Anna-Maria-Long", "anna-maria-long"), Err(Unfit::Name));
        assert_eq!(check(&"x".repeat(LONGEST), "ann"), Ok(()));
        assert_eq!(check(&"x".repeat(LONGEST + 1), "ann"), Err(Unfit::Long));
    }
}
