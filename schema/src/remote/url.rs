//! The URL of the repository at the forge.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use serde::{Serialize, Serializer};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::text_values;

/// URL that git fetches from. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl(String);

/// Transport by which git fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP over TLS.
    Https,
    /// SSH.
    Ssh,
    /// A folder of this machine.
    Path,
}

const URL_HINT: &str = "write it as `https://git.example.org/org/state.git`, `ssh://git@git.example.org/org/state.git` or an \
     absolute path, without a password: `token` names the one on the host (docs/forge.md)";

impl RemoteUrl {
    /// Returns the URL as git takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Transport by which git fetches.
    pub fn transport(&self) -> Transport {
        match self.0.as_str() {
            url if url.starts_with("https://") => Transport::Https,
            url if url.starts_with('/') => Transport::Path,
            _ => Transport::Ssh,
        }
    }

    /// The forge's host, as in the URL but without a port that isn't HTTPS's, and the repository's path on it without `.git`.
    /// `None` for a folder.
    pub fn place(&self) -> Option<(&str, &str)> {
        let (authority, path) = match self.0.split_once("://") {
            Some((_, rest)) => rest.split_once('/')?,
            None => self.0.split_once(':').filter(|_| !self.0.starts_with('/'))?,
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match self.transport() {
            Transport::Https => host,
            // The port is sshd's.
            _ => host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(host, _)| host),
        };
        let path = path.trim_matches('/');
        Some((host, path.strip_suffix(".git").unwrap_or(path)))
    }
}

impl FromStr for RemoteUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |message: String| Err(Invalid::new(message, URL_HINT));
        let plain = |c: char| c.is_ascii_graphic() && !"\"'`\\$<>|;&(){}*?#".contains(c);
        // What begins with a hyphen, a program could take for an option.
        let user = |name: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && !name.starts_with('-') && name.chars().all(good)
        };
        let host = |host: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
            !host.is_empty() && !host.starts_with('-') && host.chars().all(good)
        };
        let repository = |path: &str| !path.trim_matches('/').is_empty() && !path.starts_with('-');
        if text.is_empty() || !text.chars().all(plain) {
            let message = "this is not the URL of a repository: it has a character that no such URL needs";
            return refused(message.to_owned());
        }
        let good = if let Some(rest) = text.strip_prefix("https://") {
            let Some((authority, path)) = rest.split_once('/') else {
                return refused(format!("`{}` names no repository", shown(text)));
            };
            if authority.contains('@') {
                return refused(
                    "the URL holds a name or a password, and whoever reads the state repo would have it"
                        .to_owned(),
                );
            }
            host(authority) && text.parse::<Uri>().is_ok() && repository(path)
        } else if let Some(rest) = text.strip_prefix("ssh://") {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (name, at) =
                authority.rsplit_once('@').map_or((None, authority), |(name, at)| (Some(name), at));
            if name.is_some_and(|name| name.contains(':')) {
                return refused(
                    "the URL holds a password, and whoever reads the state repo would have it".to_owned(),
                );
            }
            name.is_none_or(user) && host(at) && repository(path)
        } else if text.starts_with('/') {
            repository(text)
        } else if let Some((authority, path)) =
            text.split_once(':').filter(|(_, path)| !path.starts_with("//"))
        {
            // git's short form. Its own rule: no slash before the colon.
            let (name, at) = authority.rsplit_once('@').unwrap_or(("git", authority));
            user(name) && host(at) && !at.contains(':') && repository(path) && !path.starts_with(':')
        } else {
            false
        };
        match good {
            true => Ok(Self(text.to_owned())),
            false => refused("this is not the URL of a repository that Berth fetches from".to_owned()),
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for RemoteUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

written_as! {
    RemoteUrl: {
        "type": "string",
        "pattern": "^(https://|ssh://|/|[A-Za-z0-9_.-]+(@[A-Za-z0-9.-]+)?:)",
        "examples": ["https://git.example.org/org/state.git", "ssh://git@git.example.org/org/state.git"],
    },
}

text_values! {
    RemoteUrl: "the URL of the repository in quotes, such as \"https://git.example.org/org/state.git\"" SECRET,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Option<(String, String)> {
        let url: RemoteUrl = url.parse().unwrap();
        url.place().map(|(host, path)| (host.to_owned(), path.to_owned()))
    }

    #[test]
    fn a_url_names_host_and_repository() {
        let named = |host: &str, path: &str| Some((host.to_owned(), path.to_owned()));
        assert_eq!(place("https://github.com/org/state.git"), named("github.com", "org/state"));
        assert_eq!(
            place("https://git.example.org:3000/org/state"),
            named("git.example.org:3000", "org/state")
        );
        assert_eq!(place("ssh://git@git.example.org:2222/a/b/c.git"), named("git.example.org", "a/b/c"));
        assert_eq!(place("git@github.com:org/state.git"), named("github.com", "org/state"));
        assert_eq!(place("/srv/state.git"), None);
    }

    #[test]
    fn what_could_be_an_option_a_command_or_a_secret_is_no_url() {
        for url in [
            "",
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ext::sh -c x",
            "ext::x",
            "fd::3",
            "file:///srv/state.git",
            "git://git.example.org/state.git",
            "http://git.example.org/org/state.git",
            "https://git.example.org",
            "https://git.example.org/",
            "https://ann:pass@git.example.org/org/state.git",
            "https://token@git.example.org/org/state.git",
            "ssh://-oProxyCommand=x/org",
            "ssh://git:pass@git.example.org/org/state.git",
            "-x@host:org/state",
            "git@-oProxyCommand=x:org",
            "host:-x",
            "org/state",
            "/",
            "/srv/$(x)",
            "/srv/a b",
        ] {
            assert!(url.parse::<RemoteUrl>().is_err(), "{url}");
        }
    }
}
