//! The vault and the runs, with a real restic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use berth_backup::{
    BackupError, Job, Means, Part, PartResult, Progress, Runs, Sources, Vault, VaultError, run,
};
use berth_fault::{Fault as _, chain};
use berth_schema::backup::{Backup, Keep, ServerBackup};
use berth_schema::name::ServerId;
use berth_schema::{Parsed, State};
use berth_secrets::Secrets;

/// A host with a repository beside it.
struct Host {
    home: tempfile::TempDir,
    backup: Backup,
}

impl Host {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let repository = home.path().join("vault");
        let text = format!("domain = \"h.org\"\n[backup]\nrepository = \"{}\"\n", repository.display());
        let parsed = Parsed::parse("platform.toml", &text);
        let backup = State::assemble([&parsed]).unwrap().platform.backup.clone().unwrap();
        let host = Self { home, backup };
        fs::create_dir(host.data()).unwrap();
        host.password("a long password");
        host
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn password(&self, password: &str) {
        Secrets::of(&self.data()).set(&self.backup.secret, password.as_bytes(), None).unwrap();
    }

    fn vault(&self) -> Vault {
        let secrets = Secrets::of(&self.data());
        Vault::of(&self.backup, "hosting", &secrets, &self.data().join("backup")).unwrap()
    }

    fn means(&self) -> Arc<Means> {
        Arc::new(Means {
            vault: self.vault(),
            sources: Sources { data: self.data(), panel: self.home.path().join("data-panel") },
            folder: self.data().join("backup"),
            socket: self.data().join("control.sock"),
            keep: Keep::default(),
            bundle: Box::new(|to| fs::write(to, "the state repo").map_err(|error| error.to_string())),
        })
    }

    /// restic itself, in the same repository.
    fn restic(&self, arguments: &[&str]) -> Command {
        let mut restic = Command::new("restic");
        let password = Secrets::of(&self.data()).path(&self.backup.secret);
        restic.args(arguments).env("RESTIC_PASSWORD_FILE", password);
        restic.env("RESTIC_REPOSITORY", self.backup.repository.as_str());
        restic.env("RESTIC_CACHE_DIR", self.home.path().join("cache"));
        restic
    }

