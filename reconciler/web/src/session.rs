//! Sessions: what the panel remembers of a browser, under a number and a secret in its cookie.
//!
//! The store holds nothing that can be read without the cookie, so whoever steals it is nobody. It holds nothing that can't be
//! lost either: people sign in again. A session of somebody who isn't signed in exists only to remember where they were going,
//! and there is a limit to these.

pub(crate) mod seal;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use berth_host::FileLock;
use berth_wire::web::{OidcStranger, Secret, Token};
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use seal::Key;

/// Name of the cookie. Its prefix makes browsers refuse it from any other host, and without encryption.
pub const COOKIE: &str = "__Host-berth";
/// The most sessions of people who aren't signed in. One more ends the one that would end first.
const GUESTS: usize = 4096;
/// Time that such a session lasts.
const GUEST_STAY: SignedDuration = SignedDuration::from_mins(30);
/// Time that a session outlives its token, so that what somebody types meanwhile can be kept for them.
const AFTERGLOW: SignedDuration = SignedDuration::from_hours(24);
/// The most notices that wait for a page.
const NOTICES: usize = 8;
/// The longest path that is remembered, in bytes.
const LONGEST_PATH: usize = 2048;
/// Length of what stands before the sealed part of a record: seconds of its end, and its kind.
const HEAD: usize = 9;

/// The sessions can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum SessionError {
    /// Another process has them, or the folder can't be used.
    #[error("cannot use the folder of sessions {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The store failed.
    #[error("cannot keep sessions")]
    Store(#[from] sled::Error),
    /// Randomness or the cipher failed.
    #[error("cannot seal a session")]
    Seal,
    /// It is gone, or its cookie is another by now.
    #[error("cannot find the session any more")]
    Gone,
}

/// Memory of a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// Stands for somebody at the door, while they are signed in.
    pub token: Option<Token>,
    /// Name of the person who is or was signed in.
    pub user: Option<String>,
    /// Sentences that the next page shows.
    pub notices: Vec<Notice>,
    /// Act that somebody was about to do when they turned out not to be signed in.
    pub kept: Option<Kept>,
    /// Secret that stands for a good password until the code comes.
    pub half: Option<Secret>,
    /// Secret by which the door knows that this browser began a round to the OpenID provider.
    pub round: Option<Secret>,
    /// Somebody whom the provider knows and nobody here, while they choose a name.
    pub stranger: Option<OidcStranger>,
}

/// Act that somebody was about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Path and query of the page, which is one of the panel's.
    pub path: String,
    /// Values that they sent there, if it was a form.
    pub form: Option<Vec<(String, String)>>,
}

/// A sentence that the next page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its tone.
    pub tone: Tone,
    /// The sentence.
    pub text: String,
}

/// Tone of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Something was done.
    Good,
    /// Something is to be known.
    Plain,
    /// Something went wrong.
    Bad,
}

impl Notice {
    /// Says that something was done.
    pub fn good(text: impl Into<String>) -> Self {
        Self { tone: Tone::Good, text: text.into() }
    }

    /// Says something.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { tone: Tone::Plain, text: text.into() }
    }

    /// Says that something went wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { tone: Tone::Bad, text: text.into() }
    }
}

/// A session that its cookie has opened.
#[derive(Debug, Clone)]
pub struct Session {
    key: Key,
    /// Memory of the browser, as it was when the session was opened.
    pub content: Content,
}

impl Session {
    /// The header that gives the browser this session's cookie.
    pub fn cookie(&self) -> HeaderValue {
        set_cookie(&self.key.write(), "")
    }
}

/// The header that takes the cookie from the browser.
pub fn no_cookie() -> HeaderValue {
    set_cookie("", "; Max-Age=0")
}

fn set_cookie(value: &str, more: &str) -> HeaderValue {
    let cookie = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{more}");
    // Base64 and words of ours are always a header.
    HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The sessions of a panel. A clone is the same sessions.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Store>);

#[derive(Debug)]
struct Store {
    records: sled::Tree,
    db: sled::Db,
    /// Held while a record is read and written again.
    change: Mutex<()>,
    /// Sessions of people who aren't signed in: the second in which each ends, and its number.
    guests: Mutex<BTreeSet<(i64, Vec<u8>)>>,
    /// Goes after the store, which the next process opens then.
    _lock: FileLock,
}

