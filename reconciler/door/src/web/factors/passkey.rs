//! Passkeys (WebAuthn): which names and origins are the panel's, how one is made, and the check of one that is used.
//!
//! The crate `webauthn_rp` does the cryptography and reads what browsers send. Everything is judged by the state: the panel says
//! only by which of its names a browser called it.

use super::super::origin::Origins;
use berth_schema::name::UserName;
use berth_schema::platform::Platform;
use berth_schema::user::{Passkey, User};
use data_encoding::BASE64URL_NOPAD;
use webauthn_rp::bin::{Decode as _, Encode as _};
use webauthn_rp::request::auth::AuthenticationVerificationOptions;
use webauthn_rp::request::register::{
    CredProtect, PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle, Username,
};
use webauthn_rp::request::{AsciiDomain, BackupReq, PublicKeyCredentialDescriptor, RpId};
use webauthn_rp::response::register::{DynamicState, StaticState};
use webauthn_rp::response::{AuthTransports, AuthenticatorAttachment, Backup, CredentialId};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions, PublicKeyCredentialCreationOptions, Registration,
    RegistrationServerState,
};

/// Bytes of the handle by which an authenticator knows a person.
pub(super) const HANDLE: usize = 32;
/// Purpose of the handle, so that its digest means nothing elsewhere.
const PURPOSE: &str = "berth 2026-11 the handle of a person's passkeys";

/// A passkey that isn't taken. The reasons are for the log: whoever tries learns none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The panel has no such name.
    #[error("the panel doesn't go by the name {0:?}")]
    Site(String),
    /// It can't be read.
    #[error("cannot read what the browser sent: {0}")]
    Read(String),
    /// It answers no challenge that is open.
    #[error("the challenge is none, or is over")]
    Challenge,
    /// Nobody has it.
    #[error("nobody has this passkey")]
    Unknown,
    /// The record of it makes no sense.
    #[error("cannot use what is kept of the passkey: {0}")]
    Kept(String),
    /// The check says no.
    #[error("the check says no: {0}")]
    Check(String),
}

/// The panel, as a browser has called it.
#[derive(Debug)]
pub(super) struct Site {
    rp: RpId,
    origins: Vec<String>,
}

impl Site {
    /// The panel by the name and port in `host`.
    pub(super) fn of(platform: &Platform, host: &str) -> Result<Self, Refused> {
        let refused = || Refused::Site(host.chars().take(100).collect());
        let Origins { name, all } = Origins::of(platform, host).ok_or_else(refused)?;
        let domain = AsciiDomain::try_from(name).map_err(|_| refused())?;
        Ok(Self { rp: RpId::Domain(domain), origins: all })
    }

    /// Begins to make a passkey: what the door remembers, and the options for the browser.
    pub(super) fn make(&self, user: &User) -> Result<(RegistrationServerState<HANDLE>, String), Refused> {
        let kept = |error: &dyn std::fmt::Display| Refused::Kept(error.to_string());
        let handle = handle(&user.name);
        let name = Username::try_from(user.name.as_str()).map_err(|error| kept(&error))?;
        let entity = PublicKeyCredentialUserEntity { name, id: &handle, display_name: None };
        let known = user.passkeys.iter().map(|passkey| {
            let id = CredentialId::decode(bytes(passkey.id())?).map_err(|error| kept(&error))?;
            let transports = AuthTransports::decode(0).map_err(|error| kept(&error))?;
            Ok(PublicKeyCredentialDescriptor { id, transports })
        });
        let known = known.collect::<Result<Vec<_>, Refused>>()?;
        let mut options = PublicKeyCredentialCreationOptions::passkey(&self.rp, entity, known);
        // Authenticators without the extension would refuse to make one at all. Each sign-in asks that the person be verified.
        options.extensions.cred_protect = CredProtect::None;
        let (server, client) = options.start_ceremony().map_err(|error| kept(&error))?;
        Ok((server, serde_json::to_string(&client).map_err(|error| kept(&error))?))
    }

