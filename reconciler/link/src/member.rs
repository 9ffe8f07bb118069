//! A container's part in the plane, as its environment tells it (docs/decisions/0009-user-plane.md).
//!
//! The environment is fixed when the container is made, by the reconciler; a program in the container can't change it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::link::{Inside, Link};

/// A container's part in the plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// The container whose namespace is the plane.
    Holder {
        /// The platform's prefix.
        plane: String,
        /// The plane's own address.
        gateway: Ipv4Addr,
    },
    /// A server, with a link as its only way out.
    Server {
        /// The platform's prefix.
        plane: String,
        /// Its link.
        link: Link,
    },
    /// One of the platform's own containers, with a link besides its other legs.
    Service {
        /// The platform's prefix.
        plane: String,
        /// Its link.
        link: Link,
    },
}

/// An environment that doesn't tell the container's part in the plane clearly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMember {
    /// A variable is missing.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A variable is set more than once, and programs differ in which one they take.
    #[error("{0} is set more than once")]
    Repeated(&'static str),
    /// A variable has a value that can't be used.
    #[error("{0} can't be {1:?}")]
    Unusable(&'static str, String),
}

const PLANE: &str = "BERTH_PLANE";
const ROLE: &str = "BERTH_PLANE_ROLE";
const PORT: &str = "BERTH_PLANE_PORT";
const ADDRESS: &str = "BERTH_ADDRESS";
const GATEWAY: &str = "BERTH_GATEWAY";
const SUBNET: &str = "BERTH_SUBNET";
const VARIABLES: [&str; 6] = [PLANE, ROLE, PORT, ADDRESS, GATEWAY, SUBNET];

/// The kernel's limit is 16 bytes with the end (`IFNAMSIZ`).
const NAME_MAX: usize = 15;

impl Member {
    /// Reads it from `NAME=value` lines. `None` is a container that has nothing to do with a plane; the addresses alone
    /// are for programs that only want to know them.
    pub fn from_environment<'a>(
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Self>, InvalidMember> {
        let variables = Variables::read(lines)?;
        if [PLANE, ROLE, PORT].iter().all(|name| !variables.0.contains_key(name)) {
            return Ok(None);
        }
        let plane = variables.required(PLANE)?.to_owned();
        let gateway = variables.address(GATEWAY)?;
        let link = |kind, inside| {
            let (port, address) = (variables.port(kind)?, variables.address(ADDRESS)?);
            if address == gateway {
                return Err(InvalidMember::Unusable(ADDRESS, address.to_string()));
            }
            Ok(Link { port, address, gateway, inside })
        };
        Ok(Some(match variables.required(ROLE)? {
            "holder" => Self::Holder { plane, gateway },
            "server" => Self::Server { plane, link: link(Kind::Server, Inside::Only)? },
            "service" => {
                let inside = Inside::Besides { subnet: variables.subnet()? };
                Self::Service { plane, link: link(Kind::Service, inside)? }
            }
            other => return Err(InvalidMember::Unusable(ROLE, other.to_owned())),
        }))
    }
}

/// Kind of a port, which its name tells: the firewall's rules are for all ports that begin with `s`, which are the
/// servers'.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server,
    Service,
}

/// Names that the kernel or the engine has in a namespace: `lo`, and `eth0` and on.
const TAKEN: [&str; 2] = ["lo", "eth"];

struct Variables<'a>(BTreeMap<&'static str, &'a str>);

impl<'a> Variables<'a> {
    fn read(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidMember> {
        let mut found = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            let Some(known) = VARIABLES.into_iter().find(|known| *known == name) else { continue };
            if found.insert(known, value).is_some() {
                return Err(InvalidMember::Repeated(known));
            }
        }
        Ok(Self(found))
    }

    fn required(&self, name: &'static str) -> Result<&'a str, InvalidMember> {
        self.0.get(name).copied().ok_or(InvalidMember::Missing(name))
    }

    fn address(&self, name: &'static str) -> Result<Ipv4Addr, InvalidMember> {
        let text = self.required(name)?;
        let parsed = text.parse().ok().filter(|address: &Ipv4Addr| {
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || address.is_broadcast())
        });
        parsed.ok_or_else(|| InvalidMember::Unusable(name, text.to_owned()))
    }

