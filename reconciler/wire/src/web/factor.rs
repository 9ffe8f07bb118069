//! Questions about the ways in which somebody proves who they are: codes of an app, recovery codes, passkeys.

use std::net::IpAddr;

use berth_schema::name::UserName;
use berth_schema::oidc::OidcAccount;
use serde::{Deserialize, Serialize};

use super::{Done, ProviderCard, Secret, SignedIn, questions};

questions! {
    SignInCode, "/sign-in-code", Anybody => SignedIn;
    SignInPasskey, "/sign-in-passkey", Anybody => SignedIn;
    Challenge, "/challenge", Anybody => Ceremony;
    Confirm, "/confirm", Known => Done;
    Factors, "/factors", Known => FactorSheet;
    BeginTotp, "/totp-begin", Known => TotpSecret;
    SetTotp, "/totp-set", Known => TotpSet;
    RemoveTotp, "/totp-remove", Known => SignedIn;
    NewRecovery, "/recovery-new", Known => Vec<Secret>;
    BeginPasskey, "/passkey-begin", Known => Ceremony;
    AddPasskey, "/passkey-add", Known => Done;
    RemovePasskey, "/passkey-remove", Known => Done;
    LiftFactor, "/factor-lift", Admin => Done;
}

/// Signs somebody in whose password was good: with a code of their app, or with a recovery code, which is used up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInCode {
    /// [`super::Half::half`]
    pub half: Secret,
    /// Code, as it was typed.
    pub code: Secret,
    /// Source of the attempt, by which attempts are limited.
    pub from: IpAddr,
    /// Browser in a few words, as the person tells it from their others.
    #[serde(default)]
    pub browser: String,
    /// Set for a program, as for [`super::SignIn`].
    #[serde(default)]
    pub is_short: bool,
}

/// Asks for a challenge that a passkey is to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Challenge {
    /// Name and port by which the browser calls the panel.
    pub host: String,
    /// Source of the question.
    pub from: IpAddr,
}

/// Options for the browser's part in making or using a passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceremony {
    /// JSON that `parseCreationOptionsFromJSON` and `parseRequestOptionsFromJSON` read.
    pub options: String,
}

/// Signs somebody in by a passkey alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInPasskey {
    /// Name and port by which the browser calls the panel.
    pub host: String,
    /// JSON that the browser's credential gives.
    pub response: Secret,
    /// Source of the attempt.
    pub from: IpAddr,
    /// Browser in a few words.
    #[serde(default)]
    pub browser: String,
}

/// Proves once more who one is, so that for ten minutes one's token is fresh: some questions are answered only then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Confirm {
    /// The proof.
    pub proof: Proof,
    /// Source of the attempt.
    pub from: IpAddr,
}

/// Proof of who somebody is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "proof")]
pub enum Proof {
    /// The password, and a code where there is a second factor.
    Password {
        /// The password.
        password: Secret,
        /// The code; empty for none.
        code: Secret,
    },
    /// A passkey.
    Passkey {
        /// Name and port by which the browser calls the panel.
        host: String,
        /// JSON that the browser's credential gives.
        response: Secret,
    },
}

/// Asks for the ways in which somebody gets into the panel: one's own, or as an admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Factors {
    /// Their name.
    pub name: UserName,
}

/// Ways in which somebody gets into the panel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorSheet {
    /// Codes of an app.
    pub totp: Totp,
    /// Passkeys, in the file's order.
    pub passkeys: Vec<PasskeyCard>,
    /// Accounts at the provider by which they sign in, in the file's order.
    pub accounts: Vec<OidcAccount>,
    /// The provider, where there is one.
    pub provider: Option<ProviderCard>,
    /// Set if one of these accounts is at this provider: those at a former one let nobody in.
    pub has_account: bool,
    /// Account that is their only way in: there is no password, no passkey and no other account at the provider.
    pub only_way: Option<OidcAccount>,
    /// Set if they have a password.
    pub has_password: bool,
    /// Set if the person who asks has proved who they are within the last ten minutes.
    pub is_fresh: bool,
    /// Set if passkeys can be made here: the platform names its panel, and no forge hosts the state repo.
    pub has_panel: bool,
}

/// State of the codes of somebody's app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "totp")]
pub enum Totp {
    /// No code is asked for.
    Off,
    /// A code is asked for after the password.
    On {
        /// Number of recovery codes that are left.
        recovery: u32,
    },
    /// A code is asked for, and the host has lost the secret: the password lets nobody in.
    Lost,
}

/// A passkey in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyCard {
    /// Its id.
    pub id: String,
    /// Name that its owner gave it.
    pub name: String,
}

/// Begins to set up codes of an app, or shows once more what was begun with this token. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeginTotp {}

/// Secret that an app makes codes of. It is shown until the first code has come, and never again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TotpSecret {
    /// The secret as people type it, in Base32.
    pub secret: Secret,
    /// The same as apps read it from a picture: `otpauth://totp/…`.
    pub uri: Secret,
}

/// Ends the set-up with the first code. Ends one's other tokens and this one; the answer has a new one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetTotp {
    /// Code, as it was typed.
    pub code: Secret,
    /// Source of the attempt.
    pub from: IpAddr,
    /// Browser in a few words.
    #[serde(default)]
    pub browser: String,
}

/// Codes of an app are asked for from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TotpSet {
    /// The new token.
    pub signed_in: SignedIn,
    /// Recovery codes, each good once. They are never shown again.
    pub recovery: Vec<Secret>,
}

/// Takes one's own second factor away. Ends one's other tokens and this one; the answer has a new one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveTotp {
    /// The password. Whoever has none has to have a fresh token in its place.
    pub password: Secret,
    /// A code of the app, or a recovery code.
    pub code: Secret,
    /// Source of the attempt.
    pub from: IpAddr,
    /// Browser in a few words.
    #[serde(default)]
    pub browser: String,
}

/// Makes new recovery codes; those from before are dead. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewRecovery {}

/// Asks for what a browser needs to make a passkey. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeginPasskey {
    /// Name and port by which the browser calls the panel.
    pub host: String,
}

/// Adds a passkey by a commit of the person's own. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddPasskey {
    /// Name and port by which the browser calls the panel.
    pub host: String,
    /// Name for it.
    pub name: String,
    /// JSON that the browser's credential gives.
    pub response: Secret,
}

/// Removes a passkey by a commit: one's own, or anybody's as an admin. Whoever signed in by it is signed out. Needs a fresh
/// token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemovePasskey {
    /// Person whose it is.
    pub user: UserName,
    /// Its id.
    pub id: String,
}

/// Takes somebody's second factor away, as an admin, and signs them out everywhere. Needs a fresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LiftFactor {
    /// Their name.
    pub user: UserName,
}
