//! The platform's SSH identity: one secret in Berth's data, from which every key follows.
//!
//! So a platform that is built anew from its state repo and this one file shows the same keys as before, to people and
//! between router and servers. Keys are derived with BLAKE3's key derivation, each for a use of its own; no key tells of
//! another or of the secret.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use berth_plan::Identities;
use berth_plan::identity::Whose;
use berth_schema::name::ServerId;
use berth_schema::user::SshKey;
use ssh_key::LineEnding;
use ssh_key::private::{Ed25519Keypair, PrivateKey};
use zeroize::Zeroizing;

/// The uses of keys (BLAKE3, section 6.2: a context is global and never reused).
const ROUTER: &str = "Berth 2026-11-24 SSH router: host key";
const CLIENT: &str = "Berth 2026-11-24 SSH router: key for logins to servers";
const SERVER: &str = "Berth 2026-11-24 server: SSH host key";

/// Bytes of the secret.
const LENGTH: usize = 32;
/// Its file in Berth's data.
const FILE: &str = "identity";

/// The platform's SSH identity.
#[derive(Clone)]
pub struct Identity {
    secret: Arc<Zeroizing<[u8; LENGTH]>>,
    /// Public halves that were worked out before: ten thousand of them take a while.
    known: Arc<Mutex<HashMap<ServerId, SshKey>>>,
}

