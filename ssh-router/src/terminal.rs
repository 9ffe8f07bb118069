//! Modes of a terminal, as a person's client asks for them.

use russh::Pty;

/// Drops the modes that the library doesn't know and keeps the order of the others. Its decoder turns an unknown mode into
/// the end of the list, which would cut off every mode after it.
pub(crate) fn known_modes(modes: &[(Pty, u32)]) -> Vec<(Pty, u32)> {
    modes.iter().copied().filter(|(mode, _)| *mode != Pty::TTY_OP_END).collect()
}
