//! Room in the kernel for many servers, where its own measure is small.
//!
//! runc makes a session key for each server and for each command that is run in one, and the kernel counts them all on the
//! account of the one mapped root: at 200 keys creating and `exec` fail with "disk quota exceeded". The table of connections
//! is one for all servers: those that use up their share fill it for the others.

use berth_plan::recipe::CONNECTIONS;

/// One host setting, and the least that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Its file.
    pub file: &'static str,
    /// Its name for `sysctl`.
    pub sysctl: &'static str,
    /// The least value that leaves room for many servers.
    pub least: u64,
    /// The kernel's module that has it, where it isn't the kernel itself: without it there is no file.
    pub module: Option<&'static str>,
}

/// How many keys, and how many bytes of them, one user may have; and how many connections there may be in one network
/// namespace.
pub const QUOTAS: &[Quota] = &[
    Quota {
        file: "/proc/sys/kernel/keys/maxkeys",
        sysctl: "kernel.keys.maxkeys",
        least: 20_000,
        module: None,
    },
    Quota {
        file: "/proc/sys/kernel/keys/maxbytes",
        sysctl: "kernel.keys.maxbytes",
        least: 2_000_000,
        module: None,
    },
    Quota {
        file: "/proc/sys/net/netfilter/nf_conntrack_max",
        sysctl: "net.netfilter.nf_conntrack_max",
        least: CONNECTIONS,
        module: Some("nf_conntrack"),
    },
];

impl Quota {
    /// The line for `/etc/sysctl.d` if `found`, the file's content, is too little. What can't be read is too little.
    pub fn wanted(&self, found: &str) -> Option<String> {
        let enough = found.trim().parse::<u64>().is_ok_and(|found| found >= self.least);
        (!enough).then(|| format!("{} = {}", self.sysctl, self.least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_more_only_where_there_is_too_little() {
        let [keys, bytes, connections] = QUOTAS else { panic!("three quotas") };
        assert_eq!(keys.wanted("200\n").as_deref(), Some("kernel.keys.maxkeys = 20000"));
        assert_eq!(keys.wanted("20000\n"), None);
        assert_eq!(bytes.wanted("").as_deref(), Some("kernel.keys.maxbytes = 2000000"));
        assert_eq!(bytes.wanted("2000000"), None);
        assert_eq!(
            connections.wanted("262144\n").as_deref(),
            Some("net.netfilter.nf_conntrack_max = 1048576")
        );
        assert_eq!(connections.wanted("4194304\n"), None);
    }

    /// The least is what the defaults come to, in the subnet of the default.
    #[test]
    fn a_platform_of_defaults_can_t_fill_the_table() {
        let plainest = berth_schema::Parsed::parse("platform.toml", "domain = \"h.org\"\n");
        let platform = berth_schema::State::assemble(&[plainest]).unwrap().platform;
        let shares = u64::from(platform.networks.capacity()) * u64::from(platform.firewall.connections.get());
        assert!(shares < CONNECTIONS, "{shares}");
    }
}
