//! AppArmor: profiles of Berth's own, which containers have where the host has them loaded.
//!
//! The engine's profile keeps a server from every mount, and the firewall from the settings of its network. Berth's take its place;
//! where they aren't loaded, there is none.

use std::collections::BTreeSet;

use crate::spec::ContainerSpec;

/// The profile of servers.
pub const SERVER: &str = "berth-server";
/// The profile of the platform's firewall.
pub const FIREWALL: &str = "berth-firewall";
/// All of them.
pub const PROFILES: [&str; 2] = [SERVER, FIREWALL];

/// The security option of a container without a profile.
pub(crate) const UNCONFINED: &str = "apparmor=unconfined";

/// Gives a container `profile` in place of none, if it is among those that are loaded.
pub fn confine(mut spec: ContainerSpec, profile: &str, loaded: &BTreeSet<String>) -> ContainerSpec {
    if loaded.contains(profile) {
        let options = spec.confinement.security_opt.iter_mut();
        options.filter(|option| *option == UNCONFINED).for_each(|option| *option = named(profile));
    }
    spec
}

/// The security option of a container with this profile.
fn named(profile: &str) -> String {
    format!("apparmor={profile}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(given: &[&str], loaded: &[&str]) -> Vec<String> {
        let mut spec = ContainerSpec::default();
        spec.confinement.security_opt = given.iter().map(|option| (*option).to_owned()).collect();
        let loaded = loaded.iter().map(|name| (*name).to_owned()).collect();
        confine(spec, SERVER, &loaded).confinement.security_opt
    }

    #[test]
    fn a_profile_that_is_loaded_takes_the_place_of_none() {
        let given = ["no-new-privileges", UNCONFINED];
        assert_eq!(options(&given, &PROFILES), ["no-new-privileges", "apparmor=berth-server"]);
        assert_eq!(options(&given, &[FIREWALL]), given);
        assert_eq!(options(&given, &[]), given);
    }

    #[test]
    fn a_container_with_the_engine_s_profile_keeps_it() {
        assert_eq!(options(&["no-new-privileges"], &PROFILES), ["no-new-privileges"]);
        assert_eq!(options(&[], &PROFILES), [""; 0]);
    }
}
