//! Writes the generated parts of the package into a folder, for `make deb`.

use std::path::Path;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: berth-packaging <folder>")?;
    berth_packaging::write(Path::new(&folder))
}
