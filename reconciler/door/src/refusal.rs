//! Refusals: words for somebody whose command doesn't run, or ran no further. The causes stay in the log. `{help}` stands for whom the
//! person asks; the session fills it in.

use std::time::Duration;

use berth_judge::hook::InstallError;
use berth_judge::hook::view::ViewHookError;

/// A command that doesn't run, or ran no further. Its words are told to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the state knows no such user; ask {help} to add `users/<you>.toml`, with your key in it")]
    Stranger { help: String },
    #[error(
        "the platform's state is not good yet, so nobody can tell who you are; tell {{help}}, since `berth check` lists the mistakes"
    )]
    NoGoodState,
    #[error(
        "cannot read the state repo; try again in a moment; if it lasts, tell {{help}}, since the log says why"
    )]
    Repo(#[from] berth_repo::Error),
    #[error("cannot judge pushes; try again in a moment; if it lasts, tell {{help}}, since the log says why")]
    Hooks(#[from] InstallError),
    #[error(
        "{running} of your commands are running, which is all that one may have at once; try again when one has ended"
    )]
    Yours { running: usize },
    #[error("too many commands are running; try again in a moment")]
    Busy,
    #[error(
        "cannot make ready what you may see; try again in a moment; if it lasts, tell {{help}}, since the log says why"
    )]
    View(#[from] Box<ViewHookError>),
    #[error(
        "another of your commands has made ready what you may see for {} s; try again when it is done", after.as_secs()
    )]
    ViewBusy { after: Duration },
    #[error(
        "cannot run the command; try again in a moment; if it lasts, tell {{help}}, since the log says why"
    )]
    Start {
        #[source]
        source: std::io::Error,
    },
    #[error("nothing moved for {} s, so the command was ended; begin again", after.as_secs())]
    Idle { after: Duration },
    #[error(
        "the command took longer than {} s, so it was ended; fetch or push less at once, or ask {{help}}", after.as_secs()
    )]
    TooLong { after: Duration },
    #[error("the platform's git door is closing; try again in a moment")]
    Ending,
    #[error(
        "something broke here; try again, and if it breaks again, tell {{help}} the time, since the log says why"
    )]
    Broken,
}
