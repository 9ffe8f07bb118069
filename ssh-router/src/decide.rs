//! Decision who may log in where. Pure: routes and a credential in, a grant or nothing out.
//!
//! A login names a server (`server7`, or its name) and not a person, whom the credential identifies. A login that no server
//! has is tried against a stand-in server and refused whatever the result, so that it takes as long as a real one. The login
//! `git` names the state repo; there, a key identifies a person only if no other member has it.

use berth_schema::name::{ServerId, ServerName, UserName};
use berth_schema::route::Routes;

/// Permission to enter, with the credential that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) user: UserName,
    pub(crate) target: Target,
    pub(crate) credential: Credential,
}

/// Target that a login names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Server(ServerName, ServerId),
    /// The state repo. No server may have this login as its name.
    Git,
}

/// Login of the state repo.
pub(crate) const GIT: &str = "git";

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server(name, _) => name.as_str(),
            Self::Git => GIT,
        })
    }
}

/// Credential that opened a session, kept so that its revocation can close it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Algorithm and key, as in `authorized_keys`, without a comment.
    Key(String),
    /// The hash that the password matched.
    Password(String),
    /// A ticket of the panel's, which the door has redeemed. Its revocation is the door's.
    Ticket,
}

impl Credential {
    /// Word for its kind, for the log.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Password(_) => "password",
            Self::Ticket => "ticket",
        }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

/// Hashes that a password is tried against.
#[derive(Debug)]
pub(crate) struct Trial {
    /// `None` for a stand-in.
    server: Option<(ServerName, ServerId)>,
    /// Owner, members and admins with their hashes. Those without a password are left out, as are hashes that cost too much to
    /// check.
    pub(crate) candidates: Vec<(UserName, String)>,
}

/// Returns the grant that a verified key gives. `key` is the algorithm and the key, without a comment.
pub(crate) fn by_key(routes: &Routes, login: &str, key: &str) -> Option<Grant> {
    let (name, server) = routes.server(login)?;
    let (user, _) =
        routes.entitled(server).find(|(_, user)| user.keys.iter().any(|k| k.key_data() == key))?;
    let credential = Credential::Key(key.to_owned());
    Some(Grant { user: user.clone(), target: Target::Server(name.clone(), server.id), credential })
}

/// Returns the grant of a member whom the door has named, if they may enter the server.
pub(crate) fn by_ticket(routes: &Routes, user: &UserName, id: ServerId) -> Option<Grant> {
    let (name, server) = routes.server_of(id)?;
    let (user, _) = routes.entitled(server).find(|(name, _)| *name == user)?;
    let target = Target::Server(name.clone(), id);
    Some(Grant { user: user.clone(), target, credential: Credential::Ticket })
}

/// Returns the grant that a verified key gives for the state repo. A key that two members have identifies nobody.
pub(crate) fn git_by_key(routes: &Routes, key: &str) -> Option<Grant> {
    let mut holders = routes.users().filter(|(_, user)| user.keys.iter().any(|k| k.key_data() == key));
    let (user, None) = (holders.next()?.0.clone(), holders.next()) else { return None };
    Some(Grant { user, target: Target::Git, credential: Credential::Key(key.to_owned()) })
}

/// Returns the holder of a key, whatever it opens.
pub(crate) fn holder(routes: &Routes, key: &str) -> Option<UserName> {
    let mut users = routes.users();
    users.find(|(_, user)| user.keys.iter().any(|k| k.key_data() == key)).map(|(name, _)| name.clone())
}

/// Returns the hashes that a password must be tried against. `stand_in` picks a server for a login that no server has; it
/// should depend on the login and on a secret of this process.
pub(crate) fn trial(routes: &Routes, login: &str, stand_in: u64) -> Trial {
    let found = routes.server(login);
    let judged = found.or_else(|| {
        let count = u64::try_from(routes.servers().len()).ok()?;
        let pick = usize::try_from(stand_in.checked_rem(count)?).ok()?;
        routes.servers().nth(pick)
    });
    let candidates = judged.into_iter().flat_map(|(_, server)| routes.entitled(server));
    Trial {
        server: found.map(|(name, server)| (name.clone(), server.id)),
        candidates: candidates
            .filter_map(|(name, user)| Some((name.clone(), user.checkable_hash()?.to_owned())))
            .collect(),
    }
}

