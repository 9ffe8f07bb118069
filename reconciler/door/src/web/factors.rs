//! Ways in which somebody proves who they are, beside a password: codes of an app, recovery codes, passkeys.
//!
//! Owns the secrets and counters of these, in `<data>/door/factors`. The state says who has a second factor and which passkeys,
//! so that a host which has lost its files never takes a password alone from somebody who has asked for more.

pub(crate) mod begun;
pub(crate) mod ceremonies;
mod change;
mod codes;
pub(crate) mod halves;
pub(crate) mod kept;
mod passkey;
mod passkeys;
mod prove;

pub(crate) use change::{begin_totp, factors, lift_factor, new_recovery, remove_totp, set_totp};
pub(crate) use passkeys::{add_passkey, begin_passkey, challenge, remove_passkey};
pub(crate) use prove::{confirm, enter, prove_code, sign_in_code, sign_in_passkey};
