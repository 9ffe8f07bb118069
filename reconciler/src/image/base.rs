//! The base of the server image: a reference that the engine can pull, or a Debian bootstrapped on this host.

use std::process::Stdio;

use bollard::Docker;
use bollard::body_full;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::{ImageError, Line, Recipe, Tail, label};
use crate::docker::EngineError;

/// The argument that asks for a bootstrapped base.
pub const BOOTSTRAP: &str = "bootstrap";

/// The label of a base image that carries its script's fingerprint.
const LABEL: &str = "berth.base";

/// Where the server image begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An image reference.
    Image(String),
    /// A Debian made on this host, where no image can be pulled.
    Bootstrap,
}

impl std::str::FromStr for Base {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == BOOTSTRAP { Self::Bootstrap } else { Self::Image(text.to_owned()) })
    }
}

impl Base {
    /// The reference to build on; a bootstrapped base is made if the engine has none from the same script.
    pub async fn reference(
        &self,
        docker: &Docker,
        recipe: &Recipe,
        line: Line<'_>,
    ) -> Result<String, ImageError> {
        match self {
            Self::Image(reference) => Ok(reference.clone()),
            Self::Bootstrap => bootstrap(docker, recipe, line).await,
        }
    }
}

async fn bootstrap(docker: &Docker, recipe: &Recipe, line: Line<'_>) -> Result<String, ImageError> {
    let fingerprint = recipe.fingerprint(&Default::default());
    let reference = format!("berth-base:{fingerprint}");
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
        message.map_err(|source| EngineError::Broken {
            act: format!("import image {reference}"),
            source: Box::new(source),
        })?;
    }
    Ok(())
}
