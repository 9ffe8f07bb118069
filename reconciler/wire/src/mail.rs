//! Mails on their way: the spool that whoever has something to tell writes to and `berth mail` sends from, and what that tells of itself.
//!
//! A letter says whom it is for and what it is about; the words are made when it is sent. Each is a file of its own, replaced as a whole.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_host::{Acting, FileLock, Owner, file};
use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use standing::{LostMail, MailFailure, MailStanding};

use crate::web::Secret;

mod standing;

/// Folder of the door, which belongs to whoever writes letters. It lies in Berth's own, where nobody else can put a link in its place.
const DOOR: &str = "door";
/// Folder of the spool in the door's.
const FOLDER: &str = "mail";
/// Name of the lock in the door's folder, under which letters come in, go and are begun.
const LOCK: &str = "mail.lock";
/// Longest wait for it: whoever holds it reads and writes a few small files.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest file of a letter, in bytes.
const LONGEST: u64 = 64 << 10;
/// Room in it for what becomes of the letter, in bytes.
const ROOM: u64 = 4 << 10;
/// The most letters that wait.
const MOST: usize = 10_000;
/// Ending of a letter's file.
const ENDING: &str = ".json";
/// Ending of a file that was put aside, since it can't be read as a letter.
const ASIDE: &str = ".unreadable";

