//! The register of server ids: whose each is, or was last, of all ids that a state in force ever had.
//!
//! Data, an address and keys are kept under an id, and come back with a server that takes it, so whose it was decides who may take
//! it again. Owns that rule, and the register as text. Who keeps it, and where, is for others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;

use serde::Deserialize;

use crate::invalid::Invalid;
use crate::name::{ServerId, UserName};
use crate::state::State;

/// First line of the register as text.
const HEADER: &str = "# Whose each server's id is, or was last. Berth keeps this: docs/policy.md.\n";

/// Ids that a member may have without a server, for each server of their quota. It bounds what one member takes from all.
const SPARE: u32 = 2;

/// Register of whose every id is, or was last, that a state in force ever had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdRegister(BTreeMap<ServerId, Holder>);

/// The last holder of an id.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Holder {
    /// A member.
    Member(UserName),
    /// Somebody who isn't one any more. Whoever has the same name by now is somebody else.
    Former {
        /// The name that they had.
        former: UserName,
    },
}

/// Answer to somebody who wants an id for a new server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim<'a> {
    /// Nobody ever had it.
    New,
    /// It was theirs, and is again.
    Again,
    /// It was somebody else's.
    Foreign(&'a Holder),
}

impl IdRegister {
    /// Reads a register as [`IdRegister::text`] writes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hint = "remove the ref that holds it: Berth makes it anew from the history of `main`";
        let bad =
            |why: String| Invalid::new(format!("the register of server ids can't be read: {why}"), hint);
        let entries: BTreeMap<String, Holder> =
            toml::from_str(text).map_err(|error| bad(error.message().to_owned()))?;
        let entry = |(id, holder): (String, Holder)| match id.parse::<NonZeroU32>() {
            Ok(id) => Ok((ServerId(id), holder)),
            Err(_) => Err(bad(format!("`{id}` is not a server's id"))),
        };
        entries.into_iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// The register as text: TOML, a line for each id, in their order.
    pub fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (id, holder) in &self.0 {
            // Writing to a text can't fail, and names need no escapes.
            let _ = match holder {
                Holder::Member(name) => writeln!(text, "{id} = \"{name}\""),
                Holder::Former { former } => writeln!(text, "{id} = {{ former = \"{former}\" }}"),
            };
        }
        text
    }

    /// Writes down that an id was a member's.
    pub fn note(&mut self, id: ServerId, owner: UserName) {
        self.0.insert(id, Holder::Member(owner));
    }

    /// Learns from a state that is in force whose its ids are, and who isn't a member any more. Of `kept`, removed servers whose
    /// data is still here, it learns what nobody has told it.
    pub fn learn(&mut self, state: &State, kept: impl IntoIterator<Item = (ServerId, UserName)>) {
        for (id, owner) in kept {
            self.0.entry(id).or_insert(Holder::Member(owner));
        }
        for server in state.servers.values() {
            self.note(server.id, server.owner.clone());
        }
        for holder in self.0.values_mut() {
            if let Holder::Member(name) = holder
                && !state.users.contains_key(name)
            {
                *holder = Holder::Former { former: name.clone() };
            }
        }
    }

    /// Tells what an id without a server is to a member who wants it.
    pub fn claim(&self, id: ServerId, member: &UserName) -> Claim<'_> {
        match self.0.get(&id) {
            None => Claim::New,
            Some(Holder::Member(owner)) if owner == member => Claim::Again,
            Some(holder) => Claim::Foreign(holder),
        }
    }

    /// The ids that were a member's last and have no server, in their order.
    pub fn spare<'a>(
        &'a self,
        state: &'a State,
        member: &'a UserName,
    ) -> impl Iterator<Item = ServerId> + 'a {
        let theirs = move |holder: &Holder| matches!(holder, Holder::Member(owner) if owner == member);
        self.0
            .iter()
            .filter(move |(id, holder)| theirs(holder) && !state.servers.contains_key(id))
            .map(|(id, _)| *id)
    }

    /// Returns whether a member has so many ids without a server that they take one of those again, and no new one.
    pub fn has_enough(&self, state: &State, member: &UserName) -> bool {
        let Some(user) = state.users.get(member) else { return false };
        let most = state.quota(user).servers.saturating_mul(SPARE).max(1);
        u32::try_from(self.spare(state, member).count()).unwrap_or(u32::MAX) >= most
    }

    /// Chooses the id of a member's new server: the lowest that no server has or had. Where none is left, or they have enough of
    /// their own, it is the lowest of those; its removed server's data comes back with it. `None` where neither is left.
    pub fn free(&self, state: &State, member: &UserName) -> Option<ServerId> {
        self.free_besides(state, member, &[])
    }

    /// Chooses one in the same way that is none of `promised`, which changes ask for that wait elsewhere.
    pub fn free_besides(&self, state: &State, member: &UserName, promised: &[ServerId]) -> Option<ServerId> {
        let room = state.platform.networks.capacity();
        let all = (1..=room).filter_map(NonZeroU32::new).map(ServerId);
        let all = all.filter(|id| !promised.contains(id));
        let mut new = all.filter(|id| !state.servers.contains_key(id) && !self.0.contains_key(id));
        let mut own = self.spare(state, member).filter(|id| id.get() <= room && !promised.contains(id));
        match self.has_enough(state, member) {
            true => own.next(),
            false => new.next().or_else(|| own.next()),
        }
    }
}

