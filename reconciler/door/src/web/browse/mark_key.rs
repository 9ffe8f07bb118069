//! The key by which marks name the secrets that they stand for: made once, and kept in a file of the door's own. A form that was
//! opened before a restart can still be sent after it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_judge::form::Marks;

use super::super::secret::{SecretError, random};
use super::super::store::Store;

/// Name of the record.
const RECORD: &str = "mark-key.json";

/// Reads the key, or makes one. With another key, the marks of forms that are open stand for nothing, and the form says so.
pub(crate) fn marks(store: &Store) -> Result<Marks, SecretError> {
    let kept: Option<String> = store.read(RECORD)?;
    let kept = kept.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    if let Some(key) = kept.and_then(|bytes| bytes.try_into().ok()) {
        return Ok(Marks::of(key));
    }
    let made = random()?;
    store.write(RECORD, &URL_SAFE_NO_PAD.encode(made))?;
    Ok(Marks::of(made))
}
