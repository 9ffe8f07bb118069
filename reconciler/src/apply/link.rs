//! Links to the user plane, for containers that run without one.

use berth_link::{Inside, Link, Plane};
use berth_plan::spec::LinkSpec;
use berth_plan::step::Connection;
use futures_util::{StreamExt as _, stream};

use super::{Made, StepError, Writer};
use crate::docker::{EngineError, first_process};
use crate::outcome::chain;

/// Inspections at a time.
const WIDTH: usize = 8;
/// As many failures are told of.
const TOLD: usize = 3;

/// Links that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no plane to link to.
    #[error("the user plane of {0} is not there: its holder has ended")]
    NoPlane(String),
    /// Some links.
    #[error("{failed} of {all} links could not be made: {}", first.join("; "))]
    Some {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// What is known of the first of them.
        first: Vec<String>,
    },
}

/// The link that a specification asks for.
pub(super) fn link(spec: &LinkSpec) -> Link {
    let inside = match spec.destination.prefix_len() {
        0 => Inside::Only,
        length => Inside::Besides { subnet: (spec.destination.network(), length) },
    };
    Link { port: spec.port.clone(), address: spec.address, gateway: spec.gateway, inside }
}

impl Writer {
    pub(super) async fn connect(
        &self,
        plane: &str,
        links: &[Connection],
        made: &Made,
    ) -> Result<(), StepError> {
        let found: Vec<Result<Option<(Link, u32)>, EngineError>> = stream::iter(links)
            .map(|one| async move {
                let target = made.id(&one.container)?;
                let pid = first_process(&self.docker, target.id, target.name).await?;
                Ok(pid.map(|pid| (link(&one.link), pid)))
            })
            .buffered(WIDTH)
            .collect()
            .await;
        let mut wanted = Vec::new();
        let mut failures = Vec::new();
        for (one, found) in links.iter().zip(found) {
            match found {
                Ok(Some(link)) => wanted.push(link),
                // It has ended meanwhile; its runtime links it when it starts.
                Ok(None) => {}
                Err(error) => failures.push(format!("{}: {}", one.container.name, chain(&error))),
            }
        }
        failures.extend(make(plane, wanted).await?);
        if failures.is_empty() {
            return Ok(());
        }
        let failed = failures.len();
        failures.truncate(TOLD);
        Err(LinkError::Some { failed, all: links.len(), first: failures }.into())
    }
}

/// Makes links, each for a process, and says what failed.
async fn make(prefix: &str, wanted: Vec<(Link, u32)>) -> Result<Vec<String>, StepError> {
    let name = prefix.to_owned();
    let work = move || {
        let Some(plane) = Plane::registered(&name)? else { return Ok(None) };
        let results = plane.connect_many(&wanted)?;
        let failures = results.iter().zip(&wanted).filter_map(|(result, (link, _))| {
            result.as_ref().err().map(|error| format!("{}: {}", link.address, chain(error)))
        });
        Ok(Some(failures.collect()))
    };
    let act = || "link containers to the user plane".to_owned();
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(Some(failures))) => Ok(failures),
        Ok(Ok(None)) => Err(LinkError::NoPlane(prefix.to_owned()).into()),
        Ok(Err(source)) => Err(EngineError::Plane { act: act(), source }.into()),
        Err(error) => {
            let source = berth_link::Error::new("work on a thread", std::io::Error::other(error));
            Err(EngineError::Plane { act: act(), source }.into())
        }
    }
}