    fn port(&self, kind: Kind) -> Result<String, InvalidMember> {
        let name = self.required(PORT)?;
        let good = (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && name.starts_with('s') == (kind == Kind::Server)
            && !TAKEN.iter().any(|taken| name.starts_with(taken));
        if good { Ok(name.to_owned()) } else { Err(InvalidMember::Unusable(PORT, name.to_owned())) }
    }

    fn subnet(&self) -> Result<(Ipv4Addr, u8), InvalidMember> {
        let text = self.required(SUBNET)?;
        text.split_once('/')
            .and_then(|(network, length)| Some((network.parse().ok()?, length.parse().ok()?)))
            .filter(|(_, length)| *length <= 32)
            .ok_or_else(|| InvalidMember::Unusable(SUBNET, text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: [&str; 6] = [
        "PATH=/bin",
        "BERTH_PLANE=demo",
        "BERTH_PLANE_ROLE=server",
        "BERTH_PLANE_PORT=s3",
        "BERTH_ADDRESS=172.19.2.18",
        "BERTH_GATEWAY=172.19.2.1",
    ];

    fn with(line: &'static str) -> Vec<&'static str> {
        let name = line.split_once('=').expect("a variable").0;
        let others = SERVER.into_iter().filter(|other| other.split_once('=').expect("a variable").0 != name);
        others.chain([line]).collect()
    }

    fn service(line: &'static str) -> Vec<&'static str> {
        let mut lines: Vec<_> =
            with(line).into_iter().filter(|line| !line.starts_with("BERTH_PLANE_ROLE")).collect();
        lines.extend(["BERTH_PLANE_ROLE=service", "BERTH_SUBNET=172.19.2.0/24"]);
        lines
    }

    #[test]
    fn reads_a_server() {
        let link = Link {
            port: "s3".to_owned(),
            address: Ipv4Addr::new(172, 19, 2, 18),
            gateway: Ipv4Addr::new(172, 19, 2, 1),
            inside: Inside::Only,
        };
        let member = Member::from_environment(SERVER).expect("an environment");
        assert_eq!(member, Some(Member::Server { plane: "demo".to_owned(), link }));
    }

    #[test]
    fn reads_a_service_and_a_holder() {
        let mut lines = service("BERTH_PLANE_PORT=caddy");
        lines.push("BERTH_CACHE=172.19.2.4");
        let Some(Member::Service { link, .. }) = Member::from_environment(lines).expect("an environment")
        else {
            panic!("not a service")
        };
        assert_eq!(link.inside, Inside::Besides { subnet: (Ipv4Addr::new(172, 19, 2, 0), 24) });

        let holder = Member::from_environment(with("BERTH_PLANE_ROLE=holder")).expect("an environment");
        assert!(matches!(holder, Some(Member::Holder { .. })), "{holder:?}");
    }

    #[test]
    fn a_container_without_the_plane_s_name_is_none() {
        assert_eq!(Member::from_environment(["PATH=/bin", "BERTH_ADDRESS=1.2.3.4"]), Ok(None));
        assert_eq!(
            Member::from_environment(["BERTH_PLANE_ROLE=server"]),
            Err(InvalidMember::Missing("BERTH_PLANE"))
        );
    }

    #[test]
    fn a_port_that_begins_with_s_is_a_server_s_and_no_other_is() {
        for port in ["BERTH_PLANE_PORT=s1", "BERTH_PLANE_PORT=sc14", "BERTH_PLANE_PORT=sp13"] {
            let member = Member::from_environment(with(port)).expect(port);
            assert!(matches!(member, Some(Member::Server { .. })), "{port}: {member:?}");
            assert!(Member::from_environment(service(port)).is_err(), "{port}");
        }
        for port in ["BERTH_PLANE_PORT=caddy", "BERTH_PLANE_PORT=router"] {
            let member = Member::from_environment(service(port)).expect(port);
            assert!(matches!(member, Some(Member::Service { .. })), "{port}: {member:?}");
            assert!(Member::from_environment(with(port)).is_err(), "{port}");
        }
        for port in ["BERTH_PLANE_PORT=eth0", "BERTH_PLANE_PORT=lo"] {
            assert!(Member::from_environment(service(port)).is_err(), "{port}");
        }
    }

    #[test]
    fn refuses_what_is_not_clear() {
        let mut twice = SERVER.to_vec();
        twice.push("BERTH_ADDRESS=172.19.2.19");
        assert_eq!(Member::from_environment(twice), Err(InvalidMember::Repeated("BERTH_ADDRESS")));
        assert_eq!(
            Member::from_environment(SERVER.into_iter().filter(|line| !line.contains("ADDRESS"))),
            Err(InvalidMember::Missing("BERTH_ADDRESS"))
        );
        for line in [
            "BERTH_PLANE_ROLE=guest",
            "BERTH_PLANE_PORT=a/b",
            "BERTH_PLANE_PORT=",
            "BERTH_PLANE_PORT=s123456789012345",
            "BERTH_ADDRESS=172.19.2",
            "BERTH_ADDRESS=0.0.0.0",
            "BERTH_ADDRESS=172.19.2.1",
            "BERTH_GATEWAY=::1",
            "BERTH_GATEWAY=127.0.0.1",
        ] {
            let refused = Member::from_environment(with(line));
            assert!(matches!(refused, Err(InvalidMember::Unusable(..))), "{line}: {refused:?}");
        }
    }
}
