//! Ids: a revision is git's id of a commit and nothing more, in a type that needs no git.

use std::borrow::Borrow;

use berth_schema::Revision;
use git2::Oid;

/// The id by which git knows a revision.
pub(crate) fn oid(revision: impl Borrow<Revision>) -> Oid {
    // Refused for another length only, and that is the type's; nothing has the id that stands in for it.
    Oid::from_bytes(revision.borrow().as_bytes()).unwrap_or(Oid::ZERO_SHA1)
}

/// The revision with one of git's ids.
pub(crate) fn revision_of(id: Oid) -> Revision {
    Revision::from_bytes(id.as_bytes().try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_on_both_sides() {
        let id = Oid::from_str("0123456789abcdef0123456789abcdef01234567").unwrap();
        assert_eq!(revision_of(id).to_string(), id.to_string());
        assert_eq!(oid(revision_of(id)), id);
    }
}
