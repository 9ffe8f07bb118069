//! The child that draws one diagram: a text on standard input, its picture on standard output.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use selkie::diagrams::remove_directives;

use super::harmless;

/// Word on the command line by which the program becomes one.
pub const COMMAND: &str = "draw-diagram";
/// The longest text, in bytes.
pub(super) const LONGEST: usize = 16 << 10;
/// Exit code where the text is at fault: standard output says why.
pub(super) const REFUSED: i32 = 3;

/// The most memory, in bytes.
const MEMORY: u64 = 512 << 20;
/// The most time of a processor, in seconds.
pub(super) const SECONDS: u64 = 3;
/// The most open files.
const FILES: u64 = 16;

/// Draws.
pub fn run() -> ExitCode {
    let drawn = bind().map_err(|error| error.to_string()).and_then(|()| draw());
    let (said, code) = match drawn {
        Ok(svg) => (svg, ExitCode::SUCCESS),
        Err(why) => (why, ExitCode::from(u8::try_from(REFUSED).unwrap_or(u8::MAX))),
    };
    let mut output = io::stdout();
    match output.write_all(said.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Sets the bounds, for good.
fn bind() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let bounds = [
        (Resource::As, MEMORY, MEMORY),
        // At the first of the two the kernel says by its signal that it was the time; at both, it would only kill.
        (Resource::Cpu, SECONDS, SECONDS + 1),
        (Resource::Nofile, FILES, FILES),
        (Resource::Fsize, 0, 0),
        (Resource::Core, 0, 0),
    ];
    for (resource, current, most) in bounds {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(most) })?;
    }
    Ok(())
}

fn draw() -> Result<String, String> {
    let mut text = String::new();
    let most = LONGEST as u64 + 1;
    io::stdin().take(most).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > LONGEST {
        return Err("its text is too long.".to_owned());
    }
    // They choose colours, and styles that could load something.
    let text = remove_directives(&text);
    let svg = selkie::parse(&text).and_then(|diagram| selkie::render(&diagram));
    let svg = svg.map_err(|error| sentence(&error.to_string()))?;
    harmless::check(&svg)?;
    Ok(svg)
}

/// The words of the library in one line: a parser draws an arrow below the line of the text.
fn sentence(error: &str) -> String {
    let lines = error.lines().map(str::trim);
    let words: Vec<&str> =
        lines.filter(|line| !line.is_empty() && *line != "|" && !line.starts_with("| ^")).collect();
    let joined = words.join(" ");
    if joined.ends_with('.') { joined } else { joined + "." }
}
