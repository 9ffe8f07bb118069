//! The platform's SSH identity: one secret in Berth's data, from which every key follows.
//!
//! So a platform that is built anew from its state repo and this one file shows the same keys as before, to people and
//! between router and servers. Keys are derived with BLAKE3's key derivation, each for a use of its own; no key tells of
//! another or of the secret.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use berth_plan::Identities;
use berth_plan::identity::Whose;
use berth_schema::name::ServerId;
use berth_schema::user::SshKey;
use berth_secrets::made::{self, MadeError, Secret};
use parking_lot::Mutex;
use ssh_key::LineEnding;
use ssh_key::private::{Ed25519Keypair, PrivateKey};
use zeroize::Zeroizing;

/// The uses of keys (BLAKE3, section 6.2: a context is global and never reused).
const ROUTER: &str = "Berth 2026-11-24 SSH router: host key";
const CLIENT: &str = "Berth 2026-11-24 SSH router: key for logins to servers";
const SERVER: &str = "Berth 2026-11-24 server: SSH host key";

/// Its file in Berth's data.
const FILE: &str = "identity";

/// The platform's SSH identity.
#[derive(Clone)]
pub struct Identity {
    secret: Arc<Secret>,
    /// Public halves that were derived before: ten thousand of them take a while.
    known: Arc<Mutex<HashMap<ServerId, SshKey>>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Opens the identity in this folder, and makes one when there is none.
    pub fn open(data: &Path) -> Result<Self, MadeError> {
        Ok(Self::of(made::open(&data.join(FILE))?))
    }

    /// Opens the identity in this folder, if there is one.
    pub fn find(data: &Path) -> Result<Option<Self>, MadeError> {
        Ok(made::find(&data.join(FILE))?.map(Self::of))
    }

    fn of(secret: Secret) -> Self {
        Self { secret: Arc::new(secret), known: Arc::default() }
    }

    /// Returns the public halves, for these servers.
    pub fn identities(&self, servers: impl IntoIterator<Item = ServerId>) -> Identities {
        let mut known = self.known.lock();
        let mut of =
            |id| (id, known.entry(id).or_insert_with(|| public(&self.key(Whose::Server(id)))).clone());
        let servers: BTreeMap<ServerId, SshKey> = servers.into_iter().map(&mut of).collect();
        Identities { router: public(&self.key(Whose::Router)), client: public(&self.client_key()), servers }
    }

    /// Returns the public halves of the identity in this folder, and those of an example while there is none: a look makes
    /// none.
    pub fn shown(data: &Path, servers: impl IntoIterator<Item = ServerId>) -> Result<Identities, MadeError> {
        Ok(match Self::find(data)? {
            Some(identity) => identity.identities(servers),
            None => Identities::example(servers),
        })
    }

    /// Returns a private host key and its public half.
    pub fn host_key(&self, whose: Whose) -> Result<(SshKey, Zeroizing<String>), ssh_key::Error> {
        written(self.key(whose))
    }

    /// Returns the private key with which the router logs in to servers, and its public half.
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn id(number: u32) -> ServerId {
        ServerId(number.try_into().unwrap())
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
}
