//! `<data>/door/audit.log`: who signed in, from where, and what was done to passwords and invitations. A JSON line an act,
//! added at the end; no secret is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use berth_count::{Counted, Counts, Left};
use berth_host::{FileLock, file};
use berth_schema::name::{Fqdn, ServerId, UserName};
use jiff::Timestamp;
use serde::Serialize;

use super::store::{Store, StoreError};

/// The log and the one before it.
const LOG: &str = "audit.log";
const OLD: &str = "audit.log.1";
/// Size from which on a new log begins.
const LONGEST: u64 = 8 << 20;
/// Lock that every writer takes: commands on the host write too.
const LOCK: &str = "audit.lock";
const PATIENCE: Duration = Duration::from_secs(2);

/// The log.
#[derive(Debug)]
pub(crate) struct Audit {
    store: Store,
    longest: u64,
}

/// A line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line<'a> {
    /// Time of the act.
    pub(crate) at: Timestamp,
    /// Person who acts; `None` where nobody knows, and for whoever has the host.
    pub(crate) who: Option<&'a UserName>,
    /// Source, as the panel says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<IpAddr>,
    /// The act.
    #[serde(flatten)]
    pub(crate) act: Act<'a>,
}

/// An act of somebody's.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "act")]
pub(crate) enum Act<'a> {
    /// Signing in by a password, and a code where one is wanted.
    SignIn,
    /// Signing in by a password and a recovery code.
    SignInRecovery,
    /// Signing in by a passkey.
    SignInPasskey,
    /// Signing in by the OpenID provider, and a code where one is wanted.
    SignInProvider,
    /// A word of the provider's that was refused.
    ProviderRefused,
    /// Binding an account at the provider.
    BindAccount,
    /// Taking one out.
    UnbindAccount {
        /// Person whose it was.
        user: &'a UserName,
    },
    /// Joining by the provider at once.
    Join,
    /// Asking to join, which waits for an admin.
    ProposeJoin,
    /// An attempt at it that was refused: the password was wrong, or there is nobody of that name.
    SignInRefused,
    /// A code that was refused after a good password.
    CodeRefused,
    /// A passkey that was refused.
    PasskeyRefused,
    /// A good password for a second factor whose secret is lost.
    FactorLost,
    /// Proving once more who one is.
    Confirm,
    /// Using a recovery code for that.
    RecoveryUsed,
    /// Setting a second factor up.
    SetFactor,
    /// Taking one's own second factor away.
    RemoveFactor,
    /// Taking somebody else's away.
    LiftFactor {
        /// Person whose it was.
        user: &'a UserName,
    },
    /// Making new recovery codes.
    NewRecovery,
    /// Making an API token.
    MakeApiToken,
    /// Revoking one.
    EndApiToken {
        /// Person whose it was.
        user: &'a UserName,
    },
    /// Asking for a pass.
    Sync,
    /// Adding a passkey.
    AddPasskey,
    /// Removing one.
    RemovePasskey {
        /// Person whose it was.
        user: &'a UserName,
    },
    /// Signing out at another place.
    EndSession,
    /// Signing somebody else out everywhere.
    EndSessions {
        /// Person who is signed out.
        user: &'a UserName,
    },
    /// Signing out.
    SignOut,
    /// Signing out everywhere else.
    SignOutEverywhere,
    /// Inviting somebody.
    Invite {
        /// Person who is invited.
        user: &'a UserName,
    },
    /// Giving up a mail to somebody.
    MailLost {
        /// Person it was for.
        user: &'a UserName,
    },
    /// Using an invitation up.
    Redeem,
    /// Changing one's password.
    SetPassword,
    /// Restarting a server.
    Restart {
        /// The server.
        server: ServerId,
    },
    /// Coming in to a guarded site.
    OpenSite {
        /// The site.
        host: &'a Fqdn,
    },
    /// Opening a terminal in a server.
    Terminal {
        /// The server.
        server: ServerId,
    },
    /// Cleaning a server up.
    CleanUp {
        /// The server.
        server: ServerId,
    },
}

