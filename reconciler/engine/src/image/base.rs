//! The base of the server image: a reference that the engine can pull, or a Debian bootstrapped on this host.

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use berth_fault::chain;
use bollard::Docker;
use bollard::body_full;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::error::ImageError;
use super::label::label;
use super::output::{Line, Tail};
use super::recipe::Recipe;
use crate::api::{Connection, READ_DEADLINE, bounded};
use crate::error::EngineError;

/// The image that a server begins with where the engine can get it.
const PREFERRED: &str = "ubuntu:noble";

/// The label of a base image that carries its script's fingerprint.
const LABEL: &str = "berth.base";

/// Time that the engine has to pull the preferred base before a bootstrap begins.
const PULL_DEADLINE: Duration = Duration::from_secs(600);

/// The beginning of the server image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Ubuntu Noble where the engine has it or can pull it, else the bootstrapped Debian.
    Auto,
    /// An image reference.
    Image(String),
    /// A Debian made on this host.
    Bootstrap,
}

impl FromStr for Base {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "bootstrap" => Self::Bootstrap,
            reference => Self::Image(reference.to_owned()),
        })
    }
}

impl Base {
    /// Returns the reference to build on. It is made or pulled where it has to be, and kept where it is there already.
    pub async fn reference(
        &self,
        connection: &Connection,
        recipe: &Recipe,
        line: Line<'_>,
    ) -> Result<String, ImageError> {
        let docker = &connection.docker();
        match self {
            Self::Image(reference) => Ok(reference.clone()),
            Self::Bootstrap => bootstrap(docker, recipe, line).await,
            Self::Auto => {
                if exists(docker, PREFERRED).await? {
                    return Ok(PREFERRED.to_owned());
                }
                // A host that could not pull once keeps what it made: a base that changed with the weather would make
                // the server image anew each time.
                if exists(docker, &bootstrapped(recipe)).await? {
                    return bootstrap(docker, recipe, line).await;
                }
                match pull(docker, PREFERRED, line).await {
                    Ok(()) => Ok(PREFERRED.to_owned()),
                    Err(error) => {
                        line(&format!("{}; a Debian is bootstrapped instead", chain(&error)));
                        bootstrap(docker, recipe, line).await
                    }
                }
            }
        }
    }
}

async fn exists(docker: &Docker, image: &str) -> Result<bool, EngineError> {
    match bounded(&format!("inspect image {image}"), READ_DEADLINE, docker.inspect_image(image)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn pull(docker: &Docker, reference: &str, line: Line<'_>) -> Result<(), EngineError> {
    let (name, tag) = reference.split_once(':').unwrap_or((reference, "latest"));
    let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
    let pulled = async {
        let mut output = docker.create_image(Some(options), None, None);
        while let Some(message) = output.next().await {
            line(&message?.status.unwrap_or_default());
        }
        Ok(())
    };
    bounded(&format!("pull image {reference}"), PULL_DEADLINE, pulled).await
}

/// Returns the variables that the script reads from its environment.
fn arguments() -> HashMap<String, String> {
    ["SUITE", "MIRROR", "VARIANT"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect()
}

fn bootstrapped(recipe: &Recipe) -> String {
    format!("berth-base:{}", recipe.fingerprint(&arguments()))
}

async fn bootstrap(docker: &Docker, recipe: &Recipe, line: Line<'_>) -> Result<String, ImageError> {
    let fingerprint = recipe.fingerprint(&arguments());
    let reference = bootstrapped(recipe);
    if label(docker, &reference, LABEL).await?.as_deref() == Some(fingerprint.as_str()) {
        return Ok(reference);
    }
    let script = recipe.file("build.sh").unwrap_or_default().to_vec();
    let mut child = Command::new("sh")
        .args(["-c", &String::from_utf8_lossy(&script)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(ImageError::Bootstrap)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let talk = async {
        let mut tail = Tail::default();
        if let Some(stderr) = stderr {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(text)) = lines.next_line().await {
                tail.push(&text);
                line(&text);
            }
        }
        tail
    };
    // Read whole before the engine gets it: it would take the archive of a failed bootstrap for a good one.
    let archive = async {
        let Some(mut stdout) = stdout else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).await.map(|_| bytes)
    };
    let (tail, archive) = tokio::join!(talk, archive);
    let status = child.wait().await.map_err(ImageError::Bootstrap)?;
    if !status.success() {
        return Err(ImageError::BootstrapFailed { status, tail: tail.text() });
    }
    import(docker, &reference, &fingerprint, archive.map_err(ImageError::Bootstrap)?).await?;
    Ok(reference)
}

async fn import(
    docker: &Docker,
    reference: &str,
    fingerprint: &str,
    archive: Vec<u8>,
) -> Result<(), ImageError> {
    let (repo, tag) = reference.split_once(':').unwrap_or((reference, "latest"));
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(repo)
        .tag(tag)
        .changes(vec![format!("LABEL {LABEL}={fingerprint}"), "CMD [\"/bin/bash\"]".to_owned()])
        .build();
    let mut output = docker.create_image(Some(options), Some(body_full(archive.into())), None);
    while let Some(message) = output.next().await {
        message.map_err(|source| EngineError::from_call(&format!("import image {reference}"), source))?;
    }
    Ok(())
}
