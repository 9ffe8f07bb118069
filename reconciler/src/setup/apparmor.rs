//! AppArmor profiles of Berth's own: their texts, the files from which the host loads them at every start, and loading them now.
//!
//! The files are Berth's alone, and replaced without a copy: the host loads whatever lies in that folder, so a copy would be loaded, too.
//! Additions of somebody else have a place of their own, `local/` (apparmor.d(5)).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_host::file::replace;
use berth_host::process::installed;
use berth_host::{has_apparmor, loaded_profiles};
use berth_plan::apparmor::{FIREWALL, SERVER};

/// The folder of the host's profiles.
const FOLDER: &str = "/etc/apparmor.d";
/// The program that loads a profile.
pub const PARSER: &str = "apparmor_parser";
/// The features that the texts are written for (AppArmor 4: Debian 13, Ubuntu 24.04), and those of AppArmor 3 (Debian 12).
const ABI: &str = "abi/4.0";
const OLDER_ABI: &str = "abi/3.0";
/// End of a line that AppArmor 3 doesn't understand, and that it needs nothing in the place of.
const NEWER: &str = "# abi 4.0";

/// The profiles, with their texts.
const TEXTS: [(&str, &str); 2] = [
    (SERVER, include_str!("../../../templates/apparmor/berth-server")),
    (FIREWALL, include_str!("../../../templates/apparmor/berth-firewall")),
];

/// A profile that isn't loaded as this release has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingProfile {
    /// Its name, which is that of its file.
    pub name: &'static str,
    path: PathBuf,
    text: String,
}

/// A profile that can't be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ProfileError {
    #[error("cannot list the AppArmor profiles that are loaded")]
    List(#[source] io::Error),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "the kernel has AppArmor, and `{PARSER}` isn't installed, which loads its profiles: install the package `apparmor`"
    )]
    NoParser,
    #[error("cannot run {PARSER}")]
    Run(#[source] io::Error),
    #[error("cannot load the AppArmor profile {}: {said}", path.display())]
    Refused { path: PathBuf, said: String },
}

/// The profiles that this host should have and hasn't loaded as this release has them; none where the kernel has no AppArmor.
pub fn missing() -> Result<Vec<MissingProfile>, ProfileError> {
    if !has_apparmor() {
        return Ok(Vec::new());
    }
    missing_in(FOLDER.as_ref(), &loaded_profiles().map_err(ProfileError::List)?)
}

fn missing_in(folder: &Path, loaded: &BTreeSet<String>) -> Result<Vec<MissingProfile>, ProfileError> {
    let is_newer = folder.join(ABI).exists();
    let mut missing = Vec::new();
    for (name, text) in TEXTS {
        let (path, text) = (folder.join(name), fitted(text, is_newer));
        let found = match fs::read_to_string(&path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(ProfileError::Read { path, source }),
        };
        if found.as_deref() != Some(&*text) || !loaded.contains(name) {
            missing.push(MissingProfile { name, path, text });
        }
    }
    Ok(missing)
}

/// A text, as the host's AppArmor understands it.
fn fitted(text: &str, is_newer: bool) -> String {
    if is_newer {
        return text.to_owned();
    }
    let lines = text.lines().filter(|line| !line.ends_with(NEWER));
    lines.map(|line| format!("{}\n", line.replace(ABI, OLDER_ABI))).collect()
}

impl MissingProfile {
    /// Path of its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file, and loads the profile. Processes that have an earlier version of it have this one from then on.
    pub fn load(&self) -> Result<(), ProfileError> {
        let parser = installed(PARSER).ok_or(ProfileError::NoParser)?;
        let write = |source| ProfileError::Write { path: self.path.clone(), source };
        replace(&self.path, self.text.as_bytes(), 0o644).map_err(write)?;
        let ran =
            Command::new(parser).arg("--replace").arg(&self.path).output().map_err(ProfileError::Run)?;
        if ran.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Err(ProfileError::Refused { path: self.path.clone(), said })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(missing: &[MissingProfile]) -> Vec<&str> {
        missing.iter().map(|profile| profile.name).collect()
    }

    #[test]
    fn a_profile_is_missing_until_it_is_written_and_loaded_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let loaded = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let found = missing_in(folder.path(), &loaded(&[])).unwrap();
        assert_eq!(names(&found), [SERVER, FIREWALL]);
        for profile in &found {
            fs::write(profile.path(), &profile.text).unwrap();
        }
        assert_eq!(names(&missing_in(folder.path(), &loaded(&[FIREWALL])).unwrap()), [SERVER]);
        assert_eq!(missing_in(folder.path(), &loaded(&[SERVER, FIREWALL])).unwrap(), []);
        // An earlier release's.
        fs::write(folder.path().join(FIREWALL), "profile berth-firewall { }\n").unwrap();
        assert_eq!(names(&missing_in(folder.path(), &loaded(&[SERVER, FIREWALL])).unwrap()), [FIREWALL]);
    }

    #[test]
    fn an_older_apparmor_gets_what_it_understands() {
        let folder = tempfile::tempdir().unwrap();
        let text = || missing_in(folder.path(), &BTreeSet::new()).unwrap()[0].text.clone();
        let older = text();
        assert!(older.contains("abi <abi/3.0>,") && !older.contains("userns,"), "{older}");
        fs::create_dir(folder.path().join("abi")).unwrap();
        fs::write(folder.path().join(ABI), "").unwrap();
        let newer = text();
        assert!(newer.contains("abi <abi/4.0>,") && newer.contains("  userns,"), "{newer}");
        assert_eq!(newer.lines().count(), older.lines().count() + 3);
    }

    /// By the host's own parser; the kernel isn't asked, and needn't have AppArmor.
    #[test]
    fn the_parser_takes_each_of_them() {
        let Some(parser) = installed(PARSER) else {
            berth_testing::skipped("there is no apparmor_parser (package `apparmor`)");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let is_newer = Path::new(FOLDER).join(ABI).exists();
        for (name, text) in TEXTS {
            let path = folder.path().join(name);
            let parse = |text: &str| {
                fs::write(&path, text).unwrap();
                Command::new(&parser)
                    .args(["--skip-kernel-load", "--skip-cache"])
                    .arg(&path)
                    .output()
                    .unwrap()
            };
            // Every parser takes the older form.
            for is_newer in [false, is_newer] {
                let text = fitted(text, is_newer);
                let ran = parse(&text);
                assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
                assert!(text.contains(&format!("profile {name} ")));
            }
            let wrong = fitted(text, false).replace("network,", "networks,");
            assert!(!parse(&wrong).status.success(), "it does look");
        }
    }

    #[test]
    fn the_runtime_knows_the_profile_by_the_same_name() {
        assert_eq!(berth_host::SERVER_PROFILE, SERVER);
    }
}