impl Trial {
    /// Returns the grant if the password matched the candidate at `matched`.
    pub(crate) fn outcome(mut self, matched: Option<usize>) -> Option<Grant> {
        let (server, id) = self.server?;
        let matched = matched.filter(|at| *at < self.candidates.len())?;
        let (user, hash) = self.candidates.swap_remove(matched);
        let target = Target::Server(server, id);
        Some(Grant { user, target, credential: Credential::Password(hash) })
    }
}

/// Returns whether a grant would still be given. A server that has been renamed stays the same server.
pub(crate) fn still_stands(routes: &Routes, grant: &Grant) -> bool {
    let id = match (&grant.target, &grant.credential) {
        (Target::Git, Credential::Key(key)) => return git_by_key(routes, key).as_ref() == Some(grant),
        (Target::Git, Credential::Password(_) | Credential::Ticket) => return false,
        (Target::Server(_, id), _) => *id,
    };
    let user = routes
        .server_of(id)
        .and_then(|(_, server)| routes.entitled(server).find(|(name, _)| **name == grant.user))
        .map(|(_, user)| user);
    user.is_some_and(|user| match &grant.credential {
        Credential::Key(key) => user.keys.iter().any(|k| k.key_data() == key),
        Credential::Password(hash) => user.password_hash.as_ref() == Some(hash),
        Credential::Ticket => true,
    })
}

#[cfg(test)]
mod tests {
    use berth_schema::route::{RouteServer, RouteUser};

    use super::*;

