//! AppArmor: whether this host has it, and which of Berth's profiles the kernel has loaded.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The profile of servers.
pub const SERVER_PROFILE: &str = "berth-server";

/// The beginning of the names of Berth's profiles.
const OURS: &str = "berth-";

/// `Y` where the kernel has AppArmor, and it wasn't turned off at boot.
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// The profiles that are loaded, one a line: `name (mode)`.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// Tells whether the kernel confines processes by profiles.
pub fn has_apparmor() -> bool {
    fs::read_to_string(ENABLED).is_ok_and(|text| text.trim() == "Y")
}

/// Those of Berth's profiles that are loaded; none where there is no AppArmor.
pub fn loaded_profiles() -> io::Result<BTreeSet<String>> {
    read_profiles(LOADED.as_ref())
}

fn read_profiles(path: &Path) -> io::Result<BTreeSet<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(ours(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Reads the kernel's list. A profile that is there in another mode than `enforce` is loaded, too: somebody is trying it.
fn ours(list: &str) -> BTreeSet<String> {
    let names = list.lines().filter_map(|line| Some(line.rsplit_once(" (")?.0));
    names.filter(|name| name.starts_with(OURS)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_profiles_of_ours_are_listed_by_their_whole_names() {
        let list = "docker-default (enforce)\n/usr/bin/man (enforce)\nman_filter (enforce)\nberth-server (enforce)\n\
                    1password (unconfined)\nberth-firewall (complain)\nmy-berth-server (enforce)\nberth-server//x (enforce)\n";
        let found: Vec<String> = ours(list).into_iter().collect();
        assert_eq!(found, ["berth-firewall", "berth-server", "berth-server//x"]);
        assert_eq!(ours(""), BTreeSet::new());
    }

    #[test]
    fn a_host_without_apparmor_has_none_and_a_list_that_can_t_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles");
        assert_eq!(read_profiles(&path).unwrap(), BTreeSet::new());
        fs::write(&path, "berth-server (enforce)\n").unwrap();
        assert_eq!(read_profiles(&path).unwrap().len(), 1);
        assert!(read_profiles(folder.path()).is_err());
    }
}
