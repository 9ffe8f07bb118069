//! Takeovers: the build of a program that is put in a container, byte for byte, and what must hold when it has taken over.

use berth_schema::platform::Platform;
use serde::Serialize;

use crate::configuration::{self, Expectation};
use crate::digest::digest;
use crate::program::{self, Program};

/// A program to be put in a container's volume, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgramSpec {
    /// The program.
    pub program: Program,
    /// The container that runs it.
    pub container: String,
    /// The volume that it lies in.
    pub volume: String,
    /// The file on this host that is copied.
    pub source: String,
    /// The BLAKE3 digest that the file must have.
    pub digest: String,
    /// Conditions that must hold once it has taken over, seen from outside.
    pub probes: Vec<Expectation>,
}

impl ProgramSpec {
    /// A build of this program, for the platform's container.
    pub(crate) fn new(program: Program, path: &str, build: &str, platform: &Platform) -> Self {
        let container = program.service().container(&platform.prefix);
        Self {
            program,
            volume: program::volume(&container),
            container,
            source: path.to_owned(),
            digest: build.to_owned(),
            probes: match program {
                Program::Router => configuration::greets(platform),
                // Its supervisor says that it serves. Whom it lets in depends on people who have signed in.
                Program::Gate => Vec::new(),
            },
        }
    }

    /// The text of its mark.
    pub fn text(&self) -> String {
        format!("{}\n", self.digest)
    }

    /// The digest of its mark, which tells whether it is in force.
    pub(crate) fn marked(&self) -> String {
        digest(self.text().as_bytes())
    }
}
