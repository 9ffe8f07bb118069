//! Places on the machine at which the platform's own programs listen, and which of them can't be had together.

use std::net::IpAddr;
use std::num::NonZeroU16;

/// A port of the machine, at one of its addresses or at all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: NonZeroU16,
    /// Words for whoever has it.
    pub(crate) owner: &'static str,
}

impl Place {
    /// Returns whether only one of the two can be had: all addresses beside one of them is as bad as the same one twice.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        let is_apart = |one: Option<IpAddr>, other: Option<IpAddr>| matches!((one, other), (Some(one), Some(other)) if one != other);
        self.port == other.port && !is_apart(self.address, other.address)
    }

    /// Sentence that tells who has it.
    pub(crate) fn is_taken(&self) -> String {
        match self.address {
            Some(address) => format!("the {} has the port {} of {address} already", self.owner, self.port),
            None => format!("the {} has the port {} already", self.owner, self.port),
        }
    }
}
