//! Protocol of the git door: requests of the SSH router to the control plane for the login `git`, and their answers.
//!
//! A connection carries one command. It begins with a [`Request`] as one line of JSON; from then on both sides send
//! frames: a kind (one byte), a length (four bytes, big-endian) and as many bytes ([`FRAME_MAX`] at most). The caller
//! sends [`INPUT`], and [`INPUT_END`] once. The door sends [`OUTPUT`] and [`ERROR`], and finally [`EXIT`] with the exit
//! code (four bytes, big-endian).
//!
//! Instead of a command, a connection may redeem a ticket: see [`crate::ticket`].
//!
//! The router vouches for the user, whom it knows by a key; the door asks the state whether there is such a user.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::ticket::Redeem;

mod frame;
mod line;
mod places;

pub use frame::{ERROR, EXIT, FRAME_MAX, FrameError, Head, INPUT, INPUT_END, OUTPUT, RESIZE, Said, WORDS};
use line::COMMAND_MAX;
pub use line::LobbyLine;
pub use places::{NoPlace, Place, Places};

/// Most commands at once, unless the operator sets another number. Each is a process of git beside the control plane.
pub const COMMANDS: usize = 16;

/// Most of these commands of one member.
pub const COMMANDS_EACH: usize = 4;

/// Longest request, in bytes with its line break.
pub const REQUEST_MAX: usize = 1 << 10;

/// Longest topic of a proposal, in characters.
pub const TOPIC_MAX: usize = 60;

/// Returns the sentence for whoever copies files with the login `git`.
pub fn no_files() -> Invalid {
    Invalid::new(
        "this login has no files",
        "copy with the name of a server in place of `git`: <server>@<host>",
    )
}

/// First line of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    /// A command of the login `git`.
    Command(Request),
    /// A ticket of the panel's, which the router was given.
    Redeem(Redeem),
}

/// Request to the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the member. It is plain text here, because the door checks it anyway.
    pub user: String,
    /// Command to run.
    pub command: Command,
    /// The client's `GIT_PROTOCOL` (git's `protocol.txt`), if it names one of git's versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Address that the person's connection comes from.
    pub from: IpAddr,
}

/// Commands that the login `git` may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// `git push`.
    ReceivePack,
    /// `git fetch` and `git clone`.
    UploadPack,
    /// Lists the proposals that wait.
    ReviewList,
    /// The same, however many they are.
    ReviewListWhole,
    /// Shows one proposal: its change, its plan and its verdict.
    ReviewShow(Topic),
    /// The same in full, however long.
    ReviewShowWhole(Topic),
    /// Merges a proposal, if it is still at the revision that was reviewed.
    ReviewApprove {
        /// Topic of the proposal.
        topic: Topic,
        /// Newest commit of the proposal when it was reviewed.
        at: CommitId,
        /// Set if the person knows what they lose by it themselves.
        #[serde(default)]
        knows: bool,
    },
    /// Closes a proposal without merging it.
    ReviewReject(Topic),
    /// A line for the lobby, which reads it itself. An empty one asks who one is.
    Lobby(LobbyLine),
}

/// Topic of a proposal, whose branch is `review/<topic>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(String);

/// Id of a commit as people write it, in full or only its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

/// Shortest beginning of a commit's id, in digits. Git itself shows no fewer.
const COMMIT_MIN: usize = 7;
/// Length of a whole id, in digits.
const COMMIT_MAX: usize = 40;

impl CommitId {
    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CommitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CommitId {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let digit = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
        match (COMMIT_MIN..=COMMIT_MAX).contains(&value.len()) && value.chars().all(digit) {
            true => Ok(Self(value.to_owned())),
            false => Err(Invalid::new(
                format!("`{}` is not a commit's id", crate::text::shown(value)),
                format!("write {COMMIT_MIN} to {COMMIT_MAX} of its digits, as `review show` prints them"),
            )),
        }
    }
}

impl TryFrom<String> for CommitId {
    type Error = Invalid;
    fn try_from(value: String) -> Result<Self, Invalid> {
        value.parse()
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0
    }
}

impl Topic {
    /// Returns the topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
        let good = value.len() <= TOPIC_MAX
            && value.chars().all(inner)
            && edge(value.chars().next())
            && edge(value.chars().next_back());
        match good {
            true => Ok(Self(value.to_owned())),
            false => Err(Invalid::new(
                format!("`{}` is not a topic", crate::text::shown(value)),
                format!(
                    "use 1 to {TOPIC_MAX} lower-case letters, digits and hyphens, such as `review/more-memory`"
                ),
            )),
        }
    }
}

