//! Sights: how the judge learns of the engine, which it can't reach itself.

use berth_plan::Identities;
use berth_schema::State;
use berth_wire::Sight;

/// Somebody who looks at the engine for the judge.
pub trait Sights {
    /// Begins to look, for an answer that is wanted soon.
    fn begin(&self) {}

    /// Looks at what there is now, with the host's rules if there is to be a firewall; or tells why nobody can, as a clause.
    fn look(&self, firewall: bool) -> Result<Sight, String>;

    /// Reads the platform's keys, as far as the servers of `state` show them; or tells why nobody can, as a clause.
    fn identities(&self, state: &State) -> Result<Identities, String>;
}

/// Nobody looks.
#[derive(Debug, Clone, Copy)]
pub struct Unseen;

impl Sights for Unseen {
    fn look(&self, _: bool) -> Result<Sight, String> {
        Err("the engine wasn't asked".to_owned())
    }

    fn identities(&self, state: &State) -> Result<Identities, String> {
        Ok(Identities::example(state.servers.keys().copied()))
    }
}
