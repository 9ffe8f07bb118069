//! Links to the user plane, for containers that run without one.

use berth_fault::chain;
use berth_link::{Inside, Link, Plane};
use berth_plan::spec::LinkSpec;
use berth_plan::step::Connection;
use futures_util::{StreamExt as _, stream};

use super::error::{LinkError, StepError};
use super::writer::{Made, Writer};
use crate::api::first_process;
use crate::host::on_plane;

/// Inspections at a time.
const WIDTH: usize = 8;
/// Number of failures that the error tells of.
const TOLD: usize = 3;

/// Returns the link that a specification asks for.
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
        let found: Vec<Result<Option<(Link, u32)>, StepError>> = stream::iter(links)
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

/// Makes links, each for a process, and returns the failures.
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
    match on_plane("link containers to the user plane", work).await? {
        Some(failures) => Ok(failures),
        None => Err(LinkError::NoPlane(prefix.to_owned()).into()),
    }
}
