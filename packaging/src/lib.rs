//! Parts of the Debian package that follow from the programs, so that no package says anything else than they do: man pages and completions
//! from the command lines, and the kernel's settings from what `berth engine setup` asks for.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use berth::setup::keys::{Measure, QUOTAS, Quota};
use clap_complete::Shell;

/// Writes everything into `folder`, which need not be there: `man/`, the completions, `sysctl.conf` and `modules.conf`.
pub fn write(folder: &Path) -> Result<()> {
    let man = folder.join("man");
    fs::create_dir_all(&man).with_context(|| format!("cannot make {}", man.display()))?;
    for line in lines() {
        clap_mangen::generate_to(line, &man).context("cannot write the man pages")?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let written = clap_complete::generate_to(shell, &mut berth::command::line(), "berth", folder);
        written.with_context(|| format!("cannot write the completions for {shell}"))?;
    }
    for (name, text) in [("sysctl.conf", sysctl()), ("modules.conf", modules())] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The command lines of the programs, but for `berth-runtime`, whose own is runc's.
pub fn lines() -> [clap::Command; 4] {
    [
        berth::command::line(),
        berth_gate::arguments::line(),
        berth_ssh_router::line(),
        berth_web::arguments::line(),
    ]
}

/// Settings that can be said beforehand: those whose stock value no host exceeds. The others, which grow with a host's memory, a file could
/// lower as well as raise; `berth engine setup` raises them where they are too low.
fn packaged() -> impl Iterator<Item = &'static Quota> {
    QUOTAS.iter().filter(|quota| quota.measure == Measure::Fixed)
}

fn sysctl() -> String {
    let head = "# Room in the kernel for many servers: docs/operations.md, \"The engine\". `berth engine setup` raises the settings that\n\
                # grow with a host's memory, and writes /etc/sysctl.d/60-berth.conf, which comes after this file.\n";
    let mut text = head.to_owned();
    for quota in packaged() {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{} = {}", quota.sysctl, quota.least);
    }
    text
}

fn modules() -> String {
    let modules = packaged().filter_map(|quota| quota.module);
    modules.fold("# So that their settings are there to be made.\n".to_owned(), |text, module| {
        text + module + "\n"
    })
}