    /// Checks a passkey that was made, and returns its line for the person's file and the state that changes with its use.
    pub(super) fn made(
        &self,
        state: RegistrationServerState<HANDLE>,
        made: &Made,
        name: &str,
    ) -> Result<(Passkey, [u8; 7]), Refused> {
        let origins: Vec<&str> = self.origins.iter().map(String::as_str).collect();
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let registered = state.verify(&self.rp, &made.0, &options);
        let registered = registered.map_err(|error| Refused::Check(error.to_string()))?;
        let (Ok(id), Ok(key), Ok(dynamic)) = (
            registered.id().encode().map(<[u8]>::to_vec),
            registered.static_state().encode(),
            registered.dynamic_state().encode(),
        );
        let line = Passkey::new(&BASE64URL_NOPAD.encode(&id), &BASE64URL_NOPAD.encode(&key), name);
        Ok((line.map_err(|error| Refused::Kept(error.to_string()))?, dynamic))
    }

    /// Begins to use a passkey.
    pub(super) fn ask(&self) -> Result<(DiscoverableAuthenticationServerState, String), Refused> {
        let options = DiscoverableCredentialRequestOptions::passkey(&self.rp);
        let (server, client) = options.start_ceremony().map_err(|error| Refused::Kept(error.to_string()))?;
        let client = serde_json::to_string(&client).map_err(|error| Refused::Kept(error.to_string()))?;
        Ok((server, client))
    }

    /// Checks a passkey that was used. `dynamic` is what was kept after its last use; where that is lost, any counter is taken.
    /// Returns what is to be kept now.
    pub(super) fn used(
        &self,
        state: DiscoverableAuthenticationServerState,
        used: &Used,
        passkey: &Passkey,
        user: &UserName,
        dynamic: Option<[u8; 7]>,
    ) -> Result<[u8; 7], Refused> {
        let kept = |error: &dyn std::fmt::Display| Refused::Kept(error.to_string());
        let (id, key, handle) = (bytes(passkey.id())?, bytes(passkey.key())?, handle(user));
        let fixed = StaticState::decode(key.as_slice()).map_err(|error| kept(&error))?;
        let before = match dynamic {
            Some(dynamic) => DynamicState::decode(dynamic).map_err(|error| kept(&error))?,
            None => DynamicState {
                user_verified: true,
                backup: Backup::NotEligible,
                sign_count: 0,
                authenticator_attachment: AuthenticatorAttachment::None,
            },
        };
        let id = CredentialId::decode(id.as_slice()).map_err(|error| kept(&error))?;
        let mut credential =
            AuthenticatedCredential::new(id, &handle, fixed, before).map_err(|error| kept(&error))?;
        let origins: Vec<&str> = self.origins.iter().map(String::as_str).collect();
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            backup_requirement: dynamic.is_none().then_some(BackupReq::None),
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        state
            .verify(&self.rp, &used.0, &mut credential, &options)
            .map_err(|error| Refused::Check(error.to_string()))?;
        let Ok(after) = credential.dynamic_state().encode();
        Ok(after)
    }
}

/// Answer of a browser that made a passkey.
pub(super) struct Made(Registration);

impl Made {
    pub(super) fn read(json: &str) -> Result<(Self, u128), Refused> {
        let made = Registration::from_json_relaxed(json.as_bytes());
        let made = made.map_err(|error| Refused::Read(error.to_string()))?;
        let challenge = made.challenge_relaxed().map_err(|error| Refused::Read(error.to_string()))?;
        Ok((Self(made), challenge.0))
    }
}

/// Answer of a browser that used a passkey.
pub(super) struct Used(DiscoverableAuthentication<HANDLE>);

impl Used {
    pub(super) fn read(json: &str) -> Result<(Self, u128), Refused> {
        let used = DiscoverableAuthentication::<HANDLE>::from_json_relaxed(json.as_bytes());
        let used = used.map_err(|error| Refused::Read(error.to_string()))?;
        let challenge = used.challenge_relaxed().map_err(|error| Refused::Read(error.to_string()))?;
        Ok((Self(used), challenge.0))
    }

    /// Id of the passkey.
    pub(super) fn id(&self) -> String {
        let id = self.0.raw_id();
        let Ok(id) = id.encode();
        BASE64URL_NOPAD.encode(id)
    }
}

/// The handle of a person, which follows from their name alone.
fn handle(user: &UserName) -> UserHandle<HANDLE> {
    let Ok(handle) = UserHandle::decode(blake3::derive_key(PURPOSE, user.as_str().as_bytes()));
    handle
}

fn bytes(text: &str) -> Result<Vec<u8>, Refused> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|error| Refused::Kept(error.to_string()))
}
