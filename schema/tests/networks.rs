//! The address of each server, and what a good state says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use berth_schema::name::ServerId;
use berth_schema::platform::Networks;
use berth_schema::{Parsed, State};

fn id(number: u32) -> ServerId {
    ServerId(NonZeroU32::new(number).unwrap())
}

#[test]
fn addresses_follow_ids_and_leave_the_platforms_own_free() {
    let networks = Networks::default();
    assert_eq!(networks.gateway(), Ipv4Addr::new(172, 19, 2, 1));
    assert_eq!(networks.cache(), Ipv4Addr::new(172, 19, 2, 4));
    assert_eq!(networks.address(id(1)), Some(Ipv4Addr::new(172, 19, 2, 16)));
    assert_eq!(networks.address(id(239)), Some(Ipv4Addr::new(172, 19, 2, 254)));
    assert_eq!(networks.address(id(240)), None);
    assert_eq!(networks.capacity(), 239);
}

#[test]
fn wider_and_narrower_subnets_have_their_room() {
    for (subnet, capacity) in
        [("10.0.0.0/8", 16_777_199), ("10.0.0.0/16", 65_519), ("10.0.0.0/27", 15), ("10.0.0.0/29", 0)]
    {
        let networks = Networks { users: subnet.parse().unwrap(), ..Networks::default() };
        assert_eq!(networks.capacity(), capacity, "{subnet}");
        let last = networks.users.broadcast().to_bits() - 1;
        let address = NonZeroU32::new(capacity).and_then(|last| networks.address(ServerId(last)));
        assert_eq!(address, (capacity > 0).then(|| Ipv4Addr::from_bits(last)), "{subnet}");
        assert_eq!(networks.address(id(u32::MAX)), None);
    }
}

#[test]
fn a_good_state_says_what_its_files_say() {
    let files = [
        ("platform.toml", "domain = \"hosting.example.org\"\n[defaults]\nmemory = \"2 GiB\"\n"),
        ("users/ann.toml", "role = \"admin\"\n[quota]\nservers = 9\n"),
        ("users/bob.toml", ""),
        (
            "servers/shop.toml",
            "id = 7\nowner = \"ann\"\nmembers = [\"bob\"]\nstate = \"stopped\"\ncpus = 0.5\n",
        ),
        ("domains/_.shop.hosting.example.org.toml", "server = \"shop\"\nport = 8080\ntls = \"off\"\n"),
    ];
    let files: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    let state = State::assemble(&files).unwrap();
    let server = &state.servers[&id(7)];
    let limits = server.limits(&state.platform.defaults);
    assert_eq!((limits.nano_cpus, limits.memory, limits.pids), (500_000_000, 2 << 30, 2048));
    assert_eq!(server.members[0].as_str(), "bob");
    let (fqdn, domain) = state.domains.first_key_value().unwrap();
    assert_eq!((fqdn.as_str(), domain.port.get()), ("*.shop.hosting.example.org", 8080));
    assert_eq!(state.quota(&state.users[&server.owner]).servers, 9);
    assert_eq!(state.server(&"shop".parse().unwrap()), Some(server));
    assert_eq!(State::assemble(&files), Ok(state));
}
