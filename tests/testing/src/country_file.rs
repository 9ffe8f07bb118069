//! A small file of countries, in the format of MaxMind's (MaxMind DB 2.0): a tree of addresses, what is known of them, and what it is.

use std::net::IpAddr;

/// Ends the file's content, and begins the part that says what it is.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Depth of the tree of IPv4 in that of IPv6, in bits.
const V4_DEPTH: u32 = 96;
/// Zeros between the tree and the records.
const GAP: usize = 16;

/// Types of values, as the format numbers them.
const STRING: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

/// Makes a file that says of networks in which country they are. None may hold another. `made` is a Unix time.
pub fn country_file(networks: &[(&str, &str)], made: u64) -> Vec<u8> {
    let record = |code: &str| {
        let country = map(&[("iso_code", text(code)), ("geoname_id", uint(UINT32, 597_427))]);
        // Somebody may have registered an address in another country than it is in.
        map(&[("registered_country", map(&[("iso_code", text("US"))])), ("country", country)])
    };
    file(networks, made, record)
}

/// Makes a file of networks without a country, as those of providers are.
pub fn countryless_file(networks: &[&str]) -> Vec<u8> {
    let networks: Vec<_> = networks.iter().map(|network| (*network, "")).collect();
    file(&networks, 0, |_| map(&[("autonomous_system_number", uint(UINT32, 64_496))]))
}

fn file(networks: &[(&str, &str)], made: u64, record: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let mut tree = Tree(vec![[Leaf::Empty; 2]]);
    let (mut records, mut known) = (Vec::new(), Vec::<(&str, usize)>::new());
    for (network, code) in networks {
        let found = known.iter().find(|(known, _)| known == code).map(|(_, at)| *at);
        let at = found.unwrap_or_else(|| {
            let at = records.len();
            records.extend(record(code));
            known.push((code, at));
            at
        });
        let (bits, depth) = place(network);
        tree.put(bits, depth, Leaf::Record(at));
    }
    tree.alias();
    let mut file = tree.written();
    file.resize(file.len() + GAP, 0);
    file.extend(records);
    file.extend(MARK);
    file.extend(map(&[
        ("binary_format_major_version", uint(UINT16, 2)),
        ("binary_format_minor_version", uint(UINT16, 0)),
        ("build_epoch", uint(UINT64, made)),
        ("database_type", text("GeoLite2-Country")),
        ("description", map(&[("en", text("Countries of a test"))])),
        ("ip_version", uint(UINT16, 6)),
        ("languages", array(&[text("en")])),
        ("node_count", uint(UINT32, tree.0.len() as u64)),
        ("record_size", uint(UINT16, 32)),
    ]));
    file
}

/// A network's bits in the tree of IPv6, and how many of them count.
fn place(network: &str) -> (u128, u32) {
    let (address, length) = network.split_once('/').expect("a network");
    let length: u32 = length.parse().expect("a prefix length");
    match address.parse().expect("an address") {
        IpAddr::V4(address) => (address.to_bits().into(), V4_DEPTH + length),
        IpAddr::V6(address) => (address.to_bits(), length),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Empty,
    Node(usize),
    Record(usize),
}

/// Nodes, each with what follows on a zero and on a one. The first is the root.
struct Tree(Vec<[Leaf; 2]>);

impl Tree {
    fn put(&mut self, bits: u128, depth: u32, leaf: Leaf) {
        let bit = |level: u32| usize::from(bits >> (127 - level) & 1 == 1);
        let mut node = 0;
        for level in 0..depth - 1 {
            node = match self.0[node][bit(level)] {
                Leaf::Node(next) => next,
                Leaf::Empty => {
                    self.0.push([Leaf::Empty; 2]);
                    let next = self.0.len() - 1;
                    self.0[node][bit(level)] = Leaf::Node(next);
                    next
                }
                Leaf::Record(_) => panic!("a network in another one"),
            };
        }
        self.0[node][bit(depth - 1)] = leaf;
    }

    /// Leads from `::ffff:0:0/96` to the tree of IPv4, as MaxMind's files do.
    fn alias(&mut self) {
        let mut node = 0;
        for _ in 0..V4_DEPTH {
            let Leaf::Node(next) = self.0[node][0] else { return };
            node = next;
        }
        self.put(0xffff << 32, V4_DEPTH, Leaf::Node(node));
    }

    fn written(&self) -> Vec<u8> {
        let count = self.0.len();
        let number = |leaf: &Leaf| match leaf {
            Leaf::Empty => count,
            Leaf::Node(node) => *node,
            Leaf::Record(at) => count + GAP + at,
        };
        self.0.iter().flatten().flat_map(|leaf| (number(leaf) as u32).to_be_bytes()).collect()
    }
}

/// A value's first bytes: its type, and its length.
fn head(kind: u8, length: usize) -> Vec<u8> {
    assert!(length < 29 + 256, "values of a test are short");
    let (own, more) = if length < 29 { (length as u8, None) } else { (29, Some((length - 29) as u8)) };
    // Types above seven have a byte of their own.
    let (first, second) = if kind <= 7 { (kind << 5, None) } else { (0, Some(kind - 7)) };
    [Some(first | own), second, more].into_iter().flatten().collect()
}

fn text(text: &str) -> Vec<u8> {
    [head(STRING, text.len()), text.as_bytes().to_vec()].concat()
}

fn uint(kind: u8, number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let bytes = &bytes[number.leading_zeros() as usize / 8..];
    [head(kind, bytes.len()), bytes.to_vec()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let written = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    head(MAP, entries.len()).into_iter().chain(written).collect()
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [head(ARRAY, values.len()), values.concat()].concat()
}
