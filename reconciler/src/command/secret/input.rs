//! A secret's way in: all of standard input, or a line typed on a terminal that doesn't show it.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use berth_schema::secret::{Form, LONGEST, SecretName};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Keys of a terminal that passes on every byte.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: [u8; 2] = [8, 127];
const KILL: u8 = 21;

/// A value, whose bytes are wiped when it goes.
type Value = Zeroizing<Vec<u8>>;

/// Reads the value of a secret of this form.
pub(super) fn read(name: &SecretName, form: Option<Form>) -> anyhow::Result<Value> {
    if !io::stdin().is_terminal() {
        return all(next).context("cannot read the secret from standard input");
    }
    if form == Some(Form::PrivateKey) {
        bail!(
            "cannot read a private key from a terminal, since it has several lines: `berth secret set {name} < file`"
        );
    }
    write!(io::stderr(), "Value of {name} (it is not shown): ")?;
    let silence = Silence::begin().context("cannot turn off the terminal's echo")?;
    let line = line(next).context("cannot read the secret from the terminal")?;
    drop(silence);
    writeln!(io::stderr())?;
    line.context("nothing is stored")
}

/// The next byte of standard input, past the buffer of std, which nobody wipes.
fn next() -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match rustix::io::read(io::stdin(), &mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Everything up to the end, or a little more than any secret has.
fn all(mut next: impl FnMut() -> io::Result<Option<u8>>) -> io::Result<Value> {
    let mut value = empty();
    while value.len() <= LONGEST {
        match next()? {
            Some(byte) => value.push(byte),
            None => break,
        }
    }
    Ok(value)
}

/// A line as it is typed, with its corrections; `None` when whoever types changed their mind.
fn line(mut next: impl FnMut() -> io::Result<Option<u8>>) -> io::Result<Option<Value>> {
    let mut value = empty();
    loop {
        match next()? {
            None | Some(INTERRUPT) => return Ok(None),
            Some(b'\n' | b'\r') => return Ok(Some(value)),
            Some(END) => return Ok((!value.is_empty()).then_some(value)),
            Some(KILL) => value.clear(),
            Some(key) if BACKSPACE.contains(&key) => {
                // A character may be of several bytes.
                while value.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            Some(byte) if value.len() <= LONGEST => value.push(byte),
            Some(_) => {}
        }
    }
}

/// Room for all of it: a buffer that grows leaves copies behind.
fn empty() -> Value {
    Zeroizing::new(Vec::with_capacity(LONGEST + 1))
}

/// A terminal that shows nothing and passes on every key, until this value goes.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        // Ctrl-C comes as a byte, so that the terminal is never left silent.
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // What else was pasted is thrown away, so that no shell takes it for commands.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Option<Vec<u8>> {
        let mut keys = keys.iter().copied();
        line(|| Ok(keys.next())).unwrap().map(|value| value.to_vec())
    }

    #[test]
    fn a_line_is_what_was_typed_in_the_end() {
        assert_eq!(typed(b"s3cret\nrest").unwrap(), b"s3cret");
        assert_eq!(typed(b"s3cret\r").unwrap(), b"s3cret");
        assert_eq!(typed(b"s3cretx\x7f\n").unwrap(), b"s3cret");
        assert_eq!(typed("sö\x7f3\n".as_bytes()).unwrap(), b"s3");
        assert_eq!(typed(b"\x7f\x7fs\n").unwrap(), b"s");
        assert_eq!(typed(b"wrong\x15s3cret\n").unwrap(), b"s3cret");
        assert_eq!(typed(b"s3cret\x04").unwrap(), b"s3cret");
        for changed_mind in [&b"s3cret\x03"[..], b"\x04", b"s3cret"] {
            assert_eq!(typed(changed_mind), None);
        }
    }

    #[test]
    fn standard_input_is_read_whole_and_no_further_than_it_may() {
        let mut bytes = b"two\nlines\n".iter().copied();
        assert_eq!(all(|| Ok(bytes.next())).unwrap().as_slice(), b"two\nlines\n");
        assert_eq!(all(|| Ok(Some(b'a'))).unwrap().len(), LONGEST + 1);
    }
}
