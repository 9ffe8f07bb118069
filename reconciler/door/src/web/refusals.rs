//! Refusals of the panel's questions: words for the person. The causes stay in the log. In a next step, `{help}` stands for whom the
//! person asks; the table of questions fills it in.

use std::error::Error;
use std::time::Duration;

use berth_fault::chain;
use berth_wire::web::{Refusal, Scope, Why};

/// A refusal without a next step.
fn refusal(why: Why, message: impl Into<String>) -> Refusal {
    Refusal { why, message: message.into(), hint: None }
}

/// A refusal with a next step.
fn with_hint(why: Why, message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal { hint: Some(hint.into()), ..refusal(why, message) }
}

/// The token is none, or none any more.
pub(crate) fn signed_out() -> Refusal {
    with_hint(Why::SignedOut, "You are not signed in any more.", "Sign in again.")
}

/// Refusal of what isn't there for the person: in the same words whether it is somebody else's or nobody's.
pub(crate) fn not_found() -> Refusal {
    with_hint(
        Why::NotFound,
        "There is nothing of that name, or it isn't yours to see.",
        "Check the name, or ask {help}.",
    )
}

/// The person may not do that.
pub(crate) fn forbidden(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    with_hint(Why::Forbidden, message, hint)
}

/// Refusal of what only admins may do.
pub(crate) fn admins_only() -> Refusal {
    forbidden("Only admins may do that.", "Ask {help}.")
}

/// Refusal of what an API token isn't for.
pub(crate) fn out_of_scope(scope: Scope) -> Refusal {
    with_hint(
        Why::OutOfScope { scope },
        format!("This token may not do that: it lacks the scope `{scope}`."),
        "Make a token that has it, in the panel under Account.",
    )
}

/// Refusal of what no API token may do.
pub(crate) fn sign_in_first() -> Refusal {
    with_hint(
        Why::Stale,
        "No API token may do that: it needs to know that it is you.",
        "Do it in the panel, or sign in by `POST /api/login` first.",
    )
}

/// The question makes no sense as it is.
pub(crate) fn bad(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    with_hint(Why::BadQuestion, message, hint)
}

/// No question of this door. Whoever wrote it reads the log, not the page.
pub(crate) fn no_question(why: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(%why, "the panel asked something that makes no sense");
    bad(
        "The panel asked something that the door doesn't understand.",
        "Load the page again. If that is no help, ask {help}: are the panel and the door of the same version?",
    )
}

/// Refusal of an attempt to sign in: one sentence for every failure, which never tells whether the name is known.
pub(crate) fn wrong_password() -> Refusal {
    with_hint(
        Why::WrongPassword,
        "The name or the password is wrong.",
        "{Help} can give you a link to set a new password.",
    )
}

/// Refusal of a code.
pub(crate) fn wrong_code() -> Refusal {
    with_hint(
        Why::WrongCode,
        "That code is wrong, or it was used already.",
        "Wait for the app's next code. A recovery code works as well, each one once.",
    )
}

/// Refusal of a code that comes too late, or after too many others.
pub(crate) fn dead_half() -> Refusal {
    with_hint(Why::SignedOut, "That has taken too long, or too many codes.", "Begin with the password again.")
}

/// Refusal of a passkey: one sentence for every reason.
pub(crate) fn wrong_passkey() -> Refusal {
    with_hint(
        Why::WrongPassword,
        "That passkey isn't taken here.",
        "Try once more, use another one, or sign in with your password.",
    )
}

/// The host has lost the secret of somebody's second factor.
pub(crate) fn lost_factor() -> Refusal {
    forbidden(
        "You have a second factor, and this host has lost its secret, so no code can be checked.",
        "Ask {help} to invite you anew: the link takes the second factor away.",
    )
}

/// The token isn't fresh.
pub(crate) fn stale() -> Refusal {
    with_hint(
        Why::Stale,
        "This needs to know once more that it is you.",
        "Confirm it with your password or a passkey; that holds for ten minutes.",
    )
}

/// Refusal of one attempt too many.
pub(crate) fn too_many(wait: Duration) -> Refusal {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    refusal(Why::TooMany { seconds }, format!("There were too many attempts. Try again in {seconds} s."))
}

/// Refusal while many others wait.
pub(crate) fn busy() -> Refusal {
    refusal(Why::TooMany { seconds: 1 }, "Many people are signing in. Try again in a moment.")
}

/// The link is used, out of date or none.
pub(crate) fn dead_invitation() -> Refusal {
    with_hint(
        Why::NotFound,
        "This link is not good any more: it was used, it is older than 72 hours, or there is a newer one.",
        "If you have set a password, sign in. Otherwise ask {help} for another link.",
    )
}

/// The way into a site is used, too old, or another browser's.
pub(crate) fn used_up() -> Refusal {
    with_hint(
        Why::NotFound,
        "This way in has been used, it is older than half a minute, or it is for another browser.",
        "Open the site itself again.",
    )
}

/// The door can't answer now.
pub(crate) fn unavailable(error: &(dyn Error + 'static)) -> Refusal {
    tracing::error!(error = chain(error), "a question of the panel can't be answered");
    with_hint(
        Why::Unavailable,
        "The platform can't answer that now.",
        "Try again in a moment. If it lasts, tell {help}: the log says why.",
    )
}

/// Refusal after an attempt that failed.
pub(crate) fn failed(message: impl Into<String>) -> Refusal {
    with_hint(Why::Unavailable, message, "Try again in a moment, or ask {help}.")
}

/// No good state says who anybody is.
pub(crate) fn no_good_state() -> Refusal {
    with_hint(
        Why::Unavailable,
        "The platform's state is not good yet, so nobody can tell who you are.",
        "Tell {help}: `berth check` lists the mistakes.",
    )
}

/// The answer took too long.
pub(crate) fn too_slow() -> Refusal {
    with_hint(
        Why::Unavailable,
        "The platform took too long to answer.",
        "Try again in a moment. If it lasts, tell {help}.",
    )
}
