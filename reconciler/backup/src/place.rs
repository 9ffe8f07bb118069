//! Paths of a server's data, as the server sees them, and the volume in which each lies.

use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use berth_schema::text::shown;

/// Folders of a server that outlive its container, each with the end of its volume's name.
const FOLDERS: [(&str, &str); 3] = [("/apps", "apps"), ("/home", "home"), ("/var/lib/docker", "docker")];

/// A file or folder of a server's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPath {
    /// End of its volume's name.
    volume: &'static str,
    /// Its path below that; empty for all of it.
    below: String,
}

/// A path that isn't of a server's data.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a path below /apps, /home or /var/lib/docker; write it as it is in the server, without `..`"
)]
pub struct NoServerPath(String);

impl FromStr for ServerPath {
    type Err = NoServerPath;

    fn from_str(text: &str) -> Result<Self, NoServerPath> {
        let refused = || NoServerPath(shown(text));
        let is_plain = Path::new(text)
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !is_plain || text.contains(char::is_control) {
            return Err(refused());
        }
        let found = FOLDERS.iter().find_map(|(folder, volume)| {
            let below = Path::new(text).strip_prefix(folder).ok()?;
            Some(Self { volume, below: below.to_str()?.to_owned() })
        });
        found.ok_or_else(refused)
    }
}

impl ServerPath {
    /// All of the volume whose name ends so.
    pub(crate) fn whole(volume: &str) -> Option<Self> {
        let (_, volume) = FOLDERS.iter().find(|(_, end)| *end == volume)?;
        Some(Self { volume, below: String::new() })
    }

    /// End of its volume's name.
    pub fn volume(&self) -> &'static str {
        self.volume
    }

    /// Its path in the volume; empty for all of it.
    pub fn below(&self) -> &str {
        &self.below
    }

    /// Its path in a copy.
    pub(crate) fn in_copy(&self) -> String {
        match self.below.is_empty() {
            true => format!("/{}", self.volume),
            false => format!("/{}/{}", self.volume, self.below),
        }
    }
}

impl fmt::Display for ServerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder =
            FOLDERS.iter().find(|(_, volume)| *volume == self.volume).map_or("", |(folder, _)| folder);
        match self.below.is_empty() {
            true => f.write_str(folder),
            false => write!(f, "{folder}/{}", self.below),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn a_path_of_a_server_s_data_has_a_volume() {
        for (text, copy) in [
            ("/apps", "/apps"),
            ("/apps/shop/", "/apps/shop"),
            ("/home/ann/a b*", "/home/ann/a b*"),
            ("/var/lib/docker/volumes", "/docker/volumes"),
        ] {
            let path: ServerPath = text.parse().unwrap();
            assert_eq!(path.in_copy(), copy);
            assert_eq!(path.to_string(), text.trim_end_matches('/'));
        }
        for bad in ["", "/", "/etc", "apps/shop", "/apps/../etc", "/application", "/apps/a\nb", "/var/lib"] {
            assert!(bad.parse::<ServerPath>().is_err(), "{bad:?}");
        }
    }
}
