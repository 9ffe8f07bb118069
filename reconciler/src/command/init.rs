//! `berth init`: a new state repo.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use berth_repo::{Edit, Signature, Source as Kind, StateRepo, Words, load_directory};
use berth_schema::text::counted;

use super::{Exit, show_findings};
use crate::draw::say;

/// Repository to make.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("beginning").required(true).multiple(false).args(["from", "domain"]))]
pub(super) struct Args {
    /// Path of the bare repository
    path: PathBuf,
    /// Begin with the files of this folder (this or --domain)
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Begin with a platform.toml for this domain (this or --from)
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.path.join("HEAD").exists() {
        let repo = StateRepo::open(&args.path)?;
        if repo.head()?.is_some() {
            say(&format!("{} is there already; nothing was changed", args.path.display()));
            return Ok(Exit::Ok);
        }
        bail!("{} is a repository without a commit: push one, or choose another path", args.path.display());
    }
    if args.path.is_dir() && fs::read_dir(&args.path).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} isn't empty; choose a new folder", args.path.display());
    }
    let edits = match (&args.from, &args.domain) {
        (Some(folder), _) => {
            if Kind::of(folder)? == Kind::Bare {
                bail!("{} is a bare repository; clone it and name the clone", folder.display());
            }
            if !is_good(folder)? {
                return Ok(Exit::Failed);
            }
            files(folder)?
        }
        (None, Some(domain)) => {
            domain
                .parse::<berth_schema::name::Fqdn>()
                .map_err(|invalid| anyhow::anyhow!("{}: {}", invalid.message, invalid.hint))?;
            vec![Edit::write("platform.toml", format!("domain = \"{domain}\"\n"))]
        }
        (None, None) => bail!("say --from or --domain"),
    };
    let repo = StateRepo::init(&args.path)?;
    let berth = Signature::now("Berth", "berth@localhost");
    let revision = repo.commit(
        None,
        &edits,
        &Words { author: &berth, committer: &berth, message: "platform: first state\n" },
    )?;
    let files = counted(edits.len(), "file");
    say(&format!("{}: a new state repo with {files} at {}", args.path.display(), revision.short()));
    Ok(Exit::Ok)
}

/// Checks the folder's state, and shows its mistakes.
fn is_good(folder: &Path) -> anyhow::Result<bool> {
    let loaded = load_directory(folder)?;
    show_findings(&loaded);
    Ok(loaded.state.is_ok())
}

/// Collects every plain file below the folder, but nothing of git's own.
fn files(root: &Path) -> anyhow::Result<Vec<Edit>> {
    let mut edits = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let list = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in list {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(path);
            } else if kind.is_file() {
                let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
                edits.push(Edit::write(name, content));
            }
        }
    }
    edits.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(edits)
}
