//! Facts: what alarms are judged by, gathered from what the reconciler knows already. Whoever judges is another process.

use std::fs;
use std::io;

use berth_schema::name::Fqdn;
use berth_wire::acme::AcmeStanding;
use berth_wire::certificate::{CertificateSource, CertificateStanding};
use berth_wire::facts::{Amount, CertificateFacts, Facts, FileSystemUse, Limited, ServerFacts};

use crate::metrics::Sources;
use crate::room;

/// Open files of the kernel, and the most that there may be.
const FILES: &str = "/proc/sys/fs/file-nr";
/// Connections that the host's kernel keeps track of, and the most.
const CONNECTIONS: [&str; 2] =
    ["/proc/sys/net/netfilter/nf_conntrack_count", "/proc/sys/net/netfilter/nf_conntrack_max"];

impl Sources<'_> {
    /// Gathers the facts of this moment.
    pub(crate) fn facts(self) -> Facts {
        let host = self.used.host();
        let memory = host.as_ref().map(|host| Amount {
            of: Limited::Memory,
            used: host.usage.working_set,
            most: host.memory,
        });
        let file_systems = host.iter().flat_map(|host| &host.file_systems).map(|found| FileSystemUse {
            device: found.device.clone(),
            bytes: found.bytes,
            used: found.used,
            inodes: found.inodes,
            inodes_free: found.inodes_free,
        });
        Facts {
            limits: memory.into_iter().chain(processes()).chain(files()).chain(connections()).collect(),
            file_systems: file_systems.collect(),
            servers: self.server_facts(),
            certificates: self.certificate_facts(),
            status: self.status,
        }
    }

    fn server_facts(&self) -> Vec<ServerFacts> {
        let (disks, full) = (self.used.disks(), self.used.out_of_memory());
        let one = |(id, known): (&berth_schema::name::ServerId, &crate::servers::Known)| ServerFacts {
            id: id.get(),
            disk: disks.get(id).map(|disk| disk.bytes),
            out_of_memory: full.get(id).copied(),
            ended: known.id.as_deref().map(|container| self.used.ends_of(container)).unwrap_or_default(),
        };
        self.seen.servers.iter().map(one).collect()
    }

    fn certificate_facts(&self) -> Vec<CertificateFacts> {
        let panel = CertificateStanding::read(self.folders.panel()).and_then(|panel| {
            // Its words are the panel's, and a name is all that they may be here.
            let domain = panel.domain.parse::<Fqdn>().ok()?.to_string();
            let ends = panel.ends.filter(|_| panel.source != CertificateSource::Own);
            let failed = panel.order.and_then(|order| order.failed).map(|failed| failed.why);
            Some(CertificateFacts { domain, ends, failed })
        });
        let wildcard = AcmeStanding::read(self.folders.acme()).and_then(|standing| {
            let wildcard = standing.wildcard?;
            let failed = standing.failed.map(|failed| failed.why);
            Some(CertificateFacts { domain: format!("*.{}", wildcard.domain), ends: wildcard.ends, failed })
        });
        let domains = self.told.iter().flat_map(|told| &told.domains);
        let domains: Vec<Fqdn> = domains.filter_map(|domain| domain.parse().ok()).collect();
        let sites = self.sites.of(&domains).unwrap_or_default().into_iter().map(|site| CertificateFacts {
            domain: site.fqdn.to_string(),
            ends: site.held.map(|held| held.ends),
            failed: site.failed.map(|failed| failed.why),
        });
        panel.into_iter().chain(wildcard).chain(sites).collect()
    }
}

/// Processes and threads; `None` where the kernel doesn't tell.
fn processes() -> Option<Amount> {
    let (used, most) = room::processes().ok()?;
    Some(Amount { of: Limited::Processes, used, most })
}

fn files() -> Option<Amount> {
    let text = fs::read_to_string(FILES).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (used, most) = (numbers.next()?.ok()?, numbers.nth(1)?.ok()?);
    Some(Amount { of: Limited::Files, used, most })
}

fn connections() -> Option<Amount> {
    let read = |path: &str| -> io::Result<Option<u64>> { Ok(fs::read_to_string(path)?.trim().parse().ok()) };
    let [used, most] = CONNECTIONS.map(|path| read(path).ok().flatten());
    Some(Amount { of: Limited::Connections, used: used?, most: most? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_host_has_limits_and_keeps_them() {
        for amount in [processes(), files()].map(Option::unwrap) {
            assert!(amount.used > 0 && amount.used <= amount.most, "{amount:?}");
        }
    }
}
