//! `berth init`: a new state repo. It is made beside its place and moved there when it is whole and good, so that whatever ends this
//! command leaves either no repo or a finished one.

mod ask;
mod folder;
mod keys;

use std::fs;
use std::io::{IsTerminal as _, stderr, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use berth_repo::{Edit, Revision, Signature, StateRepo, Words};
use berth_schema::beginning::{Beginning, Contents};
use berth_schema::name::{Fqdn, UserName};
use berth_schema::policy::without_admins;
use berth_schema::text::counted;

use super::{BRIEF, Exit, show_findings, show_these};
use crate::draw::say;

/// Repository to make.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Path of the bare repository
    path: PathBuf,
    /// Begin with the files of this folder. Without this and --domain, a terminal is asked
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Domain of the platform. With --from, it takes the place of the folder's own, in every file and in the names of files
    #[arg(long)]
    domain: Option<Fqdn>,
    /// Name of the panel. Without it, a new state has no panel, and a folder's panel follows --domain: `panel.<domain>`, or
    /// `panel.localhost` below `localhost`
    #[arg(long, value_name = "DOMAIN")]
    panel: Option<Fqdn>,
    /// First admin: a file for a new state; with --from, the one who gets the keys (else the first by name)
    #[arg(long, value_name = "NAME")]
    admin: Option<UserName>,
    /// A file of the first admin's SSH public keys, one a line, such as ~/.ssh/id_ed25519.pub; they replace those of the folder. May be
    /// repeated
    #[arg(long, value_name = "FILE")]
    admin_key: Vec<PathBuf>,
    /// Address to which DNS records of the platform's names lead, where that isn't the machine's own. May be repeated
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Private subnet in which servers have their addresses, such as 172.19.2.0/24
    #[arg(long, value_name = "SUBNET")]
    network: Option<String>,
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
    let given = Beginning {
        domain: args.domain.clone(),
        panel: args.panel.clone(),
        admin: args.admin.clone(),
        ssh_keys: keys::read(&args.admin_key)?,
        addresses: args.address.clone(),
        users_network: args.network.clone(),
    };
    let (files, origin) = match &args.from {
        Some(from) => {
            let Some(folder) = folder::read(from)? else { return Ok(Exit::Failed) };
            let files = given.fit(&folder.state, &folder.files)?;
            let mut origin = origin(from, &given, given.admin_of(&folder.state)?.as_ref());
            if given.drops_provider(&folder.state) {
                origin.push_str("Its OpenID provider is an example, and left out.\n");
            }
            (files, origin)
        }
        None => {
            let Some(answers) = answers(given)? else {
                say("Nothing was made.");
                return Ok(Exit::Failed);
            };
            if answers.admin.is_none() && !answers.ssh_keys.is_empty() {
                bail!("nobody is there to have the keys: name the first admin with --admin");
            }
            (answers.files(), String::new())
        }
    };
    let Some(revision) = make(&args.path, &files, &format!("platform: first state\n{origin}"))? else {
        return Ok(Exit::Failed);
    };
    let files = counted(files.len(), "file");
    say(&format!("{}: a new state repo with {files} at {}", args.path.display(), revision.short()));
    Ok(Exit::Ok)
}

/// Answers for a new state: those of the command line where it names the domain, else of whoever sits at the terminal. `None` when they
/// changed their mind.
fn answers(given: Beginning) -> anyhow::Result<Option<Beginning>> {
    if given.domain.is_some() {
        return Ok(Some(given));
    }
    if !stdin().is_terminal() || !stderr().is_terminal() {
        bail!(
            "there is no terminal to ask at: say --domain <name> for a new state, or --from <folder> for files that you have (`berth init --help` \
             lists the rest)"
        );
    }
    ask::ask(given)
}

/// Makes the repo with one commit, and moves it to its place. `None` after the mistakes of the files were told.
fn make(path: &Path, files: &Contents, message: &str) -> anyhow::Result<Option<Revision>> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("cannot make a folder in {}", above.display());
    fs::create_dir_all(above).with_context(failed)?;
    let draft = tempfile::Builder::new().prefix(".berth-init-").tempdir_in(above).with_context(failed)?;
    let made = draft.path().join("state.git");
    let mut repo = StateRepo::init(&made)?;
    let edits: Vec<Edit> = files.iter().map(|(path, content)| Edit::write(path, content.clone())).collect();
    let berth = Signature::now("Berth", "berth@localhost");
    let revision = repo.commit(None, &edits, &Words { author: &berth, committer: &berth, message })?;
    let loaded = repo.load(&revision)?;
    let Ok(state) = &loaded.state else {
        show_findings(&loaded);
        return Ok(None);
    };
    let mut findings = loaded.findings().to_vec();
    findings.extend(without_admins(None, state));
    show_these(&findings, &loaded, BRIEF);
    drop(repo);
    fs::rename(&made, path).with_context(|| format!("cannot put the repository at {}", path.display()))?;
    Ok(Some(revision))
}

/// Words of the first commit on where its files come from, and what became different.
fn origin(from: &Path, given: &Beginning, admin: Option<&UserName>) -> String {
    let folder = from.file_name().unwrap_or(from.as_os_str()).to_string_lossy();
    let mut told = format!("\nThe files of the folder {folder}.\n");
    if let Some(domain) = &given.domain {
        told.push_str(&format!("Its names are below {domain}.\n"));
    }
    if let Some(admin) = admin {
        told.push_str(&format!("The keys of {admin} are those of whoever made this repo.\n"));
    }
    told
}