impl Act<'_> {
    /// The login that it is, or the attempt at one; `None` for everything else.
    pub(crate) fn login(&self) -> Option<Counted> {
        match self {
            Self::SignIn | Self::SignInRecovery | Self::SignInPasskey | Self::SignInProvider => {
                Some(Counted::PanelLogin)
            }
            Self::SignInRefused | Self::CodeRefused | Self::PasskeyRefused | Self::ProviderRefused => {
                Some(Counted::PanelLoginRefused)
            }
            _ => None,
        }
    }
}

/// A restart that didn't come through the panel.
#[derive(Debug)]
pub(crate) struct Noted<'a> {
    pub(crate) at: Timestamp,
    pub(crate) user: &'a UserName,
    pub(crate) from: Option<IpAddr>,
    pub(crate) server: ServerId,
}

/// Writes a restart down where the panel's stand.
pub(crate) fn audit_restart(data: &Path, Noted { at, user, from, server }: Noted<'_>) {
    // Without its folder there is no log to add to, and the panel's door has said so.
    if let Ok(store) = Store::open(data) {
        Audit::of(store).write(&Line { at, who: Some(user), from, act: Act::Restart { server } });
    }
}

/// Writes down that a mail to somebody was given up.
pub(crate) fn audit_lost(data: &Path, user: &UserName, at: Timestamp) {
    if let Ok(store) = Store::open(data) {
        Audit::of(store).write(&Line { at, who: None, from: None, act: Act::MailLost { user } });
    }
}

impl Audit {
    pub(crate) fn of(store: Store) -> Self {
        Self { store, longest: LONGEST }
    }

    /// Adds a line. That it can't be written is told in the other log, and stops nobody.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let written = serde_json::to_string(line).map_err(io::Error::other);
        let written = written.and_then(|text| self.add(&(text + "\n")).map_err(io::Error::other));
        if let Err(error) = written {
            tracing::error!(error = berth_fault::chain(&error), "the audit log lacks a line");
        }
    }

    /// Leaves counts in a file beside the log.
    pub(crate) fn leave_counts(&self, file: &str, counts: &Counts) -> Result<(), StoreError> {
        let path = self.store.path(file);
        let _acting = self.store.act()?;
        let left = Left::at(path.clone());
        left.write(counts).map_err(StoreError::of("write", &path))
    }

    /// Text of the log and of the one before it, the oldest line first.
    pub(crate) fn read(&self) -> Result<String, StoreError> {
        let _acting = self.store.act()?;
        let mut text = String::new();
        for name in [OLD, LOG] {
            let path = self.store.path(name);
            match fs::read(&path) {
                // A line that was cut off takes no other with it.
                Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::of("read", &path)(error)),
            }
        }
        Ok(text)
    }

    fn add(&self, line: &str) -> Result<(), StoreError> {
        let path = self.store.path(LOG);
        let failed = || StoreError::of("write to", &path);
        let _acting = self.store.act()?;
        let _lock = FileLock::take(&self.store.path(LOCK), PATIENCE).map_err(failed())?;
        let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let mut log: File = open().map_err(failed())?;
        if log.metadata().map_err(failed())?.len() >= self.longest {
            file::rename(&path, &self.store.path(OLD)).map_err(failed())?;
            log = open().map_err(failed())?;
        }
        log.write_all(line.as_bytes()).map_err(failed())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_log_grows_and_begins_anew_once_it_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit { longest: 200, ..Audit::of(Store::open(folder.path()).unwrap()) };
        let (ann, bob): (UserName, UserName) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let line = |act| Line { at: Timestamp::UNIX_EPOCH, who: Some(&ann), from: None, act };
        audit.write(&Line { from: "192.0.2.1".parse().ok(), ..line(Act::SignIn) });
        audit.write(&line(Act::Invite { user: &bob }));
        let path = folder.path().join("door/audit.log");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"at\":\"1970-01-01T00:00:00Z\",\"who\":\"ann\",\"from\":\"192.0.2.1\",\"act\":\"sign-in\"}\n\
             {\"at\":\"1970-01-01T00:00:00Z\",\"who\":\"ann\",\"act\":\"invite\",\"user\":\"bob\"}\n"
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for _ in 0..7 {
            audit.write(&line(Act::SignOut));
        }
        let lines =
            |name: &str| fs::read_to_string(folder.path().join("door").join(name)).unwrap().lines().count();
        assert_eq!((lines("audit.log.1"), lines("audit.log")), (4, 2), "one old log is kept");
    }
}
