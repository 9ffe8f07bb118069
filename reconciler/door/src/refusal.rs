//! Refusals: words for somebody whose command doesn't run, or ran no further. The causes stay in the log.

use std::time::Duration;

use berth_judge::hook::InstallError;

/// A command that doesn't run, or ran no further. Its words are told to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the state knows no such user; ask {help} to add `users/<you>.toml`, with your key in it")]
    Stranger { help: String },
    #[error(
        "the platform's state is not good yet, so nobody can tell who you are; whoever runs it has to mend that"
    )]
    NoGoodState,
    #[error("cannot read the state repo; whoever runs the platform finds the reason in its log")]
    Repo(#[from] berth_repo::Error),
    #[error("cannot judge pushes; whoever runs the platform finds the reason in its log")]
    Hooks(#[from] InstallError),
    #[error(
        "{running} of your commands are running, which is all that one may have at once; try again when one has ended"
    )]
    Yours { running: usize },
    #[error("too many commands are running; try again in a moment")]
    Busy,
    #[error("cannot run the command; whoever runs the platform finds the reason in its log")]
    Start {
        #[source]
        source: std::io::Error,
    },
    #[error("nothing moved for {} s, so the command was ended", after.as_secs())]
    Idle { after: Duration },
    #[error("the command took longer than {} s, so it was ended", after.as_secs())]
    TooLong { after: Duration },
    #[error("the platform's git door is closing; try again in a moment")]
    Ending,
    #[error("something broke here; whoever runs the platform finds it in its log")]
    Broken,
}
