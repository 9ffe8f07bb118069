//! The member behind an account at the forge.

use std::collections::BTreeSet;

use berth_repo::{Revision, StateRepo};
use berth_schema::State;
use berth_schema::forge_account::ForgeAccount;
use berth_schema::name::UserName;
use berth_schema::policy::admins;
use berth_schema::text::{any_of, safe};

/// Commits of a change that are looked at for their authors.
const COMMITS: usize = 100;

/// The member whose account it is, by the state that holds, or why nobody can be found. What Berth's own account pushes is its author's,
/// for whom Berth made the commit and whom a door had asked who they are.
pub(super) fn member(
    repo: &StateRepo,
    before: &State,
    account: &ForgeAccount,
    main: &Revision,
    tip: &Revision,
) -> Result<Result<UserName, String>, berth_repo::Error> {
    let mut users = before.users.values();
    if let Some(user) = users.find(|user| user.forge_accounts.contains(account)) {
        return Ok(Ok(user.name.clone()));
    }
    let ours = before.platform.remote.as_ref().and_then(|remote| remote.account.as_ref());
    if ours == Some(account) {
        return author(repo, before, main, tip);
    }
    let why = format!(
        "no member has the account {account}: nobody can tell whose change it is\n  hint: {} can add it to `forge_accounts` in the \
         member's file",
        any_of(admins(before))
    );
    Ok(Err(why))
}

/// The one author of all commits of a change. Merges bring nothing of their own.
fn author(
    repo: &StateRepo,
    before: &State,
    main: &Revision,
    tip: &Revision,
) -> Result<Result<UserName, String>, berth_repo::Error> {
    let commits = repo.commits(tip, Some(main), COMMITS + 1)?;
    if commits.len() > COMMITS {
        return Ok(Err(format!("{} has more commits than Berth makes for anybody", tip.short())));
    }
    let own = commits.iter().filter(|commit| commit.parents.len() < 2);
    let authors: BTreeSet<&str> = own.map(|commit| commit.author.name.as_str()).collect();
    let named = match authors.iter().next() {
        Some(name) if authors.len() == 1 => name.parse::<UserName>().ok(),
        _ => None,
    };
    Ok(named.filter(|name| before.users.contains_key(name)).ok_or_else(|| {
        let authors: Vec<String> = authors.iter().map(safe).collect();
        format!("{} isn't of one member: its commits are of {}", tip.short(), authors.join(", "))
    }))
}
