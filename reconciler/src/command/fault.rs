//! Faults: the kind of the error that ends a command, and its hint, as the error itself says them.

use std::error::Error;

use berth_backup::{BackupError, VaultError};
use berth_door::web::{PanelError, SecretError, SocketError, StoreError};
use berth_engine::{EngineError, ObserveError};
use berth_fault::{Fault, Kind};
use berth_judge::hook::InstallError;
use berth_mail::MailError;
use berth_wire::client::ClientError;

use crate::daemon::DaemonError;
use crate::journal::JournalError;
use crate::pass::PassError;
use crate::source::SourceError;

/// Looks at an error as one that knows its kind.
type Cast = for<'a> fn(&'a (dyn Error + 'static)) -> Option<&'a dyn Fault>;

/// The errors that know their kind. A chain of causes holds them as plain errors.
const FAULTS: [Cast; 16] = [
    cast::<DaemonError>,
    cast::<PassError>,
    cast::<SourceError>,
    cast::<JournalError>,
    cast::<EngineError>,
    cast::<ObserveError>,
    cast::<InstallError>,
    cast::<ClientError>,
    cast::<berth_repo::Error>,
    cast::<PanelError>,
    cast::<SecretError>,
    cast::<SocketError>,
    cast::<StoreError>,
    cast::<MailError>,
    cast::<BackupError>,
    cast::<VaultError>,
];

fn cast<'a, T: Fault + 'static>(cause: &'a (dyn Error + 'static)) -> Option<&'a dyn Fault> {
    cause.downcast_ref::<T>().map(|fault| fault as _)
}

/// Kind and hint of an error: those of the first cause that knows its kind, and the first hint that there is.
pub(super) fn of(error: &anyhow::Error) -> (Kind, Option<&'static str>) {
    let faults = || error.chain().filter_map(|cause| FAULTS.iter().find_map(|cast| cast(cause)));
    let kind = faults().next().map_or(Kind::User, Fault::kind);
    (kind, faults().find_map(Fault::hint))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_hint_is_found_below_words_and_inside_of_transparent_errors() {
        let missing = berth_repo::Error::Missing { path: PathBuf::from("/nowhere") };
        let source = SourceError::Read { path: PathBuf::from("/nowhere"), source: missing };
        let error = Err::<(), _>(DaemonError::Open(PassError::Source(source))).context("cannot begin");
        let (kind, hint) = of(&error.unwrap_err());
        assert_eq!((kind, kind.exit_code()), (Kind::Configuration, 1));
        assert!(hint.unwrap().contains("berth init"), "{hint:?}");
    }

    #[test]
    fn an_error_that_does_not_know_is_the_caller_s() {
        let error = anyhow::anyhow!("say --from or --domain");
        assert_eq!(of(&error), (Kind::User, None));
        assert_eq!(Kind::User.heading(), "error");
    }
}
