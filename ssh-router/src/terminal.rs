//! The modes of a terminal, as a person's client asks for them.

use russh::Pty;

/// The modes that have a meaning, in their order. Unknown ones come out of the library's decoder as the end of the list,
/// which would cut off what follows.
pub(crate) fn known_modes(modes: &[(Pty, u32)]) -> Vec<(Pty, u32)> {
    modes.iter().copied().filter(|(mode, _)| *mode != Pty::TTY_OP_END).collect()
}
