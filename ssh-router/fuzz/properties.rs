// Properties of the router's own edges, which hold for any input. The usual tests run them on generated input
// (`tests/edge`), a fuzzer on what it finds (`fuzz_targets`). Each panics where it doesn't hold.

use berth_schema::door::{Command, FRAME_MAX, Head, Said};
use berth_schema::route::Routes;
use berth_schema::text::steers;
use russh::Pty;

use crate::offer::{self, Offer};
use crate::terminal;

/// A command line is refused, is one of the few spellings of its command, or is the lobby's as it is.
pub fn command(line: &[u8]) {
    let Ok(command) = Command::parse(line) else { return };
    let line = std::str::from_utf8(line).expect("a command is text");
    let git = |service: &str| {
        ["git-", "git "].iter().any(|git| {
            ["state", "state.git", "/state", "/state.git"].iter().any(|path| {
                line == format!("{git}{service} {path}") || line == format!("{git}{service} '{path}'")
            })
        })
    };
    let spelled = match &command {
        Command::ReceivePack => git("receive-pack"),
        Command::UploadPack => git("upload-pack"),
        Command::ReviewList => line == "review list",
        Command::ReviewListWhole => line == "review list --all",
        Command::ReviewShow(topic) => line == format!("review show {topic}"),
        Command::ReviewShowWhole(topic) => line == format!("review show {topic} --all"),
        Command::ReviewApprove { topic, at, knows } => {
            let more = if *knows { " --allow-lockout" } else { "" };
            line == format!("review approve {topic} {at}{more}")
        }
        Command::ReviewReject(topic) => line == format!("review reject {topic}"),
        // As it is, but never what is git's or a review's to refuse, and nothing that steers a terminal.
        Command::Lobby(read) => {
            let theirs = ["git-", "git ", "review "].iter().any(|begin| line.starts_with(begin));
            read.as_str() == line && !theirs && line != "review" && !line.chars().any(steers)
        }
    };
    assert!(spelled, "{line:?} is taken for {command:?}");
}

/// A routes file is refused with a finding, or says the same again when it is rendered.
pub fn routes(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    match Routes::parse("routes.toml", text) {
        Ok(routes) => {
            let rendered = routes.render().expect("what was read can be written");
            assert_eq!(Routes::parse("routes.toml", &rendered).as_ref(), Ok(&routes));
        }
        Err(findings) => assert!(!findings.is_empty(), "refused without a word"),
    }
}

/// A door's answer makes the router take no more than a frame at a time.
pub fn frames(mut said: &[u8]) {
    while let Some((bytes, rest)) = said.split_first_chunk::<{ Head::BYTES }>() {
        let Ok(head) = Head::read(*bytes) else { return };
        assert_eq!(head.bytes(), *bytes);
        let length = match Said::try_from(head) {
            Ok(Said::Output(length) | Said::Error(length)) => length,
            Ok(Said::Exit) => 4,
            Err(_) => return,
        };
        assert!(length <= FRAME_MAX && length == head.length);
        said = rest.get(length..).unwrap_or_default();
    }
}

/// The reading of a client's beginning changes neither with the bytes after it nor with the pieces in which it comes.
pub fn beginning(said: &[u8], at: usize) {
    let (whole, part) = (offer::read(said), offer::read(&said[..at.min(said.len())]));
    assert!(part == Offer::Unfinished || part == whole, "{part:?}, then {whole:?}");
}

/// The modes that are known stay, in their order.
pub fn modes(opcodes: &[u8]) {
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    // As the library's decoder does it.
    let decoded: Vec<(Pty, u32)> = opcodes
        .iter()
        .enumerate()
        .map(|(at, code)| (Pty::from_u8(*code).unwrap_or(Pty::TTY_OP_END), number(at)))
        .collect();
    let kept = terminal::known_modes(&decoded);
    let expected = opcodes.iter().enumerate().filter(|(_, code)| Pty::from_u8(**code).is_some());
    let expected: Vec<(u8, u32)> = expected.map(|(at, code)| (*code, number(at))).collect();
    assert_eq!(kept.iter().map(|(mode, value)| (*mode as u8, *value)).collect::<Vec<_>>(), expected);
}