impl FromIterator<(ServerId, UserName)> for IdRegister {
    fn from_iter<I: IntoIterator<Item = (ServerId, UserName)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(id, owner)| (id, Holder::Member(owner))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::state::Parsed;

    fn state(files: &[(&str, &str)]) -> State {
        let files = iter::once(&("platform.toml", "domain = \"h.org\"\nnetworks.users = \"10.9.2.0/27\"\n"))
            .chain(files);
        let parsed: Vec<Parsed> = files.map(|(path, text)| Parsed::parse(path, text)).collect();
        State::assemble(&parsed).unwrap()
    }

    fn id(id: u32) -> ServerId {
        ServerId(NonZeroU32::new(id).unwrap())
    }

    fn name(name: &str) -> UserName {
        name.parse().unwrap()
    }

    const BOBS: (&str, &str) = ("servers/bobs.toml", "id = 1\nowner = \"bob\"\n");

    #[test]
    fn what_is_written_is_read() {
        let text = format!("{HEADER}2 = \"bob\"\n10 = {{ former = \"cyn\" }}\n");
        assert_eq!(IdRegister::parse(&text).unwrap().text(), text);
        for bad in ["0 = \"bob\"\n", "x = \"bob\"\n", "1 = \"BOB!\"\n", "1 = 2\n", "1"] {
            let invalid = IdRegister::parse(bad).unwrap_err();
            assert!(
                invalid.message.starts_with("the register of server ids can't be read: "),
                "{}",
                invalid.message
            );
        }
    }

    #[test]
    fn whose_an_id_is_follows_from_states_one_after_the_other() {
        let (bob, cyn) = (name("bob"), name("cyn"));
        let users = [("users/bob.toml", ""), ("users/cyn.toml", "")];
        let mut ids = IdRegister::default();
        ids.learn(&state(&[users[0], users[1], BOBS]), [(id(2), cyn.clone()), (id(1), cyn.clone())]);
        assert_eq!((ids.claim(id(1), &bob), ids.claim(id(2), &cyn)), (Claim::Again, Claim::Again));
        assert_eq!(
            ids.claim(id(1), &cyn),
            Claim::Foreign(&Holder::Member(bob.clone())),
            "a state knows better than a mark"
        );
        assert_eq!(ids.claim(id(3), &bob), Claim::New);
        // An admin gives it away, and bob leaves.
        ids.learn(&state(&[users[0], users[1], ("servers/bobs.toml", "id = 1\nowner = \"cyn\"\n")]), []);
        assert_eq!(ids.claim(id(1), &cyn), Claim::Again);
        ids.learn(&state(&[users[0]]), []);
        let gone = Holder::Former { former: cyn.clone() };
        assert_eq!(ids.claim(id(1), &cyn), Claim::Foreign(&gone));
        // Whoever is called so by now is somebody else, until an admin puts the server back.
        ids.learn(&state(&users), []);
        assert_eq!(ids.claim(id(1), &cyn), Claim::Foreign(&gone));
        ids.learn(&state(&[users[0], users[1], ("servers/bobs.toml", "id = 1\nowner = \"cyn\"\n")]), []);
        assert_eq!(ids.claim(id(1), &cyn), Claim::Again);
    }

    #[test]
    fn a_free_id_is_new_or_ones_own() {
        let users = [("users/bob.toml", "quota.servers = 1\n"), ("users/cyn.toml", "")];
        let state = state(&[users[0], users[1], BOBS]);
        let room = state.platform.networks.capacity();
        let (bob, cyn) = (name("bob"), name("cyn"));
        let of = |ids: &[(u32, &UserName)]| -> IdRegister {
            ids.iter().map(|(number, owner)| (id(*number), (*owner).clone())).collect()
        };
        assert_eq!(of(&[(1, &bob), (2, &cyn)]).free(&state, &bob), Some(id(3)));
        // Two without a server are enough for somebody who may have one.
        let enough = of(&[(1, &bob), (2, &bob), (3, &bob)]);
        assert!(enough.has_enough(&state, &bob) && !enough.has_enough(&state, &cyn));
        assert_eq!((enough.free(&state, &bob), enough.free(&state, &cyn)), (Some(id(2)), Some(id(4))));
        // Where none is new, one's own is left, or nothing.
        let full: Vec<(u32, &UserName)> =
            (1..=room).map(|id| (id, if id == room { &bob } else { &cyn })).collect();
        assert_eq!(of(&full).free(&state, &bob), Some(id(room)));
        let full: Vec<(u32, &UserName)> = (1..=room).map(|id| (id, &cyn)).collect();
        assert_eq!(of(&full).free(&state, &bob), None);
    }
}
