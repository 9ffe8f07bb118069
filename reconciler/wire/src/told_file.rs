//! Files in which a process tells others of itself, as JSON. The panel's user can write what they like there, so every such file is
//! read as somebody else's.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 16 << 10;

/// Reads what was told; `None` where nothing was, or something else.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let told = berth_host::file::read_foreign(path, LONGEST).ok()?;
    serde_json::from_slice(&told).ok()
}

/// Tells it.
pub(crate) fn write(path: &Path, told: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(told).map_err(io::Error::other)?;
    berth_host::file::replace(path, &text, 0o644)
}