impl Sessions {
    /// Opens the sessions in a folder, and waits for a process that has them open to end. A store that can't be read is given
    /// up.
    pub fn open(folder: &Path, patience: Duration) -> Result<Self, SessionError> {
        let failed = |source| SessionError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = FileLock::take(&folder.join("lock"), patience).map_err(failed)?;
        let store = folder.join("store");
        let until = Instant::now() + patience;
        let db = loop {
            // sled's own default cache is a gibibyte.
            match sled::Config::new().path(&store).cache_capacity(1 << 20).open() {
                Err(sled::Error::Corruption { .. }) => {
                    tracing::warn!(folder = %store.display(), "the sessions can't be read; everybody has to sign in again");
                    fs::remove_dir_all(&store).map_err(failed)?;
                }
                // A thread of sled's may hold its own lock for a moment after ours is free.
                Err(sled::Error::Io(error))
                    if error.to_string().contains("lock") && Instant::now() < until =>
                {
                    thread::sleep(FileLock::GLANCE);
                }
                opened => break opened?,
            }
        };
        let records = db.open_tree("sessions")?;
        let mut guests = BTreeSet::new();
        for entry in records.iter() {
            let (id, record) = entry?;
            guests.extend(guest(&id, &record));
        }
        Ok(Self(Arc::new(Store {
            records,
            db,
            change: Mutex::default(),
            guests: Mutex::new(guests),
            _lock: lock,
        })))
    }

    /// Another tree in the same store, for what the panel remembers besides.
    pub(crate) fn tree(&self, name: &str) -> Result<sled::Tree, SessionError> {
        Ok(self.0.db.open_tree(name)?)
    }

    /// Opens the session of a cookie's value. A cookie that is none, or too old, opens nothing.
    pub fn find(&self, cookie: &str) -> Option<Session> {
        let key = Key::read(cookie)?;
        let content =
            self.read(&key).inspect_err(|error| tracing::warn!(%error, "a session can't be read")).ok()??;
        Some(Session { key, content })
    }

    /// Begins a session for somebody who has signed in, under a new number and a new secret.
    pub fn begin(&self, content: Content, token_until: Timestamp) -> Result<Session, SessionError> {
        let until = token_until.checked_add(AFTERGLOW).unwrap_or(token_until);
        self.make(content, Kind::Member, until)
    }

    /// Begins a session for somebody who hasn't.
    pub fn begin_guest(&self, content: Content) -> Result<Session, SessionError> {
        let now = Timestamp::now();
        let until = now.checked_add(GUEST_STAY).unwrap_or(now);
        let _held = self.0.change.lock();
        let made = self.make(content, Kind::Guest, until)?;
        let mut guests = self.0.guests.lock();
        if guests.len() >= GUESTS
            && let Some((_, first)) = guests.pop_first()
        {
            self.0.records.remove(first)?;
        }
        guests.insert((until.as_second(), made.key.id.to_vec()));
        Ok(made)
    }

    fn make(&self, content: Content, kind: Kind, until: Timestamp) -> Result<Session, SessionError> {
        let key = Key::random().map_err(|_| SessionError::Seal)?;
        let head = head(until, kind);
        self.write(&key, &head, &content)?;
        Ok(Session { key, content })
    }

    /// Changes what is remembered, and returns it as it is now.
    pub fn change(
        &self,
        session: &Session,
        change: impl FnOnce(&mut Content),
    ) -> Result<Content, SessionError> {
        let _held = self.0.change.lock();
        let record = self.0.records.get(session.key.id)?.ok_or(SessionError::Gone)?;
        let mut content = self.read(&session.key)?.ok_or(SessionError::Gone)?;
        change(&mut content);
        let excess = content.notices.len().saturating_sub(NOTICES);
        content.notices.drain(..excess);
        content.kept = content.kept.filter(|kept| kept.path.len() <= LONGEST_PATH);
        let head = record.get(..HEAD).ok_or(SessionError::Gone)?;
        self.write(&session.key, head, &content)?;
        Ok(content)
    }