/// Something to be told to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Name of it, which nobody else has: letters, digits, `-` and `_`. The mail's `Message-ID` begins with it.
    pub id: String,
    /// Person it is for; `None` for an address that alarms go to.
    pub user: Option<UserName>,
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
    /// Alarms that began, and others that are over.
    Alarms {
        /// Those that began, a sentence each.
        began: Vec<String>,
        /// Those that are over, a sentence each.
        over: Vec<String>,
        /// The panel, where there is one.
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
///
/// Its folder lies in one that somebody else may write to, so root works in it as the owner of that one, and nobody follows a link there.
#[derive(Debug, Clone)]
pub struct Spool {
    door: PathBuf,
    folder: PathBuf,
    /// Names of files that can't be read for now, of which the log has been told.
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Spool {
    /// The spool in Berth's folder `data`.
    pub fn of(data: &Path) -> Self {
        let door = data.join(DOOR);
        Self { folder: door.join(FOLDER), door, told: Arc::default() }
    }

    /// Puts a letter in. An invitation takes the place of those that wait for the same person: their links are dead.
    pub fn put(&self, letter: Letter) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.door)?;
        let _acting = self.act()?;
        file::make_folder(&self.folder)?;
        let _lock = self.lock()?;
        for kept in self.all()?.iter().filter(|kept| replaces(&letter, kept)) {
            self.remove(&kept.letter.id)?;
        }
        if self.names()?.len() >= MOST {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{MOST} mails wait to be sent"),
            ));
        }
        let again = letter.made;
        self.write(&Kept { letter, tries: 0, again, is_under_way: false, why: None }, LONGEST - ROOM)
    }

    /// Takes out the invitations that wait for somebody: the link of each is used.
    pub fn end_invitations(&self, user: &UserName) -> io::Result<()> {
        let _acting = self.act()?;
        if self.names()?.is_empty() {
            return Ok(());
        }
        let _lock = self.lock()?;
        for kept in self
            .all()?
            .iter()
            .filter(|kept| kept.letter.user.as_ref() == Some(user) && kept.is_open_invitation())
        {
            self.remove(&kept.letter.id)?;
        }
        Ok(())
    }

    /// Writes a letter down as it stands now, unless it was taken out meanwhile or a newer one has its place. Returns whether it is there.
    pub fn keep(&self, kept: &Kept) -> io::Result<bool> {
        let _acting = self.act()?;
        let path = self.path(&kept.letter.id)?;
        let _lock = self.lock()?;
        if !self.has(&kept.letter.id)? {
            return Ok(false);
        }
        let is_newer =
            |other: &Kept| (other.letter.made, &other.letter.id) > (kept.letter.made, &kept.letter.id);
        if self.all()?.iter().any(|other| is_newer(other) && replaces(&other.letter, kept)) {
            fs::remove_file(path)?;
            return Ok(false);
        }
        self.write(kept, LONGEST).map(|()| true)
    }

    /// Returns whether a letter is there.
    pub fn has(&self, id: &str) -> io::Result<bool> {
        let _acting = self.act()?;
        match fs::symlink_metadata(self.path(id)?) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All letters, the oldest first. One that can't be read as a letter is put aside, and the log is told.
    pub fn all(&self) -> io::Result<Vec<Kept>> {
        let _acting = self.act()?;
        let mut all = Vec::new();
        for name in self.names()? {
            let path = self.folder.join(&name);
            match file::read_foreign(&path, LONGEST) {
                // Taken away meanwhile, for a newer one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if is_no_letter(&path, &error) => self.put_aside(name, &error),
                Err(error) => self.tell(name, &error),
                Ok(text) => match serde_json::from_slice::<Kept>(&text) {
                    Ok(kept) => all.push(kept),
                    Err(error) => self.put_aside(name, &error.into()),
                },
            }
        }
        all.sort_by(|a, b| (a.letter.made, &a.letter.id).cmp(&(b.letter.made, &b.letter.id)));
        Ok(all)
    }

    /// Paths of the files that were put aside, in the order of their names.
    pub fn aside(&self) -> io::Result<Vec<PathBuf>> {
        let _acting = self.act()?;
        let mut aside: Vec<PathBuf> =
            self.files(ASIDE)?.into_iter().map(|name| self.folder.join(name)).collect();
        aside.sort();
        Ok(aside)
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

    /// Writes a letter's file. One that nobody would read again is refused.
    fn write(&self, kept: &Kept, longest: u64) -> io::Result<()> {
        let text = serde_json::to_vec(kept).map_err(io::Error::other)?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > longest {
            let why = format!("the mail is too long: {} bytes, and {longest} are taken at most", text.len());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        file::replace(&self.path(&kept.letter.id)?, &text, 0o600)
    }

    fn lock(&self) -> io::Result<FileLock> {
        FileLock::take(&self.door.join(LOCK), PATIENCE)
    }

    /// Gives a file that is no letter another name, so that nobody tries it again, and nothing of it is lost.
    fn put_aside(&self, name: String, error: &io::Error) {
        let stem = name.strip_suffix(ENDING).unwrap_or(&name);
        let (path, aside) = (self.folder.join(&name), self.folder.join(format!("{stem}{ASIDE}")));
        match file::rename(&path, &aside) {
            Ok(()) => {
                tracing::warn!(path = %aside.display(), %error, "a mail can't be read; it is put aside and isn't sent");
            }
            Err(failed) => {
                let why = format!("{error}, and it can't be put aside: {failed}");
                self.tell(name, &io::Error::new(failed.kind(), why));
            }
        }
    }

    fn tell(&self, name: String, error: &io::Error) {
        let path = self.folder.join(&name);
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
            tracing::warn!(path = %path.display(), %error, "a mail can't be read now; it isn't sent");
        }
    }

    /// Lets this thread act as the owner of the door's folder. Where there is none, nobody has to. Fails where the spool isn't a folder itself.
    fn act(&self) -> io::Result<Option<Acting>> {
        let acting = match Owner::of(&self.door) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            owner => owner?.act()?,
        };
        match file::check_folder(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Some(acting)),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.files(ENDING)
    }

    /// Names of the files with this ending.
    fn files(&self, ending: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // Others are no letter's: the rest of a crash.
            let name = entry?.file_name().into_string().ok();
            names.extend(name.filter(|name| name.ends_with(ending) && !name.starts_with('.')));
        }
        Ok(names)
    }

    fn path(&self, id: &str) -> io::Result<PathBuf> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        match !id.is_empty() && id.len() <= 64 && id.chars().all(is_plain) {
            true => Ok(self.folder.join(format!("{id}{ENDING}"))),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a mail")),
        }
    }
}

impl Letter {
    /// The person that it is for, in a word.
    pub fn whom(&self) -> &str {
        whom(self.user.as_ref())
    }
}

/// The person that a letter is for, in a word.
pub fn whom(user: Option<&UserName>) -> &str {
    user.map_or("whoever hears of alarms", UserName::as_str)
}

