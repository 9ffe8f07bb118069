//! A state repo with many servers, written straight into git.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, ensure};
use berth_schema::{Parsed, State};

/// Servers of one member.
const SERVERS_EACH: usize = 10;

/// Makes a bare state repo at `path` with `servers` servers, ten to a member, as a push leaves it: packed.
pub(crate) fn make(path: &Path, servers: usize, platform: &str) -> anyhow::Result<()> {
    import(path, &files(servers, platform))
}

/// The files of `servers` servers and of their owners, by path.
pub(crate) fn files(servers: usize, platform: &str) -> Vec<(String, String)> {
    let room = "\n[quota]\nservers = 10\ncpus = 10\nmemory = \"64 GiB\"\ndisk = \"1 TiB\"\ndomains = 1000\ncustom_domains = true\n";
    let mut files = vec![("platform.toml".to_owned(), format!("domain = \"example.org\"\n{platform}{room}"))];
    for member in 0..servers.div_ceil(SERVERS_EACH) {
        let text = format!("role = \"user\"\nemail = \"m{member}@example.org\"\n");
        files.push((format!("users/m{member}.toml"), text));
    }
    files.extend((1..=servers).map(|id| (format!("servers/{}.toml", name(id)), server(id, "0.5"))));
    files
}

/// Makes a bare state repo at `path` with these files, packed.
pub(crate) fn import(path: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    berth_repo::StateRepo::init(path)?;
    commit(path, files, Onto::Nothing)
}

/// Ground of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onto {
    /// It is the first one.
    Nothing,
    /// The tip of `main`.
    Tip,
}

/// Commits these files, past every hook.
pub(crate) fn commit(path: &Path, files: &[(String, String)], onto: Onto) -> anyhow::Result<()> {
    let mut stream = String::from(
        "commit refs/heads/main\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata 5\nmany\n",
    );
    stream += match onto {
        Onto::Nothing => "\n",
        Onto::Tip => "from refs/heads/main^0\n",
    };
    for (path, text) in files {
        stream += &format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    }
    let mut git = Command::new("git")
        .arg("-C")
        .arg(path)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .context("run git")?;
    git.stdin.take().context("git's input")?.write_all(stream.as_bytes())?;
    ensure!(git.wait()?.success(), "git fast-import failed");
    Ok(())
}

/// The state that files say.
pub(crate) fn state<'a>(files: impl IntoIterator<Item = &'a Parsed>) -> anyhow::Result<State> {
    State::assemble(files).map_err(|findings| anyhow!("the organisation has mistakes: {findings:?}"))
}

/// Name of a server.
pub(crate) fn name(id: usize) -> String {
    format!("s{id}")
}

/// A server's file.
pub(crate) fn server(id: usize, cpus: &str) -> String {
    let owner = (id - 1) / SERVERS_EACH;
    format!(
        "id = {id}\nowner = \"m{owner}\"\nstate = \"running\"\ncpus = {cpus}\nmemory = \"128 MiB\"\npids = 512\n"
    )
}