impl TryFrom<String> for Topic {
    type Error = Invalid;
    fn try_from(value: String) -> Result<Self, Invalid> {
        value.parse()
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0
    }
}

impl Command {
    /// Reads the command line of an SSH `exec` request. There is no shell: git's own spellings and those of reviews are known here,
    /// and every other line is the lobby's to read.
    pub fn parse(line: &[u8]) -> Result<Self, Invalid> {
        let unknown = || {
            Invalid::new(
                "that is no command of this login",
                "use git with ssh://git@<host>:<port>/state, or `review list [--all]`, `review show <topic> [--all]`, `review reject <topic>`, \
                 `review approve <topic> <revision> [--allow-lockout]`; `help` lists the other commands",
            )
        };
        if line.len() > COMMAND_MAX {
            return Err(line::too_long());
        }
        let line = std::str::from_utf8(line).map_err(|_| unknown())?;
        if let Some(words) = line.strip_prefix("review ") {
            let (verb, topic) =
                words.split_once(' ').map_or((words, None), |(verb, topic)| (verb, Some(topic)));
            return match (verb, topic) {
                ("list", None) => Ok(Self::ReviewList),
                ("list", Some("--all")) => Ok(Self::ReviewListWhole),
                ("show", Some(words)) => match words.strip_suffix(" --all") {
                    Some(topic) => topic.parse().map(Self::ReviewShowWhole),
                    None => words.parse().map(Self::ReviewShow),
                },
                ("approve", Some(words)) => Self::approval(words),
                ("reject", Some(topic)) => topic.parse().map(Self::ReviewReject),
                _ => Err(unknown()),
            };
        }
        let Some(rest) = line.strip_prefix("git-").or_else(|| line.strip_prefix("git ")) else {
            return if line == "review" { Err(unknown()) } else { line.parse().map(Self::Lobby) };
        };
        let (service, path) = rest.split_once(' ').ok_or_else(unknown)?;
        let command = match service {
            "receive-pack" => Self::ReceivePack,
            "upload-pack" => Self::UploadPack,
            _ => return Err(unknown()),
        };
        let path = path.strip_prefix('\'').and_then(|path| path.strip_suffix('\'')).unwrap_or(path);
        // Clients put slashes together from an address and a folder; none leads anywhere else.
        match path.trim_matches('/') {
            "state" | "state.git" => Ok(command),
            _ => Err(Invalid::new(
                "there is no such repository",
                "the only one is ssh://git@<host>:<port>/state",
            )),
        }
    }

    /// Reads an approval, which must name a revision: the author may push another one during the review.
    fn approval(words: &str) -> Result<Self, Invalid> {
        let (topic, at) = words.split_once(' ').map_or((words, None), |(topic, at)| (topic, Some(at)));
        let topic: Topic = topic.parse()?;
        let at = at.ok_or_else(|| {
            Invalid::new(
                format!("say which revision of review/{topic} you agree to"),
                format!("`review show {topic}` prints the whole line"),
            )
        })?;
        let (at, knows) = match at.strip_suffix(" --allow-lockout") {
            Some(at) => (at, true),
            None => (at, false),
        };
        Ok(Self::ReviewApprove { topic, at: at.parse()?, knows })
    }

