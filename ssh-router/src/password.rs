//! Passwords against hashes, off the threads that carry sessions, a few at a time.

use std::num::NonZeroUsize;
use std::sync::Arc;

use argon2::{Argon2, PasswordVerifier as _};
use berth_schema::name::UserName;
use tokio::sync::Semaphore;

/// Longer than any password, shorter than what costs memory.
const LENGTH_MAX: usize = 1024;

/// Bounds how many hashes are computed at once: they take a processor each, and argon2 memory too.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    permits: Arc<Semaphore>,
}

impl Verifier {
    pub(crate) fn new(at_once: NonZeroUsize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once.get())) }
    }

    /// Which candidate's hash the password matches. A password that is refused has been tried against all, so that the
    /// time tells nothing.
    pub(crate) async fn matching(&self, password: &str, candidates: &[(UserName, String)]) -> Option<usize> {
        let password: Arc<str> = password.into();
        for (at, (_, hash)) in candidates.iter().enumerate() {
            let (password, hash) = (Arc::clone(&password), hash.clone());
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return None };
            let checked = tokio::task::spawn_blocking(move || {
                let good = matches(&password, &hash);
                drop(permit);
                good
            });
            // A task that died has matched nothing.
            if checked.await.unwrap_or(false) {
                return Some(at);
            }
        }
        None
    }
}

fn matches(password: &str, hash: &str) -> bool {
    if password.len() > LENGTH_MAX {
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
}
