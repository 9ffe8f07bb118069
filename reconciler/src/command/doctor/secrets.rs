//! The secrets that the state refers to: whether each is there, for root alone, and of the right form.

use std::path::Path;

use anyhow::Context as _;
use berth_fault::chain;
use berth_schema::secret::{Need, Reference, SecretName};
use berth_schema::text::counted;
use berth_secrets::{SecretError, Secrets};
use serde::Serialize;

use crate::command::{Exit, secret};
use crate::draw::{print, say};
use crate::settings::Settings;

/// State of one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Is {
    Good,
    /// It isn't there, and something doesn't work without it.
    Missing,
    /// It isn't there, and nothing needs it.
    Absent,
    /// It is there, and of no use.
    Wrong,
    /// It is there, and nothing uses it.
    Unused,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    secret: String,
    used_by: Option<&'static str>,
    is: Is,
    why: Option<String>,
}

pub(super) fn run(json: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let references = secret::references(settings).context("cannot tell which secrets the state refers to")?;
    let lines = check(&Secrets::of(&settings.data), &references, &settings.remote())?;
    if json {
        print(&serde_json::to_string_pretty(&lines).context("cannot write the report")?);
    } else {
        lines.iter().for_each(|line| print(&line.text()));
    }
    let bad = lines.iter().filter(|line| matches!(line.is, Is::Missing | Is::Wrong)).count();
    Ok(match bad {
        0 => {
            say("Secrets: all that are needed are there.");
            Exit::Ok
        }
        _ => {
            say(&format!("Secrets: {} to mend.", counted(bad, "thing")));
            Exit::Changes
        }
    })
}

fn check(secrets: &Secrets, references: &[Reference], remote: &Path) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    if let Err(error) = secrets.check() {
        let folder = secrets.folder().display().to_string();
        lines.push(Line { secret: folder, used_by: None, is: Is::Wrong, why: Some(chain(&error)) });
    }
    let stored: Vec<SecretName> = secrets.list()?.into_iter().map(|stored| stored.name).collect();
    let used = |reference: &&Reference| reference.need != Need::Unused || stored.contains(&reference.name);
    lines.extend(references.iter().filter(used).map(|reference| referred(secrets, reference)));
    let refers = |name: &SecretName| references.iter().any(|reference| reference.name == *name);
    lines.extend(stored.iter().filter(|name| !refers(name)).map(|name| Line {
        secret: name.to_string(),
        used_by: None,
        is: Is::Unused,
        why: Some("nothing in the state refers to it".to_owned()),
    }));
    for file in ["token", "webhook-secret", "deploy-key"].map(|file| remote.join(file)) {
        if file.exists() {
            let why = "`berth remote` moves it to the other secrets when it begins".to_owned();
            lines.push(Line {
                secret: file.display().to_string(),
                used_by: None,
                is: Is::Unused,
                why: Some(why),
            });
        }
    }
    Ok(lines)
}

fn referred(secrets: &Secrets, reference: &Reference) -> Line {
    let Reference { by, name, need } = reference;
    let without = |is: Is| {
        let why =
            format!("without it, {}; `berth secret set {name}` stores it ({})", by.without, by.form.words());
        (is, Some(why))
    };
    let (is, why) = match (secrets.read(name, by.form), need) {
        (Ok(_), Need::Unused) => (Is::Unused, Some("`[remote]` doesn't need it as it is".to_owned())),
        (Ok(_), _) => (Is::Good, None),
        (Err(SecretError::Missing { .. }), Need::Needed) => without(Is::Missing),
        (Err(SecretError::Missing { .. }), _) => without(Is::Absent),
        (Err(error), _) => (Is::Wrong, Some(chain(&error))),
    };
    Line { secret: name.to_string(), used_by: Some(by.field), is, why }
}

impl Line {
    fn text(&self) -> String {
        let is = match self.is {
            Is::Good => "good",
            Is::Missing => "MISSING",
            Is::Absent => "absent",
            Is::Wrong => "WRONG",
            Is::Unused => "unused",
        };
        let used_by = self.used_by.map(|field| format!(" ({field})")).unwrap_or_default();
        let why = self.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{is:<8} {}{used_by}{why}", self.secret)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use berth_schema::{Parsed, State};

    use super::*;

    fn references(remote: &str) -> Vec<Reference> {
        let text = format!("domain = \"hosting.example.org\"\n[remote]\n{remote}");
        State::assemble([&Parsed::parse("platform.toml", &text)]).unwrap().secrets()
    }

    #[test]
    fn each_secret_is_told_with_what_it_is_for() {
        let data = tempfile::tempdir().unwrap();
        let secrets = Secrets::of(data.path());
        let remote = data.path().join("remote");
        let of = |text: &str| -> Vec<String> {
            let lines = check(&secrets, &references(text), &remote).unwrap();
            lines.iter().map(|line| format!("{:?} {}", line.is, line.secret)).collect()
        };
        let https = "url = \"https://git.example.org/a/b\"\nforge = \"gitlab\"\nlisten = \"127.0.0.1:0\"\n";
        assert_eq!(of("url = \"/srv/state.git\"\n"), [""; 0]);
        assert_eq!(of(https), ["Absent forge-token", "Missing forge-webhook"]);
        let name = |text: &str| text.parse::<SecretName>().unwrap();
        secrets.set(&name("forge-webhook"), b"sixteen letters!", None).unwrap();
        secrets.set(&name("forge-token"), b"two words", None).unwrap();
        secrets.set(&name("old"), b"s3cret", None).unwrap();
        assert_eq!(of(https), ["Wrong forge-token", "Good forge-webhook", "Unused old"]);
        let path = secrets.path(&name("forge-webhook"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::create_dir(&remote).unwrap();
        fs::write(remote.join("token"), "s3cret").unwrap();
        let left = format!("Unused {}", remote.join("token").display());
        assert_eq!(of(https), ["Wrong forge-token", "Wrong forge-webhook", "Unused old", &left]);
        assert_eq!(
            of("url = \"git@git.example.org:a/b\"\n")[..3],
            ["Wrong forge-token", "Wrong forge-webhook", "Missing forge-deploy-key"]
        );
    }
}