    /// Returns the value of `GIT_PROTOCOL` if git knows it.
    pub fn protocol(value: &[u8]) -> Option<String> {
        let known = ["version=0", "version=1", "version=2"];
        let value = std::str::from_utf8(value).ok()?;
        known.contains(&value).then(|| value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_s_own_spellings_are_commands_and_nothing_else_is() {
        for path in ["'/state'", "/state", "state", "'state.git'", "/state.git", "'/state/'", "//state.git//"]
        {
            assert_eq!(
                Command::parse(format!("git-receive-pack {path}").as_bytes()).unwrap(),
                Command::ReceivePack
            );
            assert_eq!(
                Command::parse(format!("git upload-pack {path}").as_bytes()).unwrap(),
                Command::UploadPack
            );
        }
        let long = "a".repeat(385);
        let refused = [
            "git-upload-archive '/state'",
            "git-receive-pack '/etc'",
            "git-receive-pack ''/state''",
            "git-receive-pack '/state",
            "git-receive-pack '/state'; id",
            "git-receive-pack  '/state'",
            "git-receive-pack --help '/state'",
            "git-receive-pack /state/x",
            "git-receive-pack //",
            "git-receive-pack /state/../etc",
            "git-receive-pack\n'/state'",
            "review",
            "ls\t--all",
            "ls\nls",
            "ls \u{1b}[2J",
            "rm \u{202e}shop",
            "review list all",
            "review list --all --all",
            "review show",
            "review show --all",
            "review show x --all --all",
            "review show ../x",
            "review approve -x",
            "review approve x",
            "review approve x main",
            "review approve x 012345",
            "review approve x 0123456 7",
            "review approve x  0123456",
            "review approve x --allow-lockout",
            "review approve x 0123456 --allow-lockout --allow-lockout",
            "review approve x 0123456789ABCDEF",
            "review approve 0123456",
            "review merge x",
            &long,
        ];
        for line in refused {
            assert!(Command::parse(line.as_bytes()).is_err(), "{line}");
        }
        let told = Command::parse(long.as_bytes()).unwrap_err();
        assert!(told.message.contains("longer than 384 bytes"), "{told}");
        assert!(Command::parse(b"git-receive-pack '/stat\xff'").is_err());
    }

    #[test]
    fn every_other_line_is_the_lobby_s() {
        for line in
            ["", "ls --json", "sh", "GIT-RECEIVE-PACK '/state'", "reviews", "set shop memory=\"1 GiB\""]
        {
            let Ok(Command::Lobby(read)) = Command::parse(line.as_bytes()) else { panic!("{line}") };
            assert_eq!(read.as_str(), line);
        }
        let forged = serde_json::to_string(&Command::Lobby(LobbyLine::default()))
            .unwrap()
            .replace("\"\"", "\"ls\\n\"");
        assert!(serde_json::from_str::<Command>(&forged).is_err(), "{forged}");
    }

    #[test]
    fn the_longest_line_fits_into_a_request() {
        let request = Request {
            user: "a".repeat(25),
            command: Command::Lobby("\"".repeat(COMMAND_MAX).parse().unwrap()),
            protocol: Command::protocol(b"version=2"),
            from: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(),
        };
        let line = serde_json::to_string(&request).unwrap();
        assert!(line.len() < REQUEST_MAX, "{}", line.len());
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    }

    #[test]
    fn a_review_names_its_topic() {
        let topic: Topic = "more-memory".parse().unwrap();
        assert_eq!(Command::parse(b"review list").unwrap(), Command::ReviewList);
        assert_eq!(Command::parse(b"review show more-memory").unwrap(), Command::ReviewShow(topic.clone()));
        let whole = Command::parse(b"review show more-memory --all").unwrap();
        assert_eq!(whole, Command::ReviewShowWhole(topic.clone()));
        assert_eq!(Command::parse(b"review list --all").unwrap(), Command::ReviewListWhole);
        assert_eq!(
            Command::parse(b"review approve more-memory 0123456789").unwrap(),
            Command::ReviewApprove { topic: topic.clone(), at: "0123456789".parse().unwrap(), knows: false }
        );
        assert_eq!(
            Command::parse(b"review approve more-memory 0123456789 --allow-lockout").unwrap(),
            Command::ReviewApprove { topic: topic.clone(), at: "0123456789".parse().unwrap(), knows: true }
        );
        let without = Command::parse(b"review approve more-memory").unwrap_err();
        assert!(without.hint.contains("`review show more-memory` prints"), "{without}");
        assert_eq!(Command::parse(b"review reject more-memory").unwrap(), Command::ReviewReject(topic));
    }

    #[test]
    fn a_request_is_one_line_that_can_be_read_again() {
        let request = Request {
            user: "ann".to_owned(),
            command: Command::ReviewShow("x".parse().unwrap()),
            protocol: Command::protocol(b"version=2"),
            from: "192.0.2.1".parse().unwrap(),
        };
        let line = serde_json::to_string(&request).unwrap();
        assert!(!line.contains('\n') && line.len() < REQUEST_MAX);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        assert_eq!(serde_json::from_str::<Asked>(&line).unwrap(), Asked::Command(request));
        let redeem = Redeem { redeem: "x".to_owned() };
        let asked = serde_json::from_str::<Asked>(&serde_json::to_string(&redeem).unwrap());
        assert_eq!(asked.unwrap(), Asked::Redeem(redeem));
        let forged = line.replace("\"x\"", "\"../x\"");
        assert!(serde_json::from_str::<Request>(&forged).is_err());
        assert_eq!(Command::protocol(b"version=2:evil"), None);
    }
}
