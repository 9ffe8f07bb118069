//! The mark of SSH keys in a volume.

use std::path::Path;

use berth_plan::digest::digest;
use berth_plan::identity::PLACED;
use bollard::models::Volume;

use crate::host::HostError;
use crate::volume_file::VolumeFile;

/// Returns the digest of the file that says which SSH keys lie in a volume. The volume may be a server's, which can write
/// anything there.
pub(super) fn placed(volume: &Volume) -> Result<Option<String>, HostError> {
    const LENGTH_MAX: u64 = 4096;
    let file = VolumeFile::new(Path::new(&volume.mountpoint), PLACED);
    let content = file.read_at_most(LENGTH_MAX).map_err(HostError::on_file("read", file.path()))?;
    Ok(content.map(|content| digest(&content)))
}
