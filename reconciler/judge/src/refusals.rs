//! Refusals that more than one door gives, each with its hint: the same words everywhere. `help` is whom the organisation's people ask
//! ([`Organisation::help`](berth_schema::organisation::Organisation::help)).

use berth_schema::name::{Invalid, UserName};
use berth_schema::remote::Remote;

/// No state tells whose anything is.
pub(crate) fn no_good_state() -> Invalid {
    Invalid::new(
        "main holds no good state, so nobody can tell what is whose",
        "whoever runs the platform has to mend it first, from the machine that it is on",
    )
}

/// The git of a push ended while the push waited for its turn.
pub(crate) fn gone() -> Invalid {
    Invalid::new("whoever pushed has gone, so nothing was changed", "push again")
}

/// The door's name for whoever pushes is no name.
pub(crate) fn no_good_name() -> Invalid {
    Invalid::new("the door gives no good name for whoever pushes", "`BERTH_USER` must be a member's name")
}

/// A forge hosts the state repo: a commit here would only part the two.
pub(crate) fn hosted_elsewhere(remote: &Remote) -> Invalid {
    Invalid::new(remote.in_charge(), push_there(remote))
}

/// A forge hosts the state repo, and nothing says of which kind it is.
pub(crate) fn unknown_forge(remote: &Remote, help: &str) -> Invalid {
    let message = format!(
        "{}, and nothing says what kind of forge that is, so no change becomes a pull request",
        remote.in_charge()
    );
    let hint = format!("ask {help} to add `forge` to `[remote]` (docs/forge.md), or {}", push_there(remote));
    Invalid::new(message, hint)
}

/// A forge hosts the state repo, and nothing can be brought there now.
pub(crate) fn no_way(remote: &Remote, trouble: &str) -> Invalid {
    let message = format!("{}, and no change becomes a pull request there: {trouble}", remote.in_charge());
    let hint = format!(
        "ask whoever runs the platform to mend that (docs/forge.md, \"Set up\"), or {}",
        push_there(remote)
    );
    Invalid::new(message, hint)
}

/// A forge hosts the state repo, and this field of a member's file lets somebody in: a commit that is made here would part the
/// two, and a pull request is read by everybody who reads the repository there, before anybody has agreed to it.
pub fn set_there(remote: &Remote, name: &UserName, field: &str, help: &str) -> Invalid {
    let what = match field {
        "passkeys" => "Passkeys are",
        "oidc" => "Accounts at the provider are",
        "second_factor" => "Second factors are",
        "tokens" => "API tokens are",
        _ => "Passwords are",
    };
    let instead = match remote.opens_pulls() {
        true => {
            "No pull request is opened for it: that is no place for what signs somebody in. An SSH key can be added under Account. "
        }
        false => "",
    };
    let hint = format!("{instead}Change `{field}` in users/{name}.toml there, or ask {help} to.");
    Invalid::new(format!("{what} set elsewhere: {}.", remote.in_charge()), hint)
}

fn push_there(remote: &Remote) -> String {
    format!("push there: `git push {} HEAD:{}`", remote.url, remote.branch)
}

/// The ref leads to something else than a commit, where nobody would look for what may not come in.
pub(crate) fn no_commit(reference: &str) -> Invalid {
    Invalid::new(
        format!("`{reference}` leads to no commit, neither itself nor as an annotated tag of one"),
        "push a branch, or tag a commit",
    )
}

/// The ref would stand in the way of one of Berth's: git finds it first where somebody says `main`, or can't make a proposal
/// beside it, or shows other objects than those that count.
pub(crate) fn in_the_way(reference: &str) -> Option<Invalid> {
    let name = reference.strip_prefix("refs/").unwrap_or(reference);
    if name == "heads/review" {
        return Some(Invalid::new(
            "a branch `review` would block every proposal, since these are called `review/<topic>`",
            "to propose something, push to a topic: `git push origin HEAD:review/<topic>`",
        ));
    }
    if name.starts_with("replace/") {
        return Some(Invalid::new(
            "replacements show other commits than those that count",
            "make a commit of what should change instead",
        ));
    }
    // The places in which git looks for a name (gitrevisions(7)), besides the branches.
    let mut hides_main = ["", "tags/", "remotes/"].iter().map(|place| name.strip_prefix(place));
    let is_main = |rest: Option<&str>| rest.is_some_and(|rest| matches!(rest, "main" | "main/HEAD"));
    hides_main.any(is_main).then(|| {
        Invalid::new(
            format!("`{reference}` would be taken for the branch `main`"),
            "push under another name; what should exist is pushed with `git push origin HEAD:main`",
        )
    })
}

/// `main` isn't where whoever pushes saw it, nor built on that.
pub(crate) fn moved_meanwhile() -> Invalid {
    Invalid::new(
        "`main` has moved since you fetched it",
        "`git pull`, look at what others changed, and push again",
    )
}

/// The ref takes no pushes from members.
pub(crate) fn not_a_branch(reference: &str, hint: &str) -> Invalid {
    Invalid::new(format!("only main and review/<topic> take pushes, and this goes to `{reference}`"), hint)
}

/// They have as many proposals open as anybody may.
pub(crate) fn enough_open(most: usize, help: &str) -> Invalid {
    Invalid::new(
        format!("you have {most} proposals open, and nobody may have more"),
        format!(
            "close one that you don't need: `git push origin :review/<topic>`; or ask {help} to decide one"
        ),
    )
}

/// The proposal was opened by somebody else.
pub(crate) fn not_theirs(reference: &str) -> Invalid {
    Invalid::new(
        format!("`{reference}` is somebody else's proposal"),
        "choose another topic: `git push origin HEAD:review/<topic>`",
    )
}
