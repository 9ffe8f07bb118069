//! Room for session keys. runc makes one for each server and for each command that is run in one, and the kernel counts
//! them all on the account of the one mapped root, whose room is small by default: at 200 keys creating and `exec` fail
//! with "disk quota exceeded".

/// One host setting, and the least that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Its file.
    pub file: &'static str,
    /// Its name for `sysctl`.
    pub sysctl: &'static str,
    /// The least value that leaves room for thousands of servers.
    pub least: u64,
}

/// How many keys, and how many bytes of them, one user may have.
pub const QUOTAS: &[Quota] = &[
    Quota { file: "/proc/sys/kernel/keys/maxkeys", sysctl: "kernel.keys.maxkeys", least: 20_000 },
    Quota { file: "/proc/sys/kernel/keys/maxbytes", sysctl: "kernel.keys.maxbytes", least: 2_000_000 },
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
        let [keys, bytes] = QUOTAS else { panic!("two quotas") };
        assert_eq!(keys.wanted("200\n").as_deref(), Some("kernel.keys.maxkeys = 20000"));
        assert_eq!(keys.wanted("20000\n"), None);
        assert_eq!(bytes.wanted("").as_deref(), Some("kernel.keys.maxbytes = 2000000"));
        assert_eq!(bytes.wanted("2000000"), None);
    }
}
