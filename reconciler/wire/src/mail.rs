//! Mails on their way: the spool that whoever has something to tell writes to and `berth mail` sends from, and what that tells of itself.
//!
//! A letter says whom it is for and what it is about; the words are made when it is sent. Each is a file of its own, replaced as a whole.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_host::{Acting, Owner, file};
use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::told_file;
use crate::web::Secret;

/// Folder of the spool in the door's, which belongs to whoever writes letters.
const FOLDER: &str = "door/mail";
/// Name of the standing's file.
const FILE: &str = "standing.json";
/// The most letters that wait.
const MOST: usize = 10_000;
/// Ending of a letter's file.
const ENDING: &str = ".json";

/// Something to be told to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Name of it, which nobody else has: letters, digits, `-` and `_`. The mail's `Message-ID` begins with it.
    pub id: String,
    /// Person it is for.
    pub user: UserName,
    /// Their address.
    pub to: String,
    /// Time at which it was written.
    pub made: Timestamp,
    /// Subject of it.
    pub content: Content,
}

/// Subject of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "content")]
pub enum Content {
    /// A link with which they set their password.
    Invitation {
        /// The link.
        link: Secret,
        /// End of it.
        until: Timestamp,
    },
    /// A decision on a proposal of theirs.
    Decision {
        /// Topic of `review/<topic>`.
        topic: String,
        /// The decision.
        decision: Decision,
        /// Person who decided; `None` for whoever has the host.
        by: Option<UserName>,
        /// The panel's page on it, where there is one.
        link: Option<String>,
    },
}

/// Decision on a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It was approved, and is merged.
    Merged,
    /// It was rejected.
    Rejected,
    /// Somebody agreed to it, and it doesn't merge any more.
    Conflicts,
}

/// A letter in the spool, with what became of it so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The letter.
    pub letter: Letter,
    /// Number of tries that failed.
    pub tries: u32,
    /// Time of the next one.
    pub again: Timestamp,
    /// Set while a server takes it: from then on nobody knows whether it has arrived, until the server has answered.
    pub is_under_way: bool,
    /// Reason of the last failure.
    pub why: Option<String>,
}

/// The spool.
#[derive(Debug, Clone)]
pub struct Spool(PathBuf);

impl Spool {
    /// The spool in Berth's folder `data`.
    pub fn of(data: &Path) -> Self {
        Self(data.join(FOLDER))
    }

    /// Puts a letter in. An invitation takes the place of those that wait for the same person: their links are dead.
    pub fn put(&self, letter: Letter) -> io::Result<()> {
        self.make()?;
        if let Content::Invitation { .. } = letter.content {
            let is_older = |kept: &Kept| {
                let of = &kept.letter;
                of.user == letter.user
                    && matches!(of.content, Content::Invitation { .. })
                    && !kept.is_under_way
            };
            for kept in self.all()?.iter().filter(|kept| is_older(kept)) {
                self.remove(&kept.letter.id)?;
            }
        }
        if self.names()?.len() >= MOST {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{MOST} mails wait to be sent"),
            ));
        }
        let again = letter.made;
        self.keep(&Kept { letter, tries: 0, again, is_under_way: false, why: None })
    }

    /// Makes the folder, as whoever has the one that it lies in.
    fn make(&self) -> io::Result<()> {
        let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        if let Some(door) = self.0.parent() {
            make(door)?;
            let _acting = Owner::of(door)?.act()?;
            return make(&self.0);
        }
        make(&self.0)
    }

    /// Writes a letter down as it stands now.
    pub fn keep(&self, kept: &Kept) -> io::Result<()> {
        let _acting = self.act()?;
        let text = serde_json::to_vec(kept).map_err(io::Error::other)?;
        file::replace(&self.path(&kept.letter.id)?, &text, 0o600)
    }

    /// All letters, the oldest first. One that makes no sense is told of in the log, and stays.
    pub fn all(&self) -> io::Result<Vec<Kept>> {
        let _acting = self.act()?;
        let mut all = Vec::new();
        for name in self.names()? {
            let path = self.0.join(&name);
            match fs::read(&path) {
                // Taken away meanwhile, for a newer one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(text) => match serde_json::from_slice::<Kept>(&text) {
                    Ok(kept) => all.push(kept),
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "a mail makes no sense; it isn't sent");
                    }
                },
            }
        }
        all.sort_by(|a, b| (a.letter.made, &a.letter.id).cmp(&(b.letter.made, &b.letter.id)));
        Ok(all)
    }

    /// Takes a letter out, and returns whether it was there.
    pub fn remove(&self, id: &str) -> io::Result<bool> {
        let _acting = self.act()?;
        match fs::remove_file(self.path(id)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets this thread act as the folder's owner. Where there is no folder, nobody has to.
    fn act(&self) -> io::Result<Option<Acting>> {
        match Owner::of(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            owner => owner?.act().map(Some),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // Others are no letter's: the rest of a crash.
            let name = entry?.file_name().into_string().ok();
            names.extend(name.filter(|name| name.ends_with(ENDING) && !name.starts_with('.')));
        }
        Ok(names)
    }

    fn path(&self, id: &str) -> io::Result<PathBuf> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        match !id.is_empty() && id.len() <= 64 && id.chars().all(is_plain) {
            true => Ok(self.0.join(format!("{id}{ENDING}"))),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a mail")),
        }
    }
}