    /// Takes the notices that wait: the page that asks shows them.
    pub fn take_notices(&self, session: &Session) -> Vec<Notice> {
        let mut taken = Vec::new();
        let waiting =
            self.read(&session.key).ok().flatten().is_some_and(|content| !content.notices.is_empty());
        if waiting
            && let Err(error) = self.change(session, |content| taken = std::mem::take(&mut content.notices))
        {
            tracing::warn!(%error, "notices can't be taken");
        }
        taken
    }

    /// Has the next page show a notice.
    pub fn tell(&self, session: &Session, notice: Notice) {
        if let Err(error) = self.change(session, |content| content.notices.push(notice)) {
            tracing::warn!(%error, "a notice is lost");
        }
    }

    /// Ends a session.
    pub fn end(&self, session: &Session) -> Result<(), SessionError> {
        let _held = self.0.change.lock();
        // Only its cookie ends it: a number alone isn't enough.
        if self.read(&session.key)?.is_some() {
            self.remove(&session.key.id)?;
        }
        Ok(())
    }

    /// Forgets sessions that ended before `now`.
    pub fn sweep(&self, now: Timestamp) -> Result<(), SessionError> {
        let _held = self.0.change.lock();
        for entry in self.0.records.iter() {
            let (id, record) = entry?;
            if until(&record).is_none_or(|until| until <= now.as_second()) {
                self.remove(&id)?;
            }
        }
        Ok(())
    }

    /// Writes to disk what isn't there yet.
    pub fn flush(&self) -> Result<(), SessionError> {
        self.0.db.flush()?;
        Ok(())
    }

    fn read(&self, key: &Key) -> Result<Option<Content>, SessionError> {
        let Some(record) = self.0.records.get(key.id)? else { return Ok(None) };
        if until(&record).is_none_or(|until| until <= Timestamp::now().as_second()) {
            return Ok(None);
        }
        let content = record.get(HEAD..).and_then(|sealed| key.unseal(sealed));
        // One of another version of Berth is as good as none.
        Ok(content.and_then(|content| serde_json::from_slice(&content).ok()))
    }

    fn write(&self, key: &Key, head: &[u8], content: &Content) -> Result<(), SessionError> {
        let content = serde_json::to_vec(content).map_err(|_| SessionError::Seal)?;
        let sealed = key.seal(content).map_err(|_| SessionError::Seal)?;
        self.0.records.insert(key.id, [head, &sealed].concat())?;
        Ok(())
    }

    fn remove(&self, id: &[u8]) -> Result<(), SessionError> {
        if let Some(record) = self.0.records.remove(id)?
            && let Some(guest) = guest(id, &record)
        {
            self.0.guests.lock().remove(&guest);
        }
        Ok(())
    }
}

/// The entry of a session among those of people who aren't signed in, if it is one.
fn guest(id: &[u8], record: &[u8]) -> Option<(i64, Vec<u8>)> {
    (Kind::of(record) == Kind::Guest).then(|| (until(record).unwrap_or_default(), id.to_vec()))
}

/// Kind of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Guest,
    Member,
}

impl Kind {
    fn of(record: &[u8]) -> Self {
        match record.get(HEAD - 1) {
            Some(0) => Self::Guest,
            _ => Self::Member,
        }
    }
}

fn head(until: Timestamp, kind: Kind) -> Vec<u8> {
    let mut head = until.as_second().to_be_bytes().to_vec();
    head.push(u8::from(kind == Kind::Member));
    head
}

