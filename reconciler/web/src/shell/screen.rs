//! The end of a shell's output, and whoever looks at it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Output that is kept for whoever comes back, in bytes.
const REPLAY: usize = 64 << 10;
/// Pieces of output that wait for a browser.
const WAITING: usize = 16;

/// The end of a shell's output.
#[derive(Debug)]
pub(crate) struct Screen {
    begun: Instant,
    replay: VecDeque<u8>,
    /// Bytes of output ever.
    written: u64,
    looks: Option<Looks>,
    /// Moment since which nobody looks.
    alone: Option<Instant>,
    end: Option<(String, Instant)>,
    code: Option<u32>,
}

/// Somebody who looks.
#[derive(Debug)]
struct Looks {
    to: mpsc::Sender<View>,
    taken: CancellationToken,
}

/// News of a shell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Output.
    Output(Bytes),
    /// The end, in a sentence.
    End(String),
}

/// A look at a shell, from one moment on.
#[derive(Debug)]
pub(crate) struct Sight {
    /// Output that was missed.
    pub(crate) missed: Bytes,
    /// Set if output before it is lost, so that the screen begins anew.
    pub(crate) is_anew: bool,
    /// News from then on.
    pub(crate) news: mpsc::Receiver<View>,
    /// Cancelled when somebody else looks, or the same person from another page.
    pub(crate) taken: CancellationToken,
}

impl Default for Screen {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            replay: VecDeque::new(),
            written: 0,
            looks: None,
            alone: Some(now),
            end: None,
            code: None,
        }
    }
}

impl Screen {
    /// Adds output, and returns whoever is to be shown it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Option<mpsc::Sender<View>> {
        self.written += bytes.len() as u64;
        self.replay.extend(bytes);
        let excess = self.replay.len().saturating_sub(REPLAY);
        self.replay.drain(..excess);
        self.looks.as_ref().map(|looks| looks.to.clone())
    }

    /// Begins a look of somebody who has seen this many bytes, in place of any other.
    pub(crate) fn look(&mut self, seen: u64) -> Sight {
        let (to, news) = mpsc::channel(WAITING);
        let taken = CancellationToken::new();
        if let Some(before) = self.looks.replace(Looks { to: to.clone(), taken: taken.clone() }) {
            before.taken.cancel();
        }
        self.alone = None;
        let first = self.written - self.replay.len() as u64;
        let is_anew = seen < first || seen > self.written;
        let from = if is_anew { first } else { seen };
        let mut missed: Vec<u8> =
            self.replay.iter().skip(usize::try_from(from - first).unwrap_or(0)).copied().collect();
        if is_anew && first > 0 {
            // Not from the middle of a line, or of an escape sequence.
            let line = missed.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            missed.drain(..line);
        }
        if let Some((words, _)) = &self.end {
            // There is room for one.
            let _ = to.try_send(View::End(words.clone()));
        }
        Sight { missed: missed.into(), is_anew, news, taken }
    }

    /// Bytes of output ever.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Ends a look, unless another has taken its place.
    pub(crate) fn look_away(&mut self, taken: &CancellationToken) {
        if !taken.is_cancelled() {
            self.looks = None;
            self.alone = Some(Instant::now());
        }
    }

    pub(super) fn exit(&mut self, code: u32) {
        self.code = Some(code);
    }

    /// Notes the end, and returns whoever is to hear of it.
    pub(super) fn end(&mut self, words: String) -> Option<(mpsc::Sender<View>, String)> {
        self.end = Some((words.clone(), Instant::now()));
        self.looks.as_ref().map(|looks| (looks.to.clone(), words))
    }

    /// The sentence of the end, once there is one, and whether all went well.
    pub(crate) fn ended(&self) -> Option<(&str, bool)> {
        self.end.as_ref().map(|(words, _)| (words.as_str(), self.code == Some(0)))
    }

    /// Everything that is kept of the output.
    pub(crate) fn text(&self) -> Vec<u8> {
        self.replay.iter().copied().collect()
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    pub(super) fn is_alone_since(&self, now: Instant, time: Duration) -> bool {
        self.alone.is_some_and(|since| now.saturating_duration_since(since) >= time)
    }

    pub(super) fn is_over(&self, now: Instant, kept: Duration) -> bool {
        self.end.as_ref().is_some_and(|(_, at)| now.saturating_duration_since(*at) >= kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_back_sees_what_they_missed() {
        let mut screen = Screen::default();
        assert!(screen.write(b"one\r\n").is_none());
        let first = screen.look(0);
        assert_eq!((&first.missed[..], first.is_anew), (&b"one\r\n"[..], false));
        assert!(screen.write(b"two\r\n").is_some());
        screen.look_away(&first.taken);
        assert!(screen.write(b"three").is_none());
        let second = screen.look(5);
        assert_eq!((&second.missed[..], second.is_anew), (&b"two\r\nthree"[..], false));
        // Somebody who claims to have seen more than there was has seen another shell.
        let third = screen.look(99);
        assert_eq!((&third.missed[..], third.is_anew), (&b"one\r\ntwo\r\nthree"[..], true));
        assert!(second.taken.is_cancelled() && !third.taken.is_cancelled());
        screen.look_away(&second.taken);
        assert!(screen.write(b"!").is_some(), "the other still looks");
    }

    #[test]
    fn only_the_end_is_kept_from_a_whole_line_on() {
        let mut screen = Screen::default();
        screen.write(b"\x1b[31mfirst\n");
        screen.write(&vec![b'x'; REPLAY - 6]);
        screen.write(b"\nlast\n");
        let sight = screen.look(0);
        assert_eq!((&sight.missed[..], sight.is_anew), (&b"last\n"[..], true));
        assert_eq!(screen.text().len(), REPLAY);
        let late = screen.look(screen.written() - 2);
        assert_eq!((&late.missed[..], late.is_anew), (&b"t\n"[..], false));
    }

    #[test]
    fn the_end_is_told_to_whoever_comes_after_it() {
        let mut screen = Screen::default();
        screen.exit(0);
        assert!(screen.end("Done.".to_owned()).is_none());
        assert_eq!(screen.ended(), Some(("Done.", true)));
        assert_eq!(screen.look(0).news.try_recv(), Ok(View::End("Done.".to_owned())));
        let now = Instant::now();
        assert!(!screen.is_over(now, Duration::from_secs(60)));
        assert!(screen.is_over(now + Duration::from_secs(61), Duration::from_secs(60)));
        assert!(!screen.is_alone_since(now + Duration::from_secs(600), Duration::from_secs(1)), "one looks");
    }
}
