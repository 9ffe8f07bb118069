//! The platform's chains on the host: the content of those is replaced at once, and everything else stays as it is.
//!
//! Confirmed chains are kept as the kernel lists them: for the start of the machine, when the plane's holder puts them in
//! force before anything else runs, and to tell later whether they still are.

use std::path::Path;

use berth_fault::chain;
use berth_link::iptables::{self, Outcome};
use berth_link::{HOST_RULES, KeptRules, Lead, Plane};
use berth_plan::configuration::{ConfigurationSpec, Expectation};
use berth_plan::render::host::{Jump, chains, jumps, removal};
use berth_schema::name::Prefix;

use super::error::{After, ConfigureError, StepError};
use super::probe;
use crate::host::{PlaneError, on_plane};
use crate::observe::{Kept, MARK, kept_rules, own_chains, saved_rules};

/// Puts the chains in force, tries what they must let through, and keeps them. When anything goes wrong after the first
/// of them was changed, what was confirmed last is put in force again.
pub(super) async fn configure(
    spec: &ConfigurationSpec,
    probes: &[Expectation],
    platform: &Prefix,
) -> Result<(), StepError> {
    let text = marked(&spec.text, platform, &spec.digest);
    let before = match kept_rules(platform)? {
        Kept::Rules(kept) => Some(kept.rules),
        // Chains of a time when nothing was kept are better than none.
        Kept::Nothing | Kept::Garbled => own_chains(&saved_rules().await?, platform),
    };
    let tried = text.clone();
    if let Err(said) = on_plane("try the host's rules", move || iptables::test(&tried)).await? {
        return Err(ConfigureError::Refused { said }.into());
    }
    let failure = match put_in_force(&text, probes, platform).await {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let after = match go_back(before.as_deref(), platform).await {
        Ok(after) => after,
        Err(error) => After::NotRestored(chain(&error)),
    };
    Err(match failure {
        Failure::NotLoaded(said) => ConfigureError::NotLoaded { said, after }.into(),
        Failure::NotConfirmed(failures) => ConfigureError::NotConfirmed { failures, after }.into(),
        Failure::Unknown(error) => {
            if let After::NotRestored(why) = after {
                tracing::warn!(why, "the host's last rules could not be put in force again");
            }
            error
        }
    })
}

/// New chains that are not kept.
enum Failure {
    /// They could not be loaded.
    NotLoaded(String),
    /// They were, and something that must work didn't.
    NotConfirmed(Vec<String>),
    /// Nobody knows how far it came.
    Unknown(StepError),
}

impl<E: Into<StepError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Unknown(error.into())
    }
}

async fn put_in_force(text: &str, probes: &[Expectation], platform: &Prefix) -> Result<(), Failure> {
    // Without a plane nothing comes from it, and nothing can be tried; its holder may be waiting for just these rules.
    let probes = if has_plane(platform).await? { probes } else { &[] };
    let worked = probe::working(platform.as_str(), probes).await;
    make(text, platform).await?.map_err(Failure::NotLoaded)?;
    // As the kernel has them before they are tried: what somebody changes meanwhile must not be kept.
    let loaded = own_chains(&saved_rules().await?, platform).unwrap_or_default();
    let failures = probe::failures(platform.as_str(), probes, &worked).await;
    if !failures.is_empty() {
        return Err(Failure::NotConfirmed(failures));
    }
    let kept = KeptRules { leads: leads(platform), rules: loaded };
    let kept = kept.write(Path::new(HOST_RULES), platform.as_str());
    Ok(kept.map_err(|error| PlaneError::new("keep the host's rules for the start of the machine", error))?)
}

async fn has_plane(platform: &Prefix) -> Result<bool, PlaneError> {
    let prefix = platform.to_string();
    let act = format!("look for the user plane of {platform}");
    on_plane(act, move || Plane::registered(&prefix).map(|plane| plane.is_some())).await
}

/// Puts in force what was before.
async fn go_back(before: Option<&str>, platform: &Prefix) -> Result<After, PlaneError> {
    let (done, after) = match before {
        Some(before) => (make(before, platform).await?, After::Restored),
        None => (unmake(platform).await?, After::NothingBefore),
    };
    Ok(match done {
        Ok(()) => after,
        Err(said) => After::NotRestored(said),
    })
}

/// Makes the chains what a text says, and whatever comes from the uplink go through them; or says what is in the way.
async fn make(text: &str, platform: &Prefix) -> Result<Outcome, PlaneError> {
    let (text, leads) = (text.to_owned(), leads(platform));
    on_plane("load the host's rules", move || iptables::put_in_force(&text, &leads)).await
}

fn leads(platform: &Prefix) -> Vec<Lead> {
    jumps(platform)
        .map(|Jump { from, rule }| Lead { from: from.iter().map(|from| (*from).to_owned()).collect(), rule })
        .into()
}

/// Takes the jumps out and the chains away, for good.
pub(super) async fn withdraw(platform: &Prefix) -> Result<(), StepError> {
    KeptRules::remove(Path::new(HOST_RULES), platform.as_str())
        .map_err(|error| PlaneError::new("forget the host's rules", error))?;
    match unmake(platform).await? {
        Ok(()) => Ok(()),
        Err(said) => Err(ConfigureError::NotLoaded { said, after: After::Restored }.into()),
    }
}

async fn unmake(platform: &Prefix) -> Result<Outcome, PlaneError> {
    let (removal, leads) = (removal(platform), leads(platform));
    on_plane("take away the host's rules", move || iptables::withdraw(&removal, &leads)).await
}

/// The text with the digest of what it was made from, which tells later that it is in force.
fn marked(text: &str, platform: &Prefix, digest: &str) -> String {
    let [input, _] = chains(platform);
    let mark = format!("-A {input} -m comment --comment \"{MARK}{digest}\"\nCOMMIT");
    match text.rsplit_once("COMMIT") {
        Some((rules, rest)) => format!("{rules}{mark}{rest}"),
        None => text.to_owned(),
    }
}
