//! Volumes, and the files in those of the platform's own.

use std::collections::BTreeMap;
use std::path::Path;

use berth_plan::digest::digest;
use berth_plan::identity::PLACED;
use berth_plan::label::Tag;
use berth_plan::observed::ObservedVolume;
use berth_plan::plane::LISTED;
use berth_plan::program::Program;
use berth_plan::render::Kind;
use berth_schema::name::Prefix;
use berth_wire::hold::{VolumeOf, VolumeSight};
use bollard::models::Volume;
use bollard::query_parameters::ListVolumesOptionsBuilder;

use super::inspections::Inspections;
use super::keys::placed;
use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;
use crate::host::HostError;
use crate::volume_file::VolumeFile;

impl Reader {
    pub(super) async fn list_volumes(&self) -> Result<Vec<Volume>, EngineError> {
        let options = ListVolumesOptionsBuilder::default().build();
        let list = bounded("list volumes", READ_DEADLINE, self.docker.list_volumes(Some(options))).await?;
        Ok(list.volumes.unwrap_or_default())
    }
}

impl Reader {
    /// Finds the volumes of a platform, and the folders of the host that hold their files.
    pub async fn volumes(&self, platform: &Prefix) -> Result<Vec<VolumeSight>, EngineError> {
        let sight = |volume: Volume| {
            let of = match Tag::read(&volume.labels, platform)? {
                Tag::Data { id, .. } => VolumeOf::Data(id),
                Tag::Restored { id, .. } => VolumeOf::Restored(id),
                Tag::System { .. } => VolumeOf::System,
                Tag::Drill => VolumeOf::Drill,
                _ => return None,
            };
            Some(VolumeSight { name: volume.name, folder: volume.mountpoint.into(), of })
        };
        Ok(self.list_volumes().await?.into_iter().filter_map(sight).collect())
    }
}

/// Reads the tags of volumes, and the files in those that are the platform's own.
pub(super) fn volumes_of(
    platform: &Prefix,
    volumes: Vec<Volume>,
    inspections: &mut Inspections,
) -> Result<Vec<ObservedVolume>, HostError> {
    inspections.keep_volumes(&volumes);
    let observed = volumes.into_iter().map(|volume| {
        let tag = Tag::read(&volume.labels, platform);
        let files = match &tag {
            Some(Tag::System { .. }) => configurations(&volume)?,
            Some(Tag::Ssh { .. }) => {
                inspections.placed(&volume)?.into_iter().map(|digest| (PLACED.to_owned(), digest)).collect()
            }
            _ => BTreeMap::new(),
        };
        Ok(ObservedVolume { tag, files, name: volume.name })
    });
    observed.collect()
}

/// Returns the digests of the configurations in a volume, and of the files that tell of SSH keys and of programs.
fn configurations(volume: &Volume) -> Result<BTreeMap<String, String>, HostError> {
    let mut files = BTreeMap::new();
    for kind in Kind::ALL {
        let file = VolumeFile::new(Path::new(&volume.mountpoint), kind.file());
        let read = file.read().map_err(HostError::on_file("read", file.path()))?;
        if let Some(content) = read {
            files.insert(kind.file().to_owned(), digest(&content));
        }
    }
    let listed = VolumeFile::new(Path::new(&volume.mountpoint), LISTED);
    let content = listed.read().map_err(HostError::on_file("read", listed.path()))?;
    files.extend(content.map(|content| (LISTED.to_owned(), digest(&content))));
    for program in Program::ALL {
        let mark = VolumeFile::new(Path::new(&volume.mountpoint), program.mark());
        let content = mark.read().map_err(HostError::on_file("read", mark.path()))?;
        files.extend(content.map(|content| (program.mark().to_owned(), digest(&content))));
    }
    files.extend(placed(volume)?.map(|digest| (PLACED.to_owned(), digest)));
    Ok(files)
}
