//! A program of Berth's own, put in the volume of its container, and taken up there by a supervisor.
//!
//! The build that was confirmed last lies beside the new one until that serves, and goes back where it was if it doesn't. So a
//! container that dies meanwhile starts again with one of the two, and the next pass finishes what was cut off.

use std::fs;
use std::io;
use std::path::Path;

use berth_fault::chain;
use berth_plan::program::PROGRAMS;
use berth_plan::takeover::ProgramSpec;

use super::error::{After, ProgramError, StepError};
use super::probe;
use super::writer::Writer;
use crate::host::{HostError, digest_of};
use crate::volume_file::{NEXT, Owner, VolumeFile};

/// Programs of a container with a program of Berth's own (templates/*/).
const CHECK: &str = "/usr/lib/berth/check";
const LOAD: &str = "/usr/lib/berth/load";
/// Kind of thing that these two are about.
const PROGRAM: &str = "program";
/// Longer files are none of Berth's programs.
const PROGRAM_MAX: u64 = 1 << 30;

impl Writer {
    /// Puts a program in its volume for the container's next start.
    pub(super) async fn place_program(&self, spec: &ProgramSpec) -> Result<(), StepError> {
        let content = content(spec)?;
        let (folder, _) = self.system_volume(&spec.volume).await?;
        let files = Files::of(spec, Path::new(&folder));
        let placed = files.program.write_next(&content, Owner::Program).and_then(|()| {
            files.program.keep_next()?;
            files.confirm(spec)
        });
        Ok(placed.map_err(HostError::on_file("write", files.program.path()))?)
    }

    /// Has a program take over from the one that runs in its container. Should it not serve, the one before goes on.
    pub(super) async fn replace_program(&self, spec: &ProgramSpec) -> Result<(), StepError> {
        let content = content(spec)?;
        let (folder, platform) = self.system_volume(&spec.volume).await?;
        let container = self.own(&spec.container, &platform).await?;
        let files = Files::of(spec, Path::new(&folder));
        let failed = |act| HostError::on_file(act, files.program.path());
        files.program.write_next(&content, Owner::Program).map_err(failed("write the new version of"))?;
        let next = format!("{PROGRAMS}/{}{NEXT}", spec.program.file());
        let check = self.run(&container, &[CHECK, PROGRAM, &next]).await;
        if !matches!(&check, Ok(ran) if ran.code == 0) {
            files.program.drop_next().map_err(failed("drop the new version of"))?;
            return Err(ProgramError::Refused { program: spec.program.file(), said: check?.said }.into());
        }
        let worked = probe::working(&platform, &spec.probes).await;
        files.keep_confirmed().map_err(failed("keep the last version of"))?;
        files.program.keep_next().map_err(failed("keep"))?;
        let said = match self.take_over(spec, &container).await {
            Ok(()) => probe::failures(&platform, &spec.probes, &worked).await.join("; "),
            Err(said) => said,
        };
        if said.is_empty() {
            return Ok(files.confirm(spec).map_err(failed("confirm"))?);
        }
        let after = match files.program.restore_last() {
            Ok(true) => match self.take_over(spec, &container).await {
                Ok(()) => After::Restored,
                Err(why) => After::NotRestored(why),
            },
            Ok(false) => After::NothingBefore,
            Err(error) => After::NotRestored(error.to_string()),
        };
        Err(ProgramError::NotInForce { program: spec.program.file(), said, after }.into())
    }

    /// Has the supervisor start what lies in the program's place, and waits until that serves. The error is what was said.
    async fn take_over(&self, spec: &ProgramSpec, container: &str) -> Result<(), String> {
        match self.run(container, &[LOAD, PROGRAM, spec.program.file()]).await {
            Ok(ran) if ran.code == 0 => Ok(()),
            Ok(ran) => Err(ran.said),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// The bytes that the plan is about, and no others.
fn content(spec: &ProgramSpec) -> Result<Vec<u8>, StepError> {
    let path = Path::new(&spec.source);
    let content = fs::read(path).map_err(HostError::on_file("read", path))?;
    match digest_of(&content) == spec.digest {
        true => Ok(content),
        false => Err(ProgramError::Other { path: spec.source.clone() }.into()),
    }
}

/// A program in its volume, and the mark that says which build was confirmed.
struct Files {
    program: VolumeFile,
    mark: VolumeFile,
}

impl Files {
    fn of(spec: &ProgramSpec, folder: &Path) -> Self {
        let file = |name| VolumeFile::new(folder, name);
        Self { program: file(spec.program.file()), mark: file(spec.program.mark()) }
    }

    /// Keeps the program in its place beside the one that comes. If the mark says that this very one was confirmed, a version that is kept
    /// already is an older one: whatever confirmed this one was cut off before it could drop that.
    fn keep_confirmed(&self) -> io::Result<()> {
        if let (Some(program), Some(mark)) = (self.program.read_at_most(PROGRAM_MAX)?, self.mark.read()?)
            && digest_of(&program).as_bytes() == mark.trim_ascii_end()
        {
            self.program.drop_last()?;
        }
        self.program.keep_last()
    }

    /// Writes down that the program in its place is this build, for good.
    fn confirm(&self, spec: &ProgramSpec) -> io::Result<()> {
        self.mark.write_next(spec.text().as_bytes(), Owner::Host)?;
        self.mark.keep_next()?;
        self.program.drop_last()
    }
}

#[cfg(test)]
mod tests {
    use berth_plan::program::Program;

    use super::*;

    #[test]
    fn what_comes_back_is_the_build_that_the_mark_names() {
        let folder = tempfile::tempdir().unwrap();
        let spec = |content: &[u8]| ProgramSpec {
            program: Program::Gate,
            container: String::new(),
            volume: String::new(),
            source: String::new(),
            digest: digest_of(content),
            probes: Vec::new(),
        };
        let files = Files::of(&spec(b"one"), folder.path());
        let put = |content: &[u8]| {
            files.program.write_next(content, Owner::Program).unwrap();
            files.keep_confirmed().unwrap();
            files.program.keep_next().unwrap();
        };
        let restored = || {
            assert!(files.program.restore_last().unwrap());
            files.program.read().unwrap().unwrap()
        };
        put(b"one");
        files.confirm(&spec(b"one")).unwrap();
        // The second is confirmed, and what did that is cut off there and then.
        put(b"two");
        files.mark.write_next(spec(b"two").text().as_bytes(), Owner::Host).unwrap();
        files.mark.keep_next().unwrap();
        put(b"three");
        assert_eq!(restored(), b"two");
        // One that was never confirmed doesn't take the place of the one that was.
        put(b"four");
        put(b"five");
        assert_eq!(restored(), b"two");
    }
}