/// Second in which a record ends.
fn until(record: &[u8]) -> Option<i64> {
    record.get(..HEAD - 1)?.try_into().ok().map(i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far beyond what a thread takes to end; whoever is there for good is waited for this long.
    const SHORT: Duration = Duration::from_millis(500);

    fn content(token: &str) -> Content {
        Content { token: Some(Token::new(token)), user: Some("ann".to_owned()), ..Content::default() }
    }

    fn tomorrow() -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(24)
    }

    fn value(session: &Session) -> String {
        let header = session.cookie().to_str().unwrap().to_owned();
        header.split(['=', ';']).nth(1).unwrap().to_owned()
    }

    #[test]
    fn a_cookie_opens_its_own_session_until_that_ends() {
        let home = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(home.path(), SHORT).unwrap();
        let (one, other) = (
            sessions.begin(content("t1"), tomorrow()).unwrap(),
            sessions.begin(content("t2"), tomorrow()).unwrap(),
        );
        assert_eq!(sessions.find(&value(&one)).unwrap().content, content("t1"));
        // The number of one with the secret of the other.
        let (one_id, other_secret) = (value(&one), value(&other));
        let mixed =
            format!("{}.{}", one_id.split_once('.').unwrap().0, other_secret.split_once('.').unwrap().1);
        assert!(sessions.find(&mixed).is_none());
        sessions.end(&one).unwrap();
        assert!(sessions.find(&value(&one)).is_none() && sessions.find(&value(&other)).is_some());
        assert!(matches!(sessions.change(&one, |_| {}), Err(SessionError::Gone)));
    }

    #[test]
    fn a_stolen_store_says_nothing() {
        let home = tempfile::tempdir().unwrap();
        let token = "the-token-of-ann-at-the-door-of-berth";
        {
            let sessions = Sessions::open(home.path(), SHORT).unwrap();
            let session = sessions.begin(content(token), tomorrow()).unwrap();
            let kept = Kept {
                path: "/servers/new".to_owned(),
                form: Some(vec![("name".to_owned(), "a-typed-word".to_owned())]),
            };
            sessions.change(&session, |content| content.kept = Some(kept)).unwrap();
            sessions.flush().unwrap();
        }
        let mut files = vec![home.path().to_owned()];
        let mut bytes = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let content = fs::read(&path).unwrap();
            bytes += content.len();
            for secret in [token, "ann", "a-typed-word", "/servers/new"] {
                let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} in {}", path.display());
            }
        }
        assert!(bytes > 0);
    }

    #[test]
    fn sessions_outlive_the_process_and_one_process_has_them() {
        let home = tempfile::tempdir().unwrap();
        let cookie = {
            let sessions = Sessions::open(home.path(), SHORT).unwrap();
            assert!(matches!(Sessions::open(home.path(), SHORT), Err(SessionError::Folder { .. })));
            value(&sessions.begin(content("t"), tomorrow()).unwrap())
        };
        let sessions = Sessions::open(home.path(), SHORT).unwrap();
        assert_eq!(sessions.find(&cookie).unwrap().content, content("t"));
    }

    #[test]
    fn old_ones_are_swept_and_guests_are_few() {
        let home = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(home.path(), SHORT).unwrap();
        let old = Timestamp::now() - AFTERGLOW - SignedDuration::from_secs(1);
        assert!(sessions.find(&value(&sessions.begin(content("t"), old).unwrap())).is_none());
        let member = sessions.begin(content("t"), tomorrow()).unwrap();
        for _ in 0..GUESTS {
            sessions.begin_guest(Content::default()).unwrap();
        }
        let (_, first) = sessions.0.guests.lock().first().cloned().unwrap();
        let last = sessions.begin_guest(Content::default()).unwrap();
        assert!(sessions.find(&value(&last)).is_some() && !sessions.0.records.contains_key(first).unwrap());
        assert!(sessions.find(&value(&member)).is_some(), "guests end nobody who is signed in");
        sessions.end(&member).unwrap();
        sessions.sweep(Timestamp::now()).unwrap();
        assert_eq!(sessions.0.records.len(), GUESTS);
        sessions.sweep(Timestamp::now() + GUEST_STAY).unwrap();
        assert_eq!((sessions.0.records.len(), sessions.0.guests.lock().len()), (0, 0));
        sessions.begin_guest(Content::default()).unwrap();
    }

    #[test]
    fn notices_are_shown_once_and_the_newest_stay() {
        let home = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(home.path(), SHORT).unwrap();
        let session = sessions.begin(content("t"), tomorrow()).unwrap();
        (0..=NOTICES).for_each(|number| sessions.tell(&session, Notice::good(number.to_string())));
        let taken = sessions.take_notices(&session);
        assert_eq!((taken.len(), taken[0].text.as_str()), (NOTICES, "1"));
        assert_eq!(sessions.take_notices(&session), []);
    }
}