    /// Files of the newest copy of this tag.
    fn copied(&self, tag: &str) -> BTreeSet<String> {
        let listed = self.restic(&["ls", "latest", "--tag", tag]).output().unwrap();
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

fn write(path: &Path, words: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, words).unwrap();
}

fn id(number: u32) -> ServerId {
    ServerId(number.try_into().unwrap())
}

fn heard() -> (berth_backup::Heard, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let heard = move |progress: Progress<'_>| {
        if let Progress::Begun { part, number, of } = progress {
            told.lock().unwrap().push(format!("{number}/{of} {part}"));
        }
    };
    (Arc::new(heard), lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_reconciler_the_platform_is_copied_and_each_server_says_why_it_is_not() {
    let host = Host::new();
    for (file, words) in [
        ("data/identity", "keys"),
        ("data/door/factors/ann.json", "a second factor"),
        ("data/acme/account", "an account"),
        ("data/something-new", "which nobody has thought of"),
        ("data/journal/db", "made again"),
        ("data/views/ann/config", "made again"),
        ("data-panel/sessions", "encrypted"),
    ] {
        write(&host.home.path().join(file), words);
    }
    let jobs = vec![Job { id: id(3), name: "shop".to_owned(), backup: ServerBackup::default() }];
    let (hears, lines) = heard();
    let record = run(host.means(), jobs, None, hears).await.unwrap();
    let order =
        ["1/4 the platform", "2/4 the platform's volumes", "3/4 server shop (id 3)", "4/4 old copies"];
    assert_eq!(*lines.lock().unwrap(), order);
    let result = |part: &Part| &record.parts.iter().find(|record| record.part == *part).unwrap().result;
    assert!(matches!(result(&Part::Platform), PartResult::Done { unread: 0, .. }), "{record:?}");
    assert_eq!(*result(&Part::Tidy), PartResult::Tidied);
    let PartResult::Failed { error } = result(&Part::Server { id: id(3), name: "shop".to_owned() }) else {
        panic!("{record:?}")
    };
    assert!(error.contains("no reconciler runs"), "{error}");
    assert!(!record.is_clean());
    assert_eq!(Runs::of(&host.data().join("backup")).all().unwrap(), std::slice::from_ref(&record));
    assert_eq!(Runs::of(&host.data().join("backup")).last_whole().unwrap(), Some(record.began));
    let copied = host.copied("platform");
    for file in [
        "/data/identity",
        "/data/secrets/backup",
        "/data/door/factors/ann.json",
        "/data/acme/account",
        "/data/something-new",
        "/data/backup/state.bundle",
        "/panel/sessions",
    ] {
        assert!(copied.contains(file), "{file} in {copied:?}");
    }
    for file in ["/data/journal", "/data/views", "/data/backup/cache", "/data/backup/view"] {
        assert!(!copied.contains(file), "{file} in {copied:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_are_never_at_once() {
    let host = Host::new();
    let means = host.means();
    fs::create_dir(host.data().join("backup")).unwrap();
    let lock = berth_host::FileLock::try_take(&host.data().join("backup/lock")).unwrap().unwrap();
    let error = run(Arc::clone(&means), Vec::new(), None, heard().0).await.unwrap_err();
    assert!(matches!(error, BackupError::Busy) && error.hint().is_some(), "{error:?}");
    drop(lock);
    run(means, Vec::new(), None, heard().0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_that_was_killed_has_left_is_forgotten() {
    let host = Host::new();
    let vault = host.vault();
    vault.prepare().unwrap();
    let names = ["data".to_owned()];
    let order = |tag| berth_backup::Order {
        within: host.home.path(),
        names: &names,
        without: &[],
        tag,
        parent: None,
    };
    for tag in ["warm", "server-3"] {
        vault.copy(&order(tag), &|_| {}).unwrap();
    }
    run(host.means(), Vec::new(), None, heard().0).await.unwrap();
    let tags: BTreeSet<String> =
        vault.snapshots(None).unwrap().into_iter().flat_map(|copy| copy.tags).collect();
    assert_eq!(tags, ["platform".to_owned(), "server-3".to_owned()].into());
}

#[test]
fn locks_of_a_restic_that_was_killed_hold_up_nobody() {
    let host = Host::new();
    let vault = host.vault();
    vault.prepare().unwrap();
    // It takes its lock, and then waits for its input.
    let mut restic =
        host.restic(&["backup", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let locks = Path::new(host.backup.repository.as_str()).join("locks");
    // A lock has 64 digits for a name, once it is whole.
    let is_locked = || {
        let mut names = fs::read_dir(&locks).unwrap().map(|entry| entry.unwrap().file_name());
        names.any(|name| name.len() == 64)
    };
    while !is_locked() {
        assert!(restic.try_wait().unwrap().is_none(), "restic waits for its input");
        std::thread::yield_now();
    }
    restic.kill().unwrap();
    restic.wait().unwrap();
    assert!(is_locked(), "it has left its lock");
    let error = vault.tidy(&Keep::default()).unwrap_err();
    assert!(matches!(error, VaultError::Failed { .. }), "{error:?}");
    vault.prepare().unwrap();
    vault.tidy(&Keep::default()).unwrap();
    vault.check(100).unwrap();
}

#[test]
fn a_wrong_password_is_told_and_begins_nothing() {
    let host = Host::new();
    host.vault().prepare().unwrap();
    host.password("another password");
    let error = host.vault().prepare().unwrap_err();
    assert!(chain(&error).contains("password") && error.hint().is_some(), "{error}");
    host.password("a long password");
    host.vault().prepare().unwrap();
}

#[test]
fn a_repository_that_is_away_is_not_begun_anew() {
    let host = Host::new();
    let vault = host.vault();
    vault.prepare().unwrap();
    let place = Path::new(host.backup.repository.as_str()).to_owned();
    let away = host.home.path().join("away");
    fs::rename(&place, &away).unwrap();
    fs::create_dir(&place).unwrap();
    let error = vault.prepare().unwrap_err();
    assert!(matches!(error, VaultError::Gone { .. }) && error.hint().is_some(), "{error:?}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "nothing is begun where it was");
    fs::remove_dir(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    vault.prepare().unwrap();
}

#[test]
fn a_secret_that_is_missing_is_named() {
    let host = Host::new();
    fs::remove_file(Secrets::of(&host.data()).path(&host.backup.secret)).unwrap();
    let made = Vault::of(&host.backup, "hosting", &Secrets::of(&host.data()), &host.data().join("backup"));
    assert!(made.unwrap_err().to_string().contains("`berth secret set backup`"));
}

#[test]
fn one_file_is_restored_whatever_its_name_and_as_it_was() {
    let host = Host::new();
    let vault = host.vault();
    vault.prepare().unwrap();
    let root = host.home.path().join("volumes");
    let odd = "apps/a[1]*?\\x $HOME";
    write(&root.join(odd), "odd");
    write(&root.join("apps/a1"), "another");
    write(&root.join("home/ann/file"), "ann's");
    fs::set_permissions(root.join(odd), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(root.join(odd), Some(100_000), Some(100_001)).unwrap();
    let names = ["apps".to_owned(), "home".to_owned()];
    let order =
        |parent| berth_backup::Order { within: &root, names: &names, without: &[], tag: "server-3", parent };
    let first = vault.copy(&order(None), &|_| {}).unwrap();
    write(&root.join("home/ann/new"), "new");
    let second = vault.copy(&order(Some(first.snapshot.as_str())), &|_| {}).unwrap();
    let found = vault.snapshots(Some("server-3")).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].time < found[1].time && found[1].id.starts_with(&second.snapshot));
    assert_eq!(vault.snapshots(Some("server-4")).unwrap(), []);
    let target = host.home.path().join("restored");
    vault.restore(&found[0].id, Some(&format!("/{odd}")), &target).unwrap();
    let restored = fs::metadata(target.join(odd)).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((restored.mode() & 0o777, restored.uid(), restored.gid()), (0o640, 100_000, 100_001));
    assert!(!target.join("apps/a1").exists() && !target.join("home").exists());
    assert_eq!(vault.size(&found[0].id).unwrap(), 3 + 7 + 5);
    vault.forget(&found[0].id).unwrap();
    assert_eq!(vault.snapshots(None).unwrap().len(), 1);
}