/// Mails, as the process that sends them tells of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailStanding {
    /// The server, with its port.
    pub server: String,
    /// Number of letters that wait.
    pub waiting: usize,
    /// Time of the last mail that the server took.
    pub sent: Option<Timestamp>,
    /// The last failure, if nothing was sent after it.
    pub failed: Option<MailFailure>,
    /// Letters that were given up lately, the newest last.
    pub lost: Vec<LostMail>,
}

/// A failure to send anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailFailure {
    /// Reason.
    pub why: String,
    /// Time of it.
    pub at: Timestamp,
    /// Time of the next try.
    pub again: Timestamp,
}

/// A letter that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostMail {
    /// Person it was for.
    pub user: UserName,
    /// Their address, most of it hidden.
    pub to: String,
    /// Reason.
    pub why: String,
    /// Time of it.
    pub at: Timestamp,
}

impl MailStanding {
    /// Path of the file in the folder of `berth mail`.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Reads what was told; `None` where nothing was.
    pub fn read(folder: &Path) -> Option<Self> {
        told_file::read(&Self::path(folder))
    }

    /// Tells it.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        told_file::write(&Self::path(folder), self)
    }
}

/// An address of which only its owner knows the rest: `a…@example.org`.
pub fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    format!("{}…@{domain}", local.chars().next().map_or_else(String::new, String::from))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn letter(id: &str, user: &str, content: Content) -> Letter {
        let (user, to) = (user.parse().unwrap(), format!("{user}@example.org"));
        Letter { id: id.to_owned(), user, to, made: Timestamp::UNIX_EPOCH, content }
    }

    fn invitation() -> Content {
        Content::Invitation { link: Secret("https://x/invite/y".to_owned()), until: Timestamp::UNIX_EPOCH }
    }

    fn decision() -> Content {
        Content::Decision { topic: "more".to_owned(), decision: Decision::Merged, by: None, link: None }
    }

    #[test]
    fn a_newer_invitation_takes_the_place_of_the_older_and_of_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::of(home.path());
        assert_eq!(spool.all().unwrap(), []);
        for (id, user, content) in [
            ("a", "ann", invitation()),
            ("b", "bob", invitation()),
            ("c", "ann", decision()),
            ("d", "ann", invitation()),
        ] {
            spool.put(letter(id, user, content)).unwrap();
        }
        let ids = || spool.all().unwrap().iter().map(|kept| kept.letter.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(), ["b", "c", "d"]);
        // One that a server takes just now stays: nobody knows whether it has arrived.
        let kept = spool.all().unwrap().pop().unwrap();
        spool.keep(&Kept { is_under_way: true, ..kept }).unwrap();
        spool.put(letter("e", "ann", invitation())).unwrap();
        assert_eq!(ids(), ["b", "c", "d", "e"]);
        assert!(spool.remove("b").unwrap() && !spool.remove("b").unwrap());
        let folder = home.path().join("door/mail");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.join("c.json")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_name_is_no_path_and_what_makes_no_sense_stays() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::of(home.path());
        for bad in ["", "../x", "a/b", ".x"] {
            assert!(spool.put(letter(bad, "ann", decision())).is_err(), "{bad}");
        }
        fs::write(home.path().join("door/mail/x.json"), "{").unwrap();
        assert_eq!(spool.all().unwrap(), []);
        assert!(home.path().join("door/mail/x.json").exists());
    }

    #[test]
    fn an_address_is_hidden_but_for_its_ends() {
        assert_eq!((masked("ann@example.org").as_str(), masked("žilė").as_str()), ("a…@example.org", "ž…@"));
    }
}
