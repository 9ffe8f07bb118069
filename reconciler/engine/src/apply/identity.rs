//! SSH keys, written to a volume where only the container's root can read them.

use std::io;
use std::path::Path;

use berth_plan::identity::{AUTHORIZED_KEYS, CLIENT_KEY, HOST_KEY, IdentitySpec, PLACED, Whose};
use berth_schema::user::SshKey;
use zeroize::Zeroizing;

use super::error::{PlaceError, StepError};
use super::writer::Writer;
use crate::host::HostError;
use crate::volume_file::{Owner, VolumeFile};

impl Writer {
    pub(super) async fn place_identity(&self, spec: &IdentitySpec) -> Result<(), StepError> {
        let volume = || spec.volume.clone();
        let failed = |source| PlaceError::Key { volume: volume(), source };
        let planned =
            |(public, private): (SshKey, Zeroizing<String>), wanted: &SshKey| match public == *wanted {
                true => Ok(private),
                false => Err(PlaceError::Other { volume: volume() }),
            };
        let host_key = planned(self.identity.host_key(spec.whose).map_err(failed)?, &spec.host_key)?;
        let login_key = planned(self.identity.login_key().map_err(failed)?, &spec.client_key)?;
        let (folder, _) = self.system_volume(&spec.volume).await?;
        let write = |name: &str, content: &str, owner| {
            let file = VolumeFile::new(Path::new(&folder), name);
            place(&file, content, owner).map_err(HostError::on_file("write", file.path()))
        };
        write(HOST_KEY, &host_key, Owner::ContainerAlone)?;
        match spec.whose {
            Whose::Router => write(CLIENT_KEY, &login_key, Owner::ContainerAlone)?,
            Whose::Server(_) => write(AUTHORIZED_KEYS, &spec.authorized_keys(), Owner::Container)?,
        }
        // Last: it says that the others are there, and a server's sshd reads them when it changes.
        Ok(write(PLACED, &spec.text(), Owner::Container)?)
    }
}

fn place(file: &VolumeFile, content: &str, owner: Owner) -> io::Result<()> {
    file.write_next(content.as_bytes(), owner)?;
    file.keep_next()
}
