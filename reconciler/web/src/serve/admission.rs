//! Places for connections: so many in all, and so many for one source, so that nobody takes everybody's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The most connections.
const ALL: usize = 1024;
/// The most connections of one source.
const EACH: usize = 128;

/// The places, and who has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Admission(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place, for as long as this is kept.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Admission,
    source: IpAddr,
}

impl Admission {
    /// Gives a place to somebody at this address, if there is one.
    pub(super) fn admit(&self, from: IpAddr) -> Option<Admitted> {
        let source = source(from);
        let mut taken = self.0.lock();
        if taken.values().sum::<usize>() >= ALL || taken.get(&source).is_some_and(|own| *own >= EACH) {
            return None;
        }
        *taken.entry(source).or_default() += 1;
        Some(Admitted { admission: self.clone(), source })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut taken = self.admission.0.lock();
        if let Some(own) = taken.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

/// The address, or the network of one customer, who has all of its addresses.
fn source(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_leaves_room_for_others_and_gives_its_places_back() {
        let admission = Admission::default();
        let mut places: Vec<_> = (0..EACH).map(|_| admission.admit(ip("192.0.2.1")).unwrap()).collect();
        assert!(admission.admit(ip("::ffff:192.0.2.1")).is_none());
        let other = admission.admit(ip("192.0.2.2")).unwrap();
        places.pop();
        assert!(admission.admit(ip("192.0.2.1")).is_some());
        drop((places, other));
        assert!(admission.0.lock().is_empty());
    }

    #[test]
    fn a_customer_s_network_is_one_source_and_there_is_an_end() {
        let admission = Admission::default();
        let _own: Vec<_> =
            (0..EACH).map(|n| admission.admit(ip(&format!("2001:db8::{n:x}"))).unwrap()).collect();
        assert!(admission.admit(ip("2001:db8::ffff:1")).is_none());
        let _rest: Vec<_> =
            (EACH..ALL).map(|n| admission.admit(ip(&format!("2001:db8:{n:x}::1"))).unwrap()).collect();
        assert!(admission.admit(ip("192.0.2.1")).is_none());
    }
}