    const KEYS: [&str; 3] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
    ];

    fn user(admin: bool, key: usize) -> RouteUser {
        RouteUser { admin, password_hash: Some(hash(10, key)), keys: vec![KEYS[key].parse().unwrap()] }
    }

    fn hash(cost: u32, of: usize) -> String {
        format!("$2b${cost}${of:0>53}")
    }

    fn server(id: u32, owner: &str) -> RouteServer {
        RouteServer {
            id: ServerId(id.try_into().unwrap()),
            owner: owner.parse().unwrap(),
            members: vec![],
            host: "127.0.0.1".parse().unwrap(),
            port: 22,
            user: "root".parse().unwrap(),
            host_key: KEYS[0].parse().unwrap(),
        }
    }

    /// ann owns shop (1), bob owns wiki (2), root is an admin.
    fn routes() -> Routes {
        Routes::new("/key".into())
            .with_user("ann".parse().unwrap(), user(false, 0))
            .with_user("bob".parse().unwrap(), user(false, 1))
            .with_user("root".parse().unwrap(), user(true, 2))
            .with_server("shop".parse().unwrap(), server(1, "ann"))
            .unwrap()
            .with_server("wiki".parse().unwrap(), server(2, "bob"))
            .unwrap()
    }

    #[test]
    fn a_key_opens_its_owners_server_by_number_and_by_name() {
        for login in ["server1", "shop"] {
            let grant = by_key(&routes(), login, KEYS[0]).unwrap();
            assert_eq!((grant.user.as_str(), grant.target.to_string()), ("ann", "shop".to_owned()));
        }
    }

    #[test]
    fn a_key_opens_nobody_elses_server_and_an_admins_opens_all() {
        assert_eq!(by_key(&routes(), "wiki", KEYS[0]), None);
        assert_eq!(holder(&routes(), KEYS[0]).unwrap().as_str(), "ann");
        assert_eq!(by_key(&routes(), "wiki", KEYS[2]).unwrap().user.as_str(), "root");
        for login in ["server3", "server01", "server", "ann", "", "SHOP", "server1 "] {
            assert_eq!(by_key(&routes(), login, KEYS[2]), None, "{login}");
        }
    }

    #[test]
    fn a_key_opens_the_state_repo_for_the_only_member_who_has_it() {
        let grant = git_by_key(&routes(), KEYS[1]).unwrap();
        assert_eq!((grant.user.as_str(), &grant.target), ("bob", &Target::Git));
        assert!(still_stands(&routes(), &grant));
        let shared = routes().with_user("eve".parse().unwrap(), user(false, 1));
        assert_eq!(git_by_key(&shared, KEYS[1]), None);
        assert!(!still_stands(&shared, &grant), "whose it is can't be told any more");
        let twice =
            RouteUser { keys: [KEYS[1], KEYS[1]].map(|k| k.parse().unwrap()).into(), ..user(false, 1) };
        let twice = routes().with_user("bob".parse().unwrap(), twice);
        assert!(still_stands(&twice, &grant), "a key that is there twice is still one member's");
        assert_eq!(git_by_key(&Routes::new("/key".into()), KEYS[1]), None);
        assert_eq!(by_key(&routes(), GIT, KEYS[2]), None);
        assert!(trial(&routes(), GIT, 0).outcome(Some(0)).is_none(), "no password opens it");
    }

    #[test]
    fn a_ticket_opens_what_a_key_would_and_falls_with_the_person_alone() {
        let by = |routes: &Routes, user: &str, id: u32| {
            by_ticket(routes, &user.parse().unwrap(), ServerId(id.try_into().unwrap()))
        };
        let grant = by(&routes(), "ann", 1).unwrap();
        assert_eq!((grant.user.as_str(), grant.target.to_string()), ("ann", "shop".to_owned()));
        assert!(by(&routes(), "root", 2).is_some(), "an admin");
        for (user, id) in [("ann", 2), ("bob", 1), ("ann", 3), ("nobody", 1)] {
            assert_eq!(by(&routes(), user, id), None, "{user} {id}");
        }
        let without_key = RouteUser { keys: vec![], password_hash: None, ..user(false, 0) };
        let routes = routes().with_user("ann".parse().unwrap(), without_key);
        assert!(still_stands(&routes, &grant), "the door says when the session ends");
        let no_owner = Grant { user: "bob".parse().unwrap(), ..grant };
        assert!(!still_stands(&routes, &no_owner));
    }

    #[test]
    fn an_unknown_login_is_tried_like_a_known_one_and_never_granted() {
        let known = trial(&routes(), "shop", 0);
        let unknown = trial(&routes(), "nothing", 0);
        assert_eq!(known.candidates, unknown.candidates);
        assert!(known.outcome(Some(0)).is_some());
        assert_eq!(unknown.outcome(Some(0)), None);
        assert!(trial(&Routes::new("/key".into()), "nothing", 7).candidates.is_empty());
    }

    #[test]
    fn a_hash_that_costs_too_much_is_like_no_password() {
        let dear = RouteUser { password_hash: Some(hash(31, 0)), ..user(false, 0) };
        let routes = routes().with_user("ann".parse().unwrap(), dear);
        for login in ["shop", "nothing"] {
            let trial = trial(&routes, login, 0);
            let tried: Vec<_> = trial.candidates.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(tried, ["root"], "{login}");
        }
    }

    #[test]
    fn a_grant_falls_with_its_credential_its_user_or_its_server_and_with_nothing_else() {
        let key = by_key(&routes(), "shop", KEYS[0]).unwrap();
        let password = trial(&routes(), "shop", 0).outcome(Some(0)).unwrap();
        assert!(still_stands(&routes(), &key) && still_stands(&routes(), &password));
        let without_key = RouteUser { keys: vec![], ..user(false, 0) };
        let without_key = routes().with_user("ann".parse().unwrap(), without_key);
        assert!(!still_stands(&without_key, &key) && still_stands(&without_key, &password));
        let other_password = RouteUser { password_hash: Some("new".into()), ..user(false, 0) };
        let other_password = routes().with_user("ann".parse().unwrap(), other_password);
        assert!(still_stands(&other_password, &key) && !still_stands(&other_password, &password));
        assert!(!still_stands(&Routes::new("/key".into()), &key));
        let of = |name: &str, id| {
            let routes = Routes::new("/key".into()).with_user("ann".parse().unwrap(), user(false, 0));
            routes.with_server(name.parse().unwrap(), server(id, "ann")).unwrap()
        };
        assert!(still_stands(&of("store", 1), &key) && still_stands(&of("store", 1), &password));
        assert!(!still_stands(&of("shop", 3), &key), "another server of the same name");
        let others = of("shop", 1).with_user("bob".parse().unwrap(), user(false, 1));
        let others = others.with_server("theirs".parse().unwrap(), server(4, "bob")).unwrap();
        let lent = Grant { user: "bob".parse().unwrap(), credential: Credential::Key(KEYS[1].into()), ..key };
        assert!(!still_stands(&others, &lent), "not a member any more");
        let admin = others.with_user("bob".parse().unwrap(), user(true, 1));
        assert!(still_stands(&admin, &lent));
    }
}
