//! Makes cargo build the panel anew when one of its templates changes: embedding them doesn't say so by itself. Embeds the
//! terminal's scripts too, if `scripts/install.sh` has brought them; without them, pages show how to log in by SSH.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// Files of the packages in `terminal/package.json`, under the names that pages ask for.
const FILES: [(&str, &str); 3] = [
    ("xterm.js", "xterm/lib/xterm.mjs"),
    ("xterm.css", "xterm/css/xterm.css"),
    ("addon-fit.js", "addon-fit/lib/addon-fit.mjs"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../../templates/web");
    println!("cargo:rerun-if-changed=terminal");
    let packages = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("terminal/node_modules/@xterm");
    let found: Vec<(&str, _)> = FILES.map(|(name, path)| (name, packages.join(path))).into();
    let mut list = String::from("&[\n");
    // All of them or none: one by itself makes no terminal.
    if found.iter().all(|(_, path)| path.is_file()) {
        for (name, path) in &found {
            list.push_str(&format!("    ({name:?}, include_bytes!({path:?})),\n"));
        }
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("terminal.rs"), list)?;
    Ok(())
}
