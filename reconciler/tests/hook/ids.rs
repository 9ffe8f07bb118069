//! Ids of servers that are gone: whose they were is what states in force say, as the reconciler has written it down.

use berth_repo::{Signature, StateRepo};
use berth_schema::register::IdRegister;

use super::Bench;

const FILES: [(&str, &str); 5] = [
    ("platform.toml", "domain = \"hosting.example.org\"\n"),
    ("users/ann.toml", "role = \"admin\"\n"),
    ("users/bob.toml", ""),
    ("users/eve.toml", ""),
    ("servers/bobs.toml", "id = 1\nowner = \"bob\"\n"),
];

impl Bench {
    /// A state repo of which a pass has seen that state, and whose register says this besides.
    fn in_force(register: &str) -> Self {
        let bench = Self::holding(&FILES);
        assert!(bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]).good);
        let mut repo = StateRepo::open(&bench.bare).unwrap();
        let head = repo.head().unwrap().unwrap();
        let state = repo.load(&head).unwrap().state.unwrap();
        let mut ids = IdRegister::parse(register).unwrap();
        ids.learn(&state, []);
        repo.keep_ids(&ids, &Signature::now("Berth", "berth@localhost")).unwrap();
        assert_eq!(repo.kept_ids().unwrap(), Some(ids));
        bench
    }

    /// Pushes a new server, and takes it out of the clone again.
    fn push_server(&self, user: &str, id: u32) -> super::Said {
        let file = format!("servers/of-{user}.toml");
        let said =
            self.push_change(Some(user), &[(&file, Some(&format!("id = {id}\nowner = \"{user}\"\n")))]);
        self.git(&["reset", "--quiet", "--hard", "origin/main"]);
        said
    }
}

#[test]
fn a_push_takes_no_ids_that_were_never_in_force() {
    let bench = Bench::in_force("");
    let names: Vec<String> = (2..=20).map(|id| format!("servers/x{id}.toml")).collect();
    let texts: Vec<String> = (2..=20).map(|id| format!("id = {id}\nowner = \"eve\"\n")).collect();
    let added: Vec<_> = names.iter().zip(&texts).map(|(name, text)| (&**name, Some(&**text))).collect();
    bench.commit(&added);
    let removed: Vec<_> = names.iter().map(|name| (&**name, None)).collect();
    bench.push_change(Some("eve"), &removed).accepted(&[]);
    bench.push_server("bob", 2).accepted(&[]);
}

#[test]
fn where_no_register_is_kept_history_says_whose_ids_were() {
    let bench = Bench::holding(&FILES);
    assert!(bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]).good);
    bench.push_change(Some("eve"), &[("servers/eves.toml", Some("id = 7\nowner = \"eve\"\n"))]).accepted(&[]);
    bench.push_change(Some("eve"), &[("servers/eves.toml", None)]).accepted(&[]);
    bench.push_server("bob", 7).refused(&["id 7 was a server of `eve`'s", "use another, such as 2"]);
    bench.push_server("eve", 7).accepted(&[]);
}

#[test]
fn a_new_member_of_an_old_name_inherits_nothing() {
    // Somebody called dan had it, and left.
    let bench = Bench::in_force("7 = \"dan\"\n");
    bench.push_change(Some("ann"), &[("users/dan.toml", Some(""))]).accepted(&[]);
    bench.push_server("dan", 7).refused(&["id 7 was a server of `dan`'s, who isn't a member any more"]);
    bench.push_server("dan", 2).accepted(&[]);
}

#[test]
fn whoever_has_enough_ids_uses_them_again() {
    // Twice as many as a member may have servers.
    let ids: String = (2..=7).map(|id| format!("{id} = \"eve\"\n")).collect();
    let bench = Bench::in_force(&ids);
    let refused = "`eve` has enough ids that no server has";
    bench.push_server("eve", 8).refused(&[refused, "use one of them again: `2`, `3` or `4`"]);
    bench.push_server("eve", 3).accepted(&[]);
}
