//! The secret of the webhook as it is now: an operator may store another one at any time.

use berth_schema::secret::{Form, SecretName};
use berth_secrets::Secrets;
use parking_lot::Mutex;

use super::signature::Secret;

/// The webhook's secret on this host.
#[derive(Debug)]
pub(crate) struct Key {
    secrets: Secrets,
    name: SecretName,
    /// The one that was read last. It holds while there is no better one.
    last: Mutex<Secret>,
}

impl Key {
    /// Reads the secret for the first time. Fails with the reason.
    pub(crate) fn open(secrets: &Secrets, name: &SecretName) -> Result<Self, String> {
        let last = Mutex::new(read(secrets, name)?);
        Ok(Self { secrets: secrets.clone(), name: name.clone(), last })
    }

    /// The secret as it is now.
    pub(super) fn now(&self) -> Secret {
        let mut last = self.last.lock();
        if let Ok(secret) = read(&self.secrets, &self.name) {
            *last = secret;
        }
        last.clone()
    }
}

fn read(secrets: &Secrets, name: &SecretName) -> Result<Secret, String> {
    let text = secrets.read(name, Form::SharedSecret).map_err(|error| berth_fault::chain(&error))?;
    Secret::new(text.as_bytes()).ok_or_else(|| "the webhook's secret is too short".to_owned())
}