impl Kept {
    /// Returns whether it is an invitation that another can replace. One that a server takes just now can't be: it may have arrived.
    fn is_open_invitation(&self) -> bool {
        matches!(self.letter.content, Content::Invitation { .. }) && !self.is_under_way
    }
}

/// Returns whether it can't be read because of what it is (a link, a folder, too long), and not because of the disk.
fn is_no_letter(path: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
        || fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

/// Returns whether a letter takes the place of one that waits.
fn replaces(newer: &Letter, kept: &Kept) -> bool {
    let is_invitation = matches!(newer.content, Content::Invitation { .. });
    is_invitation && newer.user == kept.letter.user && kept.is_open_invitation()
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
        let (user, to) = (user.parse().ok(), format!("{user}@example.org"));
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
        // What was taken out doesn't come back, and a refusal leaves nothing for which there is a newer one.
        let old = Kept { is_under_way: false, ..spool.all().unwrap()[2].clone() };
        assert!(!spool.keep(&old).unwrap() && !spool.keep(&old).unwrap());
        assert_eq!(ids(), ["b", "c", "e"]);
        assert!(spool.remove("b").unwrap() && !spool.remove("b").unwrap());
        let folder = home.path().join("door/mail");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.join("c.json")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_name_is_no_path_and_what_is_no_letter_is_put_aside() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::of(home.path());
        for bad in ["", "../x", "a/b", ".x"] {
            assert!(spool.put(letter(bad, "ann", decision())).is_err(), "{bad}");
        }
        spool.put(letter("good", "ann", decision())).unwrap();
        let folder = home.path().join("door/mail");
        fs::write(folder.join("x.json"), "{").unwrap();
        fs::write(folder.join("long.json"), vec![b' '; 100 << 10]).unwrap();
        fs::create_dir(folder.join("folder.json")).unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.join("link.json")).unwrap();
        for _ in 0..2 {
            assert_eq!(spool.all().unwrap().len(), 1);
            let aside = ["folder", "link", "long", "x"].map(|name| folder.join(format!("{name}.unreadable")));
            assert_eq!(spool.aside().unwrap(), aside);
        }
        assert_eq!(fs::read_to_string(folder.join("x.unreadable")).unwrap(), "{");
    }

    #[test]
    fn a_letter_that_is_too_long_to_be_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::of(home.path());
        let long = |bytes| Content::Alarms { began: vec!["x".repeat(bytes)], over: Vec::new(), link: None };
        let error = spool.put(letter("long", "ann", long(64 << 10))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(error.to_string().starts_with("the mail is too long: 65"), "{error}");
        // The longest that is taken has room for what becomes of it.
        spool.put(letter("fits", "ann", long(59 << 10))).unwrap();
        let kept = spool.all().unwrap().pop().unwrap();
        let why = Some("\"".repeat(300));
        assert!(spool.keep(&Kept { is_under_way: true, tries: u32::MAX, why, ..kept }).unwrap());
        assert_eq!((spool.all().unwrap().len(), spool.aside().unwrap().len()), (1, 0));
    }

    #[test]
    fn no_link_in_the_door_s_folder_is_followed() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spool = Spool::of(home.path());
        spool.put(letter("a", "ann", decision())).unwrap();
        let (folder, theirs) = (home.path().join("door/mail"), other.path().join("mail"));
        fs::rename(&folder, &theirs).unwrap();
        std::os::unix::fs::symlink(&theirs, &folder).unwrap();
        assert!(spool.all().is_err() && spool.remove("a").is_err());
        assert!(spool.put(letter("b", "ann", decision())).is_err());
        assert!(theirs.join("a.json").exists() && !theirs.join("b.json").exists());
        fs::remove_file(&folder).unwrap();
        spool.put(letter("b", "ann", decision())).unwrap();
        std::os::unix::fs::symlink(theirs.join("a.json"), folder.join("a.json")).unwrap();
        assert_eq!(spool.all().unwrap().len(), 1);
    }

    #[test]
    fn an_address_is_hidden_but_for_its_ends() {
        assert_eq!((masked("ann@example.org").as_str(), masked("žilė").as_str()), ("a…@example.org", "ž…@"));
    }
}
