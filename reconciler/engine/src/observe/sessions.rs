//! SSH sessions, as the routers in their container tell them: each process has a file of its own there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use berth_plan::names::Service;
use berth_plan::observed::{Observed, ObservedContainer, RunState, Sessions};
use berth_schema::name::{Prefix, UserName};

use super::reader::Reader;
use crate::api::first_process;
use crate::error::EngineError;
use crate::volume_file::VolumeFile;

/// Folder of these files in the container (templates/ssh-router/).
const FOLDER: &str = "run/berth/sessions";
/// Most routers whose files are read: one takes newcomers, the others finish.
const ROUTERS: usize = 64;
/// No file is longer: it names two thousand people at most.
const LENGTH_MAX: u64 = 1 << 20;

impl Reader {
    /// Looks who has SSH sessions through the router; `None` where it doesn't run, or doesn't tell. Only for whoever may know: the
    /// other looks leave it out.
    pub async fn sessions(
        &self,
        platform: &Prefix,
        observed: &Observed,
    ) -> Result<Option<Sessions>, EngineError> {
        let name = Service::Router.container(platform);
        let runs = |container: &&ObservedContainer| {
            container.name == name && container.tag.is_some() && container.state == RunState::Running
        };
        let Some(container) = observed.containers.iter().find(runs) else { return Ok(None) };
        let pid = first_process(&self.docker, &container.id, &container.name).await?;
        Ok(pid.and_then(|pid| told(&Path::new("/proc").join(pid.to_string()).join("root"))))
    }
}

/// Adds up the files in a container's root; `None` where a part of it isn't what routers write. The container could make all of it
/// lead elsewhere; no more comes of that than members' names that aren't true.
fn told(root: &Path) -> Option<Sessions> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root.join(FOLDER)).ok()?.take(ROUTERS) {
        let name = entry.ok()?.file_name();
        // What is being written has another name.
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that was killed has left its file behind.
        if !root.join("proc").join(pid.to_string()).exists() {
            continue;
        }
        let content = VolumeFile::new(&root.join(FOLDER), name.to_str()?).read_at_most(LENGTH_MAX).ok()??;
        for (user, count) in serde_json::from_slice::<BTreeMap<String, u32>>(&content).ok()? {
            let user: UserName = user.parse().ok()?;
            let sessions: &mut u32 = all.entry(user.to_string()).or_default();
            *sessions = sessions.saturating_add(count);
        }
    }
    Some(Sessions(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_routers_that_live_are_added_up() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(told(root.path()), None);
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(told(root.path()), Some(Sessions::default()));
        for (pid, lives, text) in
            [("7", true, r#"{"anna":2,"ben":1}"#), ("8", true, r#"{"ben":1}"#), ("9", false, r#"{"eve":1}"#)]
        {
            fs::write(folder.join(pid), text).unwrap();
            if lives {
                fs::create_dir_all(root.path().join("proc").join(pid)).unwrap();
            }
        }
        fs::write(folder.join(".tmpx"), "half").unwrap();
        let sum = [("anna".to_owned(), 2), ("ben".to_owned(), 2)];
        assert_eq!(told(root.path()), Some(Sessions(sum.into())));
        for hostile in ["", "{", r#"{"\u001b[2J":1}"#, r#"{"ann":-1}"#] {
            fs::write(folder.join("8"), hostile).unwrap();
            assert_eq!(told(root.path()), None, "{hostile}");
        }
    }
}
