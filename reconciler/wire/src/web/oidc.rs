//! Questions about sign-in by an OpenID provider: a round there and back, and whom it brings.

use std::net::IpAddr;

use berth_schema::name::UserName;
use berth_schema::oidc::OidcAccount;
use serde::{Deserialize, Serialize};

use super::{Done, Entered, Secret, SignedIn, questions};

questions! {
    SignInWays, "/sign-in-ways", Anybody => Option<ProviderCard>;
    OidcSignIn, "/oidc-sign-in", Anybody => OidcRound;
    OidcConfirm, "/oidc-confirm", Known => OidcRound;
    OidcBind, "/oidc-bind", Known => OidcRound;
    OidcBack, "/oidc-back", Anybody => OidcOutcome, within 85;
    OidcJoin, "/oidc-join", Anybody => OidcJoined;
    OidcUnbind, "/oidc-unbind", Known => Done;
}

/// Asks whether people can sign in by a provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInWays {}

/// The provider by which people sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderCard {
    /// Words on the button.
    pub label: String,
    /// Name of the provider's host.
    pub host: String,
}

/// Begins a sign-in by the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcSignIn {
    /// Name and port by which the browser calls the panel.
    pub host: String,
    /// Source of the question.
    pub from: IpAddr,
}

/// Begins a round in which one proves once more who one is: the provider asks anew, and the token is fresh afterwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcConfirm {
    /// Name and port by which the browser calls the panel.
    pub host: String,
    /// The code of one's app, where one has a second factor; empty for none.
    pub code: Secret,
    /// Source of the attempt.
    pub from: IpAddr,
}

/// Begins a round that binds an account at the provider to one's own file. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcBind {
    /// Name and port by which the browser calls the panel.
    pub host: String,
    /// Source of the question.
    pub from: IpAddr,
}

/// A round that has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcRound {
    /// Address at the provider to which the browser goes.
    pub url: String,
    /// Secret that this browser keeps until it comes back, and no other has.
    pub round: Secret,
}

/// Ends a round: the browser has come back from the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcBack {
    /// [`OidcRound::round`], from the browser's cookie.
    pub round: Secret,
    /// The state that the provider repeats.
    pub state: Secret,
    /// The code, where the provider gave one.
    pub code: Option<Secret>,
    /// The provider's word for what went wrong, where it did.
    pub error: Option<String>,
    /// The issuer, where the provider names it (RFC 9207).
    pub iss: Option<String>,
    /// Source of the attempt.
    pub from: IpAddr,
    /// Browser in a few words.
    #[serde(default)]
    pub browser: String,
}

/// Outcome of a round.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum OidcOutcome {
    /// A member signs in.
    Entered {
        /// Whether a code is still wanted.
        entered: Entered,
    },
    /// The person has proved once more who they are.
    Confirmed,
    /// The account is bound.
    Bound,
    /// Nobody here has this account, and whoever has it may join.
    Stranger {
        /// What is known of them.
        stranger: OidcStranger,
    },
}

/// Somebody who has an account at the provider and none here, and may join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcStranger {
    /// Secret that stands for their account for ten minutes.
    pub half: Secret,
    /// A name for them that nobody has, where the provider says one that fits; empty for none.
    pub name: String,
    /// Set if they are in at once; otherwise an admin has to agree.
    pub at_once: bool,
}

/// Joins, under a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcJoin {
    /// [`OidcStranger::half`]
    pub half: Secret,
    /// Name, as it was typed.
    pub name: String,
    /// Source of the attempt.
    pub from: IpAddr,
    /// Browser in a few words.
    #[serde(default)]
    pub browser: String,
}

/// Outcome of joining.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "joined")]
pub enum OidcJoined {
    /// They are a member, and signed in.
    SignedIn(Box<SignedIn>),
    /// Their file waits for an admin.
    Proposed {
        /// Topic of the proposal.
        topic: String,
    },
}

/// Takes an account at the provider out of somebody's file by a commit: one's own, or anybody's as an admin. Whoever signed in by it is
/// signed out. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OidcUnbind {
    /// Person whose it is.
    pub user: UserName,
    /// The account.
    pub account: OidcAccount,
    /// Set if they know that they may have no way in afterwards.
    pub knows: bool,
}
