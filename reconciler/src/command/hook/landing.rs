//! The hook `proc-receive`: git leaves it to us to move `main`, and hears whether that went well. Both speak in lines that begin with
//! their length (gitprotocol-common(5), githooks(5)).

use std::io::{Read, Write};

use anyhow::{Context as _, bail};
use berth_judge::Update;
use berth_judge::hook::land;
use berth_repo::StateRepo;

/// Longest line, with its length.
const LONGEST: usize = 65520;

/// Answers git until it has heard of every ref that it leaves to us.
pub(super) fn run(from: &mut impl Read, to: &mut impl Write) -> anyhow::Result<()> {
    let heard = "cannot understand what git tells the hook proc-receive";
    let greeting = lines(from).context(heard)?;
    if !greeting.first().is_some_and(|line| line.starts_with("version=1")) {
        bail!("this git speaks another language to the hook proc-receive than Berth does");
    }
    // Nothing more is wanted: push options are heard by the hooks before and after.
    say(to, "version=1")?;
    end(to)?;
    let updates = lines(from).context(heard)?;
    for line in updates {
        let update = Update::parse(&line)?;
        let reference = &update.reference;
        match land(&StateRepo::open_from_env()?, &update)? {
            Ok(()) => say(to, &format!("ok {reference}"))?,
            Err(why) => say(to, &format!("ng {reference} {why}"))?,
        }
    }
    end(to)?;
    Ok(())
}

/// Reads lines up to the next end of a part.
fn lines(from: &mut impl Read) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut digits = [0; 4];
        from.read_exact(&mut digits)?;
        let length = usize::from_str_radix(std::str::from_utf8(&digits)?, 16)?;
        match length {
            0 => return Ok(lines),
            4..=LONGEST => {}
            _ => bail!("a line of {length} bytes"),
        }
        let mut line = vec![0; length - digits.len()];
        from.read_exact(&mut line)?;
        lines.push(String::from_utf8(line)?.trim_end_matches('\n').to_owned());
    }
}

fn say(to: &mut impl Write, line: &str) -> std::io::Result<()> {
    writeln!(to, "{:04x}{line}", line.len() + 5)
}

fn end(to: &mut impl Write) -> std::io::Result<()> {
    to.write_all(b"0000")?;
    to.flush()
}