/// The identity can't be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Its file can't be read or written.
    #[error("{act} the platform's SSH identity {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others on this machine may read it.
    #[error(
        "the platform's SSH identity {} can be read by others (mode {mode:o}): whoever has read it can pretend to be any \
         server. `chmod 600` it, and if anybody else is on this machine, remove it, so that another is made", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds something else.
    #[error(
        "{} is not an SSH identity (64 hexadecimal digits): put it back from a backup, or remove it, so that another is \
         made and everybody sees new host keys", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity in this folder, which is made when there is none.
    pub fn open(data: &Path) -> Result<Self, IdentityError> {
        if let Some(found) = Self::find(data)? {
            return Ok(found);
        }
        make(data).map_err(|source| IdentityError::File { act: "make", path: data.join(FILE), source })?;
        // Another process may have been first: what is there now is what counts.
        let gone = || io::Error::new(io::ErrorKind::NotFound, "it is gone again");
        let missing = || IdentityError::File { act: "read", path: data.join(FILE), source: gone() };
        Self::find(data)?.ok_or_else(missing)
    }

    /// The identity in this folder, if there is one.
    pub fn find(data: &Path) -> Result<Option<Self>, IdentityError> {
        let path = data.join(FILE);
        let failed = |source| IdentityError::File { act: "read", path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Open { path, mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(1024).read_to_string(&mut text).map_err(failed)?;
        let secret = decode(text.trim()).ok_or(IdentityError::Damaged { path })?;
        Ok(Some(Self { secret: Arc::new(secret), known: Arc::default() }))
    }

    /// The public halves, for these servers.
    pub fn identities(&self, servers: impl IntoIterator<Item = ServerId>) -> Identities {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of =
            |id| (id, known.entry(id).or_insert_with(|| public(&self.key(Whose::Server(id)))).clone());
        let servers: BTreeMap<ServerId, SshKey> = servers.into_iter().map(&mut of).collect();
        Identities { router: public(&self.key(Whose::Router)), client: public(&self.client_key()), servers }
    }

    /// The public halves of the identity in this folder; those of an example while there is none, so that whoever only
    /// looks makes none.
    pub fn shown(
        data: &Path,
        servers: impl IntoIterator<Item = ServerId>,
    ) -> Result<Identities, IdentityError> {
        Ok(match Self::find(data)? {
            Some(identity) => identity.identities(servers),
            None => Identities::example(servers),
        })
    }

    /// A private host key and its public half.
    pub fn host_key(&self, whose: Whose) -> Result<(SshKey, Zeroizing<String>), ssh_key::Error> {
        written(self.key(whose))
    }

    /// The private key that the router logs in to servers with, and its public half.
    pub fn login_key(&self) -> Result<(SshKey, Zeroizing<String>), ssh_key::Error> {
        written(self.client_key())
    }

    fn key(&self, whose: Whose) -> Ed25519Keypair {
        match whose {
            Whose::Router => self.derive(ROUTER, &[]),
            Whose::Server(id) => self.derive(SERVER, &id.get().to_le_bytes()),
        }
    }

    fn client_key(&self) -> Ed25519Keypair {
        self.derive(CLIENT, &[])
    }

    fn derive(&self, context: &str, more: &[u8]) -> Ed25519Keypair {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(self.secret.as_slice()).update(more);
        let seed = Zeroizing::new(*hasher.finalize().as_bytes());
        Ed25519Keypair::from_seed(&seed)
    }
}

fn public(key: &Ed25519Keypair) -> SshKey {
    SshKey::ed25519(&key.public.0)
}

fn written(key: Ed25519Keypair) -> Result<(SshKey, Zeroizing<String>), ssh_key::Error> {
    let public = public(&key);
    Ok((public, PrivateKey::from(key).to_openssh(LineEnding::LF)?))
}

/// Makes the file, whole or not at all; one that is there already stays.
fn make(data: &Path) -> io::Result<()> {
    fs::create_dir_all(data)?;
    let mut secret = Zeroizing::new([0; LENGTH]);
    let mut filled = 0;
    while filled < LENGTH {
        let rest = secret.get_mut(filled..).unwrap_or_default();
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    let text = Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n");
    let mut file = tempfile::Builder::new().prefix(".identity").tempfile_in(data)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(data.join(FILE)) {
        Ok(_) => File::open(data)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

fn decode(text: &str) -> Option<Zeroizing<[u8; LENGTH]>> {
    let hexadecimal = text.len() == 2 * LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut secret = Zeroizing::new([0; LENGTH]);
    for (index, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    hexadecimal.then_some(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn id(number: u32) -> ServerId {
        ServerId(number.try_into().unwrap())
    }

    #[test]
    fn it_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert!(Identity::find(&data).unwrap().is_none());
        let first = Identity::open(&data).unwrap().identities([id(1)]);
        assert_eq!(Identity::open(&data).unwrap().identities([id(1)]), first);
        assert_eq!(fs::metadata(data.join(FILE)).unwrap().mode() & 0o7777, 0o600);
        // Nothing is left of making it.
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
        let other = Identity::open(&folder.path().join("other")).unwrap().identities([id(1)]);
        assert_ne!(other, first);
    }

    #[test]
    fn many_at_once_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let all: Vec<Identities> = std::thread::scope(|scope| {
            let each = || scope.spawn(|| Identity::open(data).unwrap().identities([]));
            let threads: Vec<_> = std::iter::repeat_with(each).take(16).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.windows(2).all(|two| two[0] == two[1]));
    }

    /// These keys are on people's machines: they may never change.
    #[test]
    fn the_same_secret_gives_the_same_keys_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "00".repeat(31) + "2a\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let identity = Identity::open(folder.path()).unwrap();
        let public = identity.identities([id(1), id(2)]);
        assert_eq!(
            [&public.router, &public.client, &public.servers[&id(1)], &public.servers[&id(2)]]
                .map(SshKey::as_str),
            [
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwPDn0itH/I616SruvtyOdmrd9kbKVg6ZBJUNPHVKph",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAGL12TOcQOPqXNUgp5trCvxfVxChWhN+imxLSLHdDGR",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDFsu/4gJTxfK56ytPj9/QHGi+je1noRqduKybkLWmiZ",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB+Bdu2IAFJKzPx6WAHFboTvmPh36kycTZ9NcE44soYw",
            ]
        );
        // The private half is the public one's, in a form that OpenSSH reads.
        for whose in [Whose::Router, Whose::Server(id(2))] {
            let (shown, private) = identity.host_key(whose).unwrap();
            let key = PrivateKey::from_openssh(private.as_str()).unwrap();
            assert_eq!(key.public_key().to_openssh().unwrap(), shown.as_str());
        }
    }

    #[test]
    fn what_is_damaged_or_open_to_others_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let good = "ab".repeat(32);
        for bad in ["", "ab", &good[1..], &format!("{good}00"), &"+a".repeat(32), &"é".repeat(32)] {
            fs::write(&path, bad).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Identity::open(folder.path()).unwrap_err();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{bad}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::open(folder.path()), Err(IdentityError::Open { mode: 0o640, .. })));
    }
}
