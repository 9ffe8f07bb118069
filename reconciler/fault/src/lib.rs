//! Errors, as a person reads them.
//!
//! Owns what every crate says of an error besides its words: its chain of causes in one line, its kind, which decides the
//! heading above it and the exit code, and the hint that it carries. Depends on nothing, so that everybody can use it.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

use std::error::Error;

/// Kind of an error: where it comes from, and so who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whoever called asked for something that can't be.
    User,
    /// This host's settings, or what they lead to, are in the way.
    Configuration,
    /// The Docker engine said no, or said nothing.
    Engine,
    /// The work was ended before it was done.
    Interrupted,
    /// Berth made a mistake.
    Internal,
}

/// An error that knows its kind, and a hint where there is one.
pub trait Fault: Error {
    /// Returns the kind.
    fn kind(&self) -> Kind;

    /// Returns how to mend it, where that is known.
    fn hint(&self) -> Option<&'static str> {
        None
    }
}

impl Kind {
    /// Returns the words above an error of this kind.
    pub fn heading(self) -> &'static str {
        match self {
            Self::User => "error",
            Self::Configuration => "configuration error",
            Self::Engine => "engine error",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal error",
        }
    }

    /// Returns the exit code of a command that ends by an error of this kind: 1, or the shell's own for what was interrupted.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::User | Self::Configuration | Self::Engine | Self::Internal => 1,
            Self::Interrupted => 130,
        }
    }
}

/// Error and its causes in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let inner = Layer("no space", None);
        let middle = Layer("cannot write a: no space", Some(Box::new(inner)));
        let outer = Layer("cannot save", Some(Box::new(middle)));
        assert_eq!(chain(&outer), "cannot save: cannot write a: no space");
    }
}
