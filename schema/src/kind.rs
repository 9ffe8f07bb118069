//! The four kinds of file, and which path holds which.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host_name;
use crate::invalid::Invalid;
use crate::name::{Fqdn, ServerName, UserName};
use crate::suggest;
use crate::text::shown;

/// A kind of file that says something about the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `platform.toml`
    Platform,
    /// `users/<user>.toml`
    User,
    /// `servers/<name>.toml`
    Server,
    /// `domains/<fqdn>.toml`
    Domain,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Platform, Self::User, Self::Server, Self::Domain];

    /// The kind's name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::User => "user",
            Self::Server => "server",
            Self::Domain => "domain",
        }
    }

    /// The kind of the file at `path`; `None` where no state lives, or when the path isn't a good one.
    pub fn of(path: &str) -> Option<Self> {
        match Subject::of(path) {
            Ok(Some(Subject::Platform)) => Some(Self::Platform),
            Ok(Some(Subject::User(_))) => Some(Self::User),
            Ok(Some(Subject::Server(_))) => Some(Self::Server),
            Ok(Some(Subject::Domain(_))) => Some(Self::Domain),
            Ok(None) | Err(_) => None,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Subject of a file, as its path names it.
#[derive(Debug)]
pub(crate) enum Subject {
    Platform,
    User(UserName),
    Server(ServerName),
    Domain(Fqdn),
}

const FOLDERS: [&str; 3] = ["users", "servers", "domains"];

impl Subject {
    /// `Ok(None)` is a path that the platform doesn't read: documents, dotfiles, licences.
    pub(crate) fn of(path: &str) -> Result<Option<Self>, Invalid> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folder = path.split_once('/').map(|(folder, _)| folder);
        let hidden = path.split('/').any(|part| part.starts_with('.'));
        let document =
            ["README", "LICENSE"].iter().any(|start| name.starts_with(start)) && !name.ends_with(".toml");
        if hidden || document || folder == Some("docs") {
            return Ok(None);
        }
        match folder {
            None if name == "platform.toml" => Ok(Some(Self::Platform)),
            None if name.starts_with("platform.") => {
                Err(unread(path, "the platform's settings are in `platform.toml`; rename it"))
            }
            Some(folder) if FOLDERS.contains(&folder) => Self::within(folder, path).map(Some),
            _ if name.ends_with(".toml") => Err(misplaced(path, folder)),
            _ => Ok(None),
        }
    }

    fn within(folder: &str, path: &str) -> Result<Self, Invalid> {
        let name = &path[folder.len() + 1..];
        if name.contains('/') {
            return Err(unread(path, format!("move it to `{folder}/`, which has no folders in it")));
        }
        let Some(stem) = name.strip_suffix(".toml") else {
            return Err(unread(
                path,
                format!("`{folder}/` holds `.toml` files; rename it, or move it to `docs/`"),
            ));
        };
        let rename =
            |invalid: Invalid| Invalid::new(invalid.message, format!("rename the file: {}", invalid.hint));
        if folder == "domains"
            && let Some(records) = host_name::of_records(stem)
        {
            let hint = "such names hold DNS records and serve no web, so there is nothing to do for them here: remove the file";
            return Err(Invalid::new(records.message, hint));
        }
        match folder {
            "users" => stem.parse().map(Self::User).map_err(rename),
            "servers" => stem.parse().map(Self::Server).map_err(rename),
            _ => domain(stem).map(Self::Domain).map_err(rename),
        }
    }
}

fn domain(stem: &str) -> Result<Fqdn, Invalid> {
    if let Some(parent) = stem.strip_prefix("*.") {
        let message = format!("`{}` is not a file name that every system can hold", shown(stem));
        return Err(Invalid::new(message, format!("call it `_.{}.toml`", shown(parent))));
    }
    match stem.strip_prefix("_.") {
        Some(parent) => format!("*.{parent}").parse(),
        None => stem.parse(),
    }
}

fn misplaced(path: &str, folder: Option<&str>) -> Invalid {
    let places =
        "put it in `users/`, `servers/` or `domains/`, or under `docs/` if the platform shouldn't read it";
    let wrong = folder.unwrap_or(path);
    let known: &[&str] = if folder.is_some() { &FOLDERS } else { &["platform.toml"] };
    let hint = match suggest::nearest(&wrong.to_lowercase(), known.iter().copied()) {
        Some(right) => format!("did you mean `{right}{}`?", shown(&path[wrong.len()..])),
        None => places.to_owned(),
    };
    unread(path, hint)
}

fn unread(path: &str, hint: impl Into<String>) -> Invalid {
    Invalid::new(format!("nothing reads `{}`", shown(path)), hint)
}
