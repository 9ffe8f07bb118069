//! Everything that backups need of this host and of the state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_backup::{Job, Means, Sources, Vault, VaultError};
use berth_fault::chain;
use berth_host::process::Stopped;
use berth_repo::git::Git;
use berth_schema::State;
use berth_schema::backup::{Backup, Keep};
use berth_secrets::Secrets;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::settings::Settings;

/// Time for git to write all of the state repo into one file.
const BUNDLE: Duration = Duration::from_secs(3600);

/// The wishes of `main` for backups, on this host.
#[derive(Debug)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Wanted {
    pub vault: Vault,
    /// Folder of the records, and of restic's cache.
    pub folder: PathBuf,
    pub jobs: Vec<Job>,
    /// Time for which restored data is kept.
    pub restored: Duration,
    keep: Keep,
    settings: Settings,
    /// Has restic killed once this process is asked to end.
    ending: Option<AbortOnDropHandle<()>>,
}

/// Reads the secrets, and says what is to be copied.
pub fn wanted(settings: &Settings, backup: &Backup, state: &State) -> Result<Wanted, VaultError> {
    let folder = settings.data.join(berth_backup::FOLDER);
    let secrets = Secrets::of(&settings.data);
    let vault = Vault::of(backup, state.platform.prefix.as_str(), &secrets, &folder)?;
    let servers = state.servers.values();
    let jobs = servers.map(|server| Job {
        id: server.id,
        name: server.name.to_string(),
        backup: server.backup.clone(),
    });
    let (jobs, restored) = (jobs.collect(), backup.restored.duration());
    Ok(Wanted { vault, folder, jobs, restored, keep: backup.keep, settings: settings.clone(), ending: None })
}

impl Wanted {
    /// The same, until this process is asked to end: what is being copied breaks off, and a server that stands still runs on.
    pub fn until(mut self, stop: CancellationToken) -> io::Result<Self> {
        let (sender, stopped) = Stopped::pair()?;
        self.vault = self.vault.until(stopped);
        self.ending = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            stop.cancelled().await;
            drop(sender);
        })));
        Ok(self)
    }

    /// Everything that a run or a restore needs.
    pub fn means(&self) -> Arc<Means> {
        let state = self.settings.state.clone();
        Arc::new(Means {
            vault: self.vault.clone(),
            sources: Sources { data: self.settings.data.clone(), panel: self.settings.panel_data() },
            folder: self.folder.clone(),
            socket: self.settings.socket(),
            keep: self.keep,
            bundle: Box::new(move |to| bundle(&state, to)),
        })
    }
}

/// Writes the state repo with all of its refs into one file, as it is at one moment. A plain folder has no history: its files are copied.
fn bundle(state: &Path, to: &Path) -> Result<(), String> {
    let git_dir = match berth_repo::Source::of(state).map_err(|error| chain(&error))? {
        berth_repo::Source::Directory => {
            return Err("it is a plain folder; back it up by other means".to_owned());
        }
        _ => berth_repo::StateRepo::open(state).map_err(|error| chain(&error))?.git_dir().to_owned(),
    };
    // git writes beside it and renames, so a crash leaves the last one whole.
    let arguments = ["create".as_ref(), "--quiet".as_ref(), to.as_os_str(), "--all".as_ref()];
    let answer = Git::at(&git_dir, BUNDLE).run("bundle", arguments).map_err(|error| chain(&error))?;
    answer.ended.expect_success().map_err(|error| chain(&error))
}
