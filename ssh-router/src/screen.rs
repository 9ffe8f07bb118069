//! Screens of the login `git`: a client that was given a terminal shows bytes as they come, and sends keys as they are typed.

/// Screen in front of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    /// None that the client told of: it makes lines itself, or is a program.
    None,
    /// A terminal, in which a line feed alone stays in its column.
    Terminal,
}

/// Byte that Ctrl-C sends.
const INTERRUPT: u8 = 0x03;

impl Screen {
    /// Returns the bytes as the screen shows them: in a terminal, lines end with CR LF.
    pub(crate) fn bytes(self, data: Vec<u8>) -> Vec<u8> {
        if self == Self::None || !data.contains(&b'\n') {
            return data;
        }
        let mut lines = Vec::with_capacity(data.len() + data.len() / 16);
        for byte in data {
            // One more carriage return before a line feed does nothing, so it doesn't matter what stood before.
            if byte == b'\n' {
                lines.push(b'\r');
            }
            lines.push(byte);
        }
        lines
    }

    /// Returns the text as the screen shows it.
    pub(crate) fn text(self, text: String) -> String {
        match self {
            Self::None => text,
            Self::Terminal => text.replace('\n', "\r\n"),
        }
    }

    /// Returns whether these keys interrupt what runs.
    pub(crate) fn interrupts(self, keys: &[u8]) -> bool {
        self == Self::Terminal && keys.contains(&INTERRUPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_line_ends_and_interrupts_and_a_program_neither() {
        let (none, terminal) = (Screen::None, Screen::Terminal);
        assert_eq!(terminal.bytes(b"a\nb\n\nc".to_vec()), b"a\r\nb\r\n\r\nc");
        assert_eq!(terminal.text("a\nb".to_owned()), "a\r\nb");
        assert_eq!(none.bytes(b"a\nb".to_vec()), b"a\nb");
        assert_eq!(none.text("a\n".to_owned()), "a\n");
        assert!(terminal.interrupts(b"ls\x03") && !terminal.interrupts(b"ls") && !none.interrupts(b"\x03"));
    }
}
