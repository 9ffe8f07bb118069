//! Access to the forge's API: where it is, and the token, which is read anew each time, as git does.

use berth_schema::remote::Remote;
use berth_schema::secret::{Form, SecretName};
use berth_secrets::{SecretError, Secrets};

use crate::api::Api;

/// The way to the forge's API, and what it takes to go it.
#[derive(Debug)]
pub(crate) struct Access {
    remote: Remote,
    secrets: Secrets,
}

/// The forge's API can't be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAccess {
    #[error("the host has no secret `{0}`, by which it could open one (`berth secret set {0}`)")]
    NoToken(SecretName),
    #[error(transparent)]
    Token(SecretError),
    #[error("nothing says where the forge's API is: `remote.api` has to")]
    Nowhere,
}

impl Access {
    pub(crate) fn new(remote: &Remote, secrets: &Secrets) -> Self {
        Self { remote: remote.clone(), secrets: secrets.clone() }
    }

    /// The forge as `platform.toml` has it.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The API, with the token as it is now.
    pub(crate) fn api(&self) -> Result<Api, NoAccess> {
        let token = self.secrets.read(&self.remote.token, Form::Token).map_err(|error| {
            if error.is_missing() {
                NoAccess::NoToken(self.remote.token.clone())
            } else {
                NoAccess::Token(error)
            }
        })?;
        let api = self.remote.forge.and_then(|forge| Api::of(&self.remote, forge, &token));
        api.ok_or(NoAccess::Nowhere)
    }
}
