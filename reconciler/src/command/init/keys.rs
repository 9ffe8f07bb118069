//! SSH public keys from files, as people have them in `~/.ssh`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use berth_schema::name::Invalid;
use berth_schema::user::SshKey;

/// A file of more bytes than this holds something else than a person's keys.
const SIZE_MAX: u64 = 64 * 1024;

/// Reads the keys of all files, each once.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<SshKey>> {
    let mut keys: Vec<SshKey> = Vec::new();
    for file in files {
        for key in of_file(file)? {
            if !keys.iter().any(|known| known.key_data() == key.key_data()) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// Reads the keys of one file: a line each, with empty lines and comments between them.
pub(super) fn of_file(file: &Path) -> anyhow::Result<Vec<SshKey>> {
    let failed = || format!("cannot read {}", file.display());
    let size = fs::metadata(file).with_context(failed)?.len();
    if size > SIZE_MAX {
        bail!("{} has {size} bytes, so it is no file of public keys", file.display());
    }
    let text = fs::read_to_string(file).with_context(failed)?;
    if text.contains("PRIVATE KEY") {
        bail!("{0} is a private key, which stays where it is: name {0}.pub", file.display());
    }
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let keys = lines.map(|(number, line)| {
        let refused = |Invalid { message, hint }| {
            anyhow::anyhow!("{}:{}: {message}: {hint}", file.display(), number + 1)
        };
        line.parse::<SshKey>().map_err(refused)
    });
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    if keys.is_empty() {
        bail!(
            "{} has no key in it: name a `.pub` file, or make one with `ssh-keygen -t ed25519`",
            file.display()
        );
    }
    Ok(keys)
}
