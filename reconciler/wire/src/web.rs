//! The panel's questions to the door, and the answers: what goes over `web.sock`.
//!
//! Each question is a type with a path of its own and one type of answer; both travel as JSON in a `POST`. A question that
//! somebody asks carries their [`Token`] in the header `authorization: Bearer <token>`, and no name: the door alone knows
//! whom a token stands for, and answers what that person may read. What is refused comes back as a [`Refusal`], whose words
//! people read as they are.

mod api_token;
mod audit;
mod bytes;
mod change;
mod client;
mod docs;
mod factor;
mod leads;
mod oidc;
mod organisation;
mod people;
mod pull;
mod read;
mod review;
mod session;
mod site;
mod state;
mod ticket;

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use api_token::{ApiTokenCard, ApiTokenMade, ApiTokens, EndApiToken, MakeApiToken};
pub use audit::{Audit, AuditRow, Event};
pub use berth_schema::api_token::Scope;
pub use berth_schema::form::{Field, FieldEdit, Input};
pub use bytes::Bytes;
pub use change::{
    Act, Change, Commit, Committed, Deed, FieldFinding, FileDiff, Object, Plan, Planned, Power, Propose,
    ProposeRevert, Proposed, Revert, Standing, Sync, Synced,
};
pub use client::{AskError, Door};
pub use docs::{
    DocEdit, DocFile, DocFileRead, DocFound, DocRead, DocSheet, Docs, DocsCard, DocsFound, DocsSearch,
    Excerpt, PageCard, Words,
};
pub use factor::{
    AddPasskey, BeginPasskey, BeginTotp, Ceremony, Challenge, Confirm, FactorSheet, Factors, LiftFactor,
    NewRecovery, PasskeyCard, Proof, RemovePasskey, RemoveTotp, SetTotp, SignInCode, SignInPasskey, Totp,
    TotpSecret, TotpSet,
};
pub use leads::{Destination, Lead, Leads};
pub use oidc::{
    OidcBack, OidcBind, OidcConfirm, OidcJoin, OidcJoined, OidcOutcome, OidcRound, OidcSignIn, OidcStranger,
    OidcUnbind, ProviderCard, SignInWays,
};
pub use organisation::{ContactLink, Face, FaceRead};
pub use people::{
    Entered, Half, Invitation, Invite, Invited, Me, Person, Quota, Redeem, Secret, SetPassword, SignIn,
    SignOut, SignOutEverywhere, SignedIn, UserCard, UserRead, UserSheet, Users, UsersOf,
};
pub use pull::{PullCard, PullRead, PullSheet, PullState, PullWithdraw, Pulls};
pub use read::{
    Blank, CommitLine, CommitRead, CommitSheet, DomainCard, DomainRead, DomainSheet, Domains, History, Page,
    PlatformCard, PlatformRead, PlatformSheet, ServerCard, ServerRead, ServerSheet, Servers, ToolCard,
};
pub use review::{Approve, Decided, ProposalCard, ProposalRead, ProposalSheet, Proposals, Reject};
pub use session::{EndSession, EndSessions, SessionCard, Sessions};
pub use site::{Enter, GateCounted, Granted, Open, Opened, Renew};
pub use state::{
    At, BlamePart, Content, DiffSheet, FileSheet, FoundLine, FoundSheet, Is, Rows, StateBlame, StateDiff,
    StateFile, StateSearch, StateTable, StateText, StateTree, TableCell, TableRow, TableSheet, TextSheet,
    TreeEntry, TreeSheet,
};
pub use ticket::{Ticket, TicketGiven};

/// A question to the door.
pub trait Question: Serialize + DeserializeOwned + Send + 'static {
    /// Path of the request.
    const PATH: &'static str;
    /// People who may ask it.
    const WHO: Who = Who::Known;
    /// Scope that an API token has to have for it.
    const NEEDS: Needs = Needs::Session;
    /// Time that the door has for its answer; the panel waits a little longer. A plan of ten thousand servers, a password's hash
    /// and a wait for both are well below the usual one.
    const PATIENCE: Duration = Duration::from_secs(55);
    /// Answer of the door.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
}

/// People who may ask a question at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody: the answer depends on a secret that the question carries.
    Anybody,
    /// Whoever may read the wiki: anybody, where it is public.
    Reader,
    /// Whoever has a token that is good.
    Known,
    /// Admins among them.
    Admin,
}

/// Scope that somebody has to have who asks by an API token. Whoever signed in has every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// None would do: only whoever signed in may ask.
    Session,
    /// Any good token does.
    Nothing,
    /// This one.
    Scope(Scope),
    /// It depends on what is changed, so the answer looks.
    Depends,
}

/// The secret that stands for somebody who signed in, until they sign out or it ends. Its text is 43 characters of URL-safe
/// base64, 256 bits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A token with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, which nobody else may see.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The door's "no".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Reason, for whoever has to act on it.
    pub why: Why,
    /// A sentence for the person.
    pub message: String,
    /// Their next step.
    pub hint: Option<String>,
}

/// Reason for a refusal, by which the panel chooses a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Why {
    /// The token is none, or none any more: sign in.
    SignedOut,
    /// The name or the password is wrong. No answer tells which.
    WrongPassword,
    /// The code is wrong, or was used before.
    WrongCode,
    /// The person has to prove once more who they are: their token isn't fresh.
    Stale,
    /// Too many attempts; there is no point in trying before this many seconds have gone.
    TooMany {
        /// Seconds to wait.
        seconds: u64,
    },
    /// The person may not do that.
    Forbidden,
    /// The person may, and their API token lacks this scope.
    OutOfScope {
        /// The scope.
        scope: Scope,
    },
    /// Nothing of that name is there for this person.
    NotFound,
    /// The question makes no sense.
    BadQuestion,
    /// The door can't answer now: a repository that can't be read, a reconciler that doesn't answer.
    Unavailable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// An answer without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done;

/// Implements [`Question`] for types, each with its path, whom it is for, its answer, the seconds that this may take where
/// they aren't the usual ones, and what an API token needs for it, if one may ask it at all.
macro_rules! questions {
    ($($(#[$doc:meta])* $question:ty, $path:literal, $who:ident => $answer:ty $(, within $seconds:literal)? $(, needs $needs:expr)?;)*) => {$(
        impl $crate::web::Question for $question {
            const PATH: &'static str = $path;
            const WHO: $crate::web::Who = $crate::web::Who::$who;
            $(const NEEDS: $crate::web::Needs = $needs;)?
            $(const PATIENCE: std::time::Duration = std::time::Duration::from_secs($seconds);)?
            type Answer = $answer;
        }
    )*};
}
use questions;
