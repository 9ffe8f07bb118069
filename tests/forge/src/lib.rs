//! A forge for tests: a bare repository on disk, and the API of GitHub, GitLab or Forgejo over it.
//!
//! It owns what happens at a forge: pull requests are opened, merged and closed, and the states of commits are noted. It refuses whoever
//! brings another token. It knows nothing of Berth.

mod api;
mod https;
mod proxy;

pub use api::{Answer, Api, Instead, Kind, Pull, Told, Way};
pub use https::{Forge, encoded};
pub use proxy::{Proxy, ProxyKind};

/// Makes a token that no other test has: what is sought in every command line of the machine must be this test's own.
pub fn token() -> String {
    let mut bytes = [0; 12];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).expect("randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
