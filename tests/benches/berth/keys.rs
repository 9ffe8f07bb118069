//! Room for the session keys of hundreds of containers, which one mapped user holds together. `berth engine setup` makes
//! it for good; here it is made for the time of the measurement.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use berth::setup::keys::QUOTAS;

/// Servers for which there is to be room.
const SERVERS: usize = 1_000;

/// The room, given back when it is dropped.
pub(crate) struct Room {
    before: Vec<(PathBuf, String)>,
}

impl Room {
    /// Makes room where there is too little.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let mut room = Self { before: Vec::new() };
        for quota in QUOTAS.iter().filter(|quota| quota.module.is_none()) {
            let file = quota.file();
            let found = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            if let Some(wanted) = quota.wanted(&found, SERVERS) {
                fs::write(&file, wanted.to_string()).with_context(|| format!("set {}", quota.sysctl))?;
                room.before.push((file, found));
            }
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for (file, value) in &self.before {
            // It was written before, so it can be written again; were it not, more room does no harm.
            let _ = fs::write(file, value);
        }
    }
}
