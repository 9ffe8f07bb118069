//! Checks that a container's runtime reads from its environment what the planner writes there.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use berth_link::{Inside, Link, Member};
use berth_plan::Desired;
use berth_plan::names::{Service, holder};
use berth_plan::spec::{ContainerSpec, LinkSpec};
use berth_schema::{Parsed, State};

fn desired() -> Desired {
    let files = [
        Parsed::parse("platform.toml", "domain = \"hosting.example.org\"\nprefix = \"b\"\n"),
        Parsed::parse("users/ann.toml", "role = \"admin\"\nemail = \"ann@example.org\"\n"),
        Parsed::parse("servers/shop.toml", "id = 7\nowner = \"ann\"\n"),
    ];
    Desired::from_state(&State::assemble(&files).unwrap())
}

fn read(spec: &ContainerSpec) -> Option<Member> {
    Member::from_environment(spec.env.iter().map(String::as_str)).unwrap()
}

fn link(spec: &LinkSpec, inside: Inside) -> Link {
    Link { port: spec.port.clone(), address: spec.address, gateway: spec.gateway, inside }
}

#[test]
fn a_server_is_linked_as_it_was_planned() {
    let desired = desired();
    let server = &desired.servers[0];
    let planned = desired.server_link(server).unwrap();
    let wanted = Member::Server { plane: "b".to_owned(), link: link(&planned, Inside::Only) };
    assert_eq!(read(&desired.server_spec(server)), Some(wanted));
}

#[test]
fn the_platforms_own_are_linked_as_they_were_planned() {
    let desired = desired();
    let users = desired.platform.networks.users;
    let subnet = (users.network(), users.prefix_len());
    for spec in &desired.system {
        let found = read(spec);
        let planned = desired.links.iter().find(|(name, _)| *name == spec.name);
        let wanted = match planned {
            Some((_, planned)) => {
                let link = link(planned, Inside::Besides { subnet });
                Some(Member::Service { plane: "b".to_owned(), link })
            }
            None if spec.name == holder("b") => {
                let gateway = desired.platform.networks.gateway();
                Some(Member::Holder { plane: "b".to_owned(), gateway })
            }
            // It works in the holder's network, and has no link of its own.
            None => {
                assert_eq!(spec.name, Service::Firewall.container("b"));
                None
            }
        };
        assert_eq!(found, wanted, "{}", spec.name);
    }
    assert_eq!(desired.links.len(), 3);
}
