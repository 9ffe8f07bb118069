//! Events that a channel carries in order: data, its end, the end of the program, and the close.

use bytes::Bytes;
use russh::Sig;

use crate::words;

/// Longest text of an exit signal, in bytes.
pub(crate) const WORDS_MAX: usize = 1 << 10;

/// Anything that a channel carries in order.
#[derive(Debug)]
pub(crate) enum Event {
    Data(Bytes),
    /// Data of a kind; 1 is stderr.
    Extended(u32, Bytes),
    Eof,
    ExitStatus(u32),
    ExitSignal(Box<ExitSignal>),
    Close,
}

impl Event {
    /// Bytes of data or text that the event carries.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Data(data) | Self::Extended(_, data) => data.len(),
            Self::ExitSignal(exit) => exit.message.len() + exit.language.len(),
            Self::Eof | Self::ExitStatus(_) | Self::Close => 0,
        }
    }
}

/// Signal that ended a program, with the words that came with it.
#[derive(Debug)]
pub(crate) struct ExitSignal {
    pub(crate) signal: Sig,
    pub(crate) core_dumped: bool,
    pub(crate) message: String,
    pub(crate) language: String,
}

impl ExitSignal {
    /// Cuts long texts: they are for a person to read, and a packet has room for far more.
    pub(crate) fn new(signal: Sig, core_dumped: bool, message: &str, language: &str) -> Self {
        let cut = |words: &str| words::cut(words, WORDS_MAX).to_owned();
        let signal = match signal {
            Sig::Custom(name) => Sig::Custom(cut(&name)),
            known => known,
        };
        Self { signal, core_dumped, message: cut(message), language: cut(language) }
    }
}

/// Control events that have come; each comes once.
#[derive(Debug, Default)]
pub(crate) struct Said {
    eof: bool,
    exit: bool,
    close: bool,
}

impl Said {
    /// Notes an event and returns whether it is new.
    pub(crate) fn hears(&mut self, event: &Event) -> bool {
        let said = match event {
            Event::Data(_) | Event::Extended(..) => return true,
            Event::Eof => &mut self.eof,
            Event::ExitStatus(_) | Event::ExitSignal(_) => &mut self.exit,
            Event::Close => &mut self.close,
        };
        !std::mem::replace(said, true)
    }
}
