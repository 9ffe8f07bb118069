//! An organisation of many members, and its history: one server and one domain each, then years of small commits.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// Size of an organisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) members: usize,
    /// Commits after the first one.
    pub(crate) commits: usize,
    /// Members who do the same at once.
    pub(crate) together: usize,
}

/// Domain of the platform.
const DOMAIN: &str = "apps.example.org";
/// Seconds between two commits: an hour and a bit.
const PACE: usize = 4_000;
/// Time of the first commit.
const BEGAN: usize = 1_700_000_000;

/// Name of a member, who has a server of the same name.
pub(crate) fn member(number: usize) -> String {
    format!("u{number}")
}

/// Path of a member's domain. Each may have several.
pub(crate) fn domain(label: &str) -> String {
    format!("domains/{label}.{DOMAIN}.toml")
}

/// A public key that nobody has the other half of.
fn key_of(name: &str) -> String {
    let kind = b"ssh-ed25519";
    let point = digest(&SHA256, name.as_bytes());
    let mut blob = Vec::new();
    for part in [&kind[..], point.as_ref()] {
        blob.extend_from_slice(&u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
        blob.extend_from_slice(part);
    }
    format!("ssh-ed25519 {}", STANDARD.encode(blob))
}

/// The admin of all.
pub(crate) const ADMIN: &str = "root-admin";

/// The settings, with a default that can be changed.
pub(crate) fn platform(memory: &str) -> String {
    format!(
        "domain = \"{DOMAIN}\"\n\n[networks]\nusers = \"10.64.0.0/14\"\n\n[quota]\nservers = 3\ncpus = 8\nmemory = \"64 GiB\"\ndisk = \"1 \
         TiB\"\ndomains = 50\n\n[defaults]\nmemory = \"{memory}\"\n"
    )
}

/// The files of one member.
fn of_member(number: usize) -> [(String, String); 3] {
    let name = member(number);
    [
        (format!("users/{name}.toml"), format!("ssh_keys = [\"{}\"]\n", key_of(&name))),
        (format!("servers/{name}.toml"), format!("id = {number}\nowner = \"{name}\"\n")),
        (domain(&name), format!("server = \"{name}\"\n")),
    ]
}

/// The files of an organisation of so many members, without any history.
fn files(members: usize) -> impl Iterator<Item = (String, String)> {
    let own = [
        ("platform.toml".to_owned(), platform("1 GiB")),
        (format!("users/{ADMIN}.toml"), format!("role = \"admin\"\nssh_keys = [\"{}\"]\n", key_of(ADMIN))),
    ];
    own.into_iter().chain((1..=members).flat_map(of_member))
}

/// Writes the files into a folder.
pub(crate) fn write(folder: &Path, members: usize) -> anyhow::Result<()> {
    for (path, text) in files(members) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Imports the organisation with its history into a bare repository: a third of the commits bring members who weren't there, the
/// others change one domain, or add another.
pub(crate) fn import(repo: &Path, size: Size) -> anyhow::Result<()> {
    let mut git = Command::new("git");
    git.arg("-C").arg(repo).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut git = git.spawn().context("run git")?;
    let mut stream = BufWriter::new(git.stdin.take().context("git's input")?);
    let late = (size.commits / 3).min(size.members / 2);
    let early = size.members - late;
    stream.write_all(commit(0, "first", files(early)).as_bytes())?;
    for number in 1..=size.commits {
        let owner = number * 7 % early + 1;
        let files: Vec<(String, String)> = match number {
            _ if number % 3 == 0 && number / 3 <= late => of_member(early + number / 3).into(),
            _ if number % 3 == 1 => {
                let port = 3000 + number % 1000;
                let text = format!("server = \"{}\"\nport = {port}\n", member(owner));
                vec![(domain(&member(owner)), text)]
            }
            _ => vec![(domain(&format!("x{number}")), format!("server = \"{}\"\n", member(owner)))],
        };
        stream.write_all(commit(number, "one more", files.into_iter()).as_bytes())?;
    }
    stream.flush()?;
    drop(stream);
    ensure!(git.wait()?.success(), "git fast-import failed");
    Ok(())
}

fn commit(number: usize, message: &str, files: impl Iterator<Item = (String, String)>) -> String {
    let time = BEGAN + PACE * number;
    let mut text = format!(
        "commit refs/heads/main\ncommitter Ada <ada@example.org> {time} +0000\ndata {}\n{message}\n",
        message.len()
    );
    for (path, content) in files {
        // Writing to a text can't fail.
        let _ = write!(text, "M 100644 inline {path}\ndata {}\n{content}\n", content.len());
    }
    text + "\n"
}
