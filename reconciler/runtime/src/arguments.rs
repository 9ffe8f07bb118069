//! The call of runc: its verb, and for `create` the bundle, the pid file and the container's id.
//!
//! Understands runc's own flag forms (`--flag value`, `--flag=value`, one dash or two) just far enough to find those.
//! A flag unknown here counts as one without a value; runc stays the judge of whether the arguments are right.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use berth_host::Way;

use crate::account::HOLD;

/// Global flags of runc that are followed by a value.
const GLOBAL_WITH_VALUE: &[&str] = &["log", "log-format", "root", "criu", "rootless"];

/// The verb that runc doesn't have: the hook that this program puts into a bundle calls it.
pub(crate) const LINK: &str = "link";

/// Flags of `runc exec` that are followed by a value.
const EXEC_WITH_VALUE: &[&str] = &[
    "additional-gids",
    "apparmor",
    "cap",
    "c",
    "cgroup",
    "console-socket",
    "cwd",
    "env",
    "e",
    "g",
    "pid-file",
    "pidfd-socket",
    "preserve-fds",
    "process",
    "process-label",
    "p",
    "user",
    "u",
];

/// Flags of `runc create` that are followed by a value.
const CREATE_WITH_VALUE: &[&str] =
    &["bundle", "b", "console-socket", "pidfd-socket", "pid-file", "preserve-fds"];

/// One call of this program.
#[derive(Debug)]
pub(crate) struct Invocation {
    arguments: Vec<OsString>,
    /// Index of the verb in `arguments`; their length when there is none.
    verb: usize,
    log: Option<PathBuf>,
    log_format: LogFormat,
    root: Option<OsString>,
    /// The way in which servers are told apart, by this program's name or by the one argument of our own, before all of runc's.
    pub(crate) way: Way,
}

/// The verb of a person, and of `berth engine check`.
pub(crate) const PROBE: &str = "probe";

/// The verb of the process that holds the mounts.
pub(crate) const TRY: &str = "try";

/// Form of a probe's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Words,
    /// For programs.
    Json,
}

/// Format of runc's log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `key=value` pairs.
    Text,
    /// One JSON object a line, which the engine reads.
    Json,
}

/// The parts of `create` that this program needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CreateRequest {
    /// The directory that holds `config.json`.
    pub(crate) bundle: PathBuf,
    /// File to which runc writes the process id of the container's first process.
    pub(crate) pid_file: Option<PathBuf>,
    /// The container's id.
    pub(crate) id: OsString,
}

impl Invocation {
    /// Reads the program's name and the arguments that follow it.
    pub(crate) fn parse(program: &OsStr, mut arguments: Vec<OsString>) -> Self {
        let first = arguments.first().and_then(|first| first.to_str());
        let way = Way::of_call(&program.to_string_lossy(), first);
        if first.is_some() && first == way.argument() {
            arguments.remove(0);
        }
        let mut root = None;
        let mut log = None;
        let mut log_format = LogFormat::Text;
        let verb = flags(&arguments, GLOBAL_WITH_VALUE, |name, value| match name {
            b"root" => root = Some(value.to_owned()),
            b"log" => log = Some(PathBuf::from(value)),
            b"log-format" if value == "json" => log_format = LogFormat::Json,
            b"log-format" => log_format = LogFormat::Text,
            _ => {}
        });
        Self { arguments, verb, log, log_format, root, way }
    }

    /// All of runc's arguments, as they came.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// The flags before the verb, such as runc's state directory and its log.
    pub(crate) fn global(&self) -> &[OsString] {
        self.arguments.get(..self.verb).unwrap_or_default()
    }

    /// The log file and its format, when the caller named one.
    pub(crate) fn log(&self) -> Option<(&PathBuf, LogFormat)> {
        self.log.as_ref().map(|path| (path, self.log_format))
    }

    /// Returns whether this is the call of the hook.
    pub(crate) fn is_link(&self) -> bool {
        self.arguments.get(self.verb..).is_some_and(|rest| rest == [LINK])
    }

    /// The user whose namespace this call is to make, if it is the one that makes it.
    pub(crate) fn hold(&self) -> Option<&str> {
        match self.arguments.as_slice() {
            [verb, maker] if verb == HOLD => maker.to_str(),
            _ => None,
        }
    }

    /// The folder that this call is to probe, and the form of the answer.
    pub(crate) fn probe(&self) -> Option<(&OsStr, Form)> {
        match self.arguments.as_slice() {
            [verb, folder] if verb == PROBE => Some((folder, Form::Words)),
            [verb, flag, folder] if verb == PROBE && flag == "--json" => Some((folder, Form::Json)),
            _ => None,
        }
    }

    /// The folder in which this call is to try the ways, if it is the part of a probe that does.
    pub(crate) fn tries(&self) -> Option<&OsStr> {
        match self.arguments.as_slice() {
            [verb, folder] if verb == TRY => Some(folder),
            _ => None,
        }
    }

    /// The folder in which runc keeps its containers, if the caller named one.
    pub(crate) fn root(&self) -> Option<&OsString> {
        self.root.as_ref()
    }

    /// The container that a process is to be put into, if the verb is `exec`.
    pub(crate) fn exec(&self) -> Option<&OsString> {
        self.container_of("exec", EXEC_WITH_VALUE)
    }

    /// The container that is to be removed, if the verb is `delete`.
    pub(crate) fn delete(&self) -> Option<&OsString> {
        self.container_of("delete", &[])
    }

    fn container_of(&self, wanted: &str, with_value: &[&str]) -> Option<&OsString> {
        let (verb, rest) = self.arguments.get(self.verb..)?.split_first()?;
        if verb != wanted {
            return None;
        }
        rest.get(flags(rest, with_value, |_, _| {}))
    }

    /// The flags that name the log, for another call that writes to the same one.
    pub(crate) fn log_flags(&self) -> Vec<OsString> {
        let Some((path, format)) = self.log() else { return Vec::new() };
        let format = match format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        vec!["--log".into(), path.into(), "--log-format".into(), format.into()]
    }

    /// The request, if the verb is `create` and names a container. Help output has no container and is runc's business.
    pub(crate) fn create(&self) -> Option<CreateRequest> {
        let (verb, rest) = self.arguments.get(self.verb..)?.split_first()?;
        if verb != "create" {
            return None;
        }
        let mut bundle = PathBuf::from(".");
        let mut pid_file = None;
        let mut help = false;
        let end = flags(rest, CREATE_WITH_VALUE, |name, value| match name {
            b"bundle" | b"b" => bundle = PathBuf::from(value),
            b"pid-file" => pid_file = Some(PathBuf::from(value)),
            b"help" | b"h" => help = true,
            _ => {}
        });
        let id = rest.get(end)?.clone();
        (!help).then_some(CreateRequest { bundle, pid_file, id })
    }
}

/// Walks the leading flags, passes each to `found`, and returns the index of the first argument that is not a flag.
fn flags(arguments: &[OsString], with_value: &[&str], mut found: impl FnMut(&[u8], &OsStr)) -> usize {
    let mut index = 0;
    while let Some(argument) = arguments.get(index) {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            return index + 1;
        }
        let Some(flag) = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")) else {
            return index;
        };
        if flag.is_empty() {
            return index;
        }
        index += 1;
        if let Some(equals) = flag.iter().position(|byte| *byte == b'=') {
            let (name, value) = flag.split_at(equals);
            found(name, OsStr::from_bytes(value.strip_prefix(b"=").unwrap_or(value)));
        } else if with_value.iter().any(|name| name.as_bytes() == flag) {
            if let Some(value) = arguments.get(index) {
                found(flag, value);
            }
            index += 1;
        } else {
            found(flag, OsStr::new(""));
        }
    }
    arguments.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Invocation {
        Invocation::parse(OsStr::new("berth-runtime"), line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn finds_the_verb_behind_global_flags_as_the_engine_writes_them() {
        let invocation = parse(
            "--root /run/docker/runtime-runc/moby --log /b/log.json --log-format json --systemd-cgroup \
             create --bundle /b --pid-file /b/init.pid --console-socket /tmp/pty.sock abc",
        );
        let request = invocation.create().expect("a create request");
        assert_eq!(request.bundle, PathBuf::from("/b"));
        assert_eq!(request.pid_file, Some(PathBuf::from("/b/init.pid")));
        assert_eq!(request.id, "abc");
        assert_eq!(invocation.log(), Some((&PathBuf::from("/b/log.json"), LogFormat::Json)));
        assert_eq!(invocation.global().len(), 7);
    }

    #[test]
    fn understands_the_other_forms_of_a_flag() {
        for line in [
            "--root=/r create --bundle=/b abc",
            "-root /r create -b /b abc",
            "--root=/r --debug create -b=/b --no-pivot abc",
            "create --preserve-fds 2 --no-new-keyring --bundle /b -- abc",
        ] {
            let request = parse(line).create().expect(line);
            assert_eq!((request.bundle, request.id), (PathBuf::from("/b"), "abc".into()), "{line}");
        }
    }

    #[test]
    fn the_bundle_is_the_current_directory_unless_named() {
        let request = parse("create abc").create().expect("a create request");
        assert_eq!(request.bundle, PathBuf::from("."));
        assert_eq!(request.pid_file, None);
    }

    #[test]
    fn leaves_every_other_verb_and_every_question_to_runc() {
        for line in [
            "start abc",
            "--root /r kill abc 37",
            "--root create state abc",
            "--log create --root /r delete --force create",
            "exec --process /p create create",
            "create --help",
            "create --help abc",
            "create",
            "create --bundle",
            "--version",
            "",
        ] {
            assert_eq!(parse(line).create(), None, "{line}");
        }
    }

    #[test]
    fn the_hook_s_verb_stands_alone() {
        for line in ["link", "--log /l --log-format json link", "--log=link link"] {
            assert!(parse(line).is_link(), "{line}");
            assert_eq!(parse(line).create(), None, "{line}");
        }
        for line in ["", "--log link", "link abc", "create link", "start link"] {
            assert!(!parse(line).is_link(), "{line}");
        }
    }

    #[test]
    fn our_own_argument_is_not_runc_s() {
        for (own, way) in [("--shared-account", Way::Shared), ("--own-ranges", Way::Own), ("", Way::Account)]
        {
            let invocation = parse(&format!("{own} --root /r create --bundle /b abc"));
            assert_eq!(invocation.way, way);
            assert_eq!(invocation.arguments().first(), Some(&"--root".into()));
            assert_eq!(invocation.root(), Some(&"/r".into()));
        }
        // Anywhere else, or beside another, it is runc's to refuse.
        assert_eq!(parse("--root /r --shared-account create abc").way, Way::Account);
        let both = parse("--own-ranges --shared-account create abc");
        assert_eq!(both.arguments().first(), Some(&"--shared-account".into()));
    }

    #[test]
    fn the_container_of_an_exec_or_a_delete_is_found_as_the_engine_writes_it() {
        let exec = parse(
            "--root /run/docker/runtime-runc/moby --log /b/log.json --log-format json exec --process /tmp/p \
             --console-socket /tmp/pty.sock --detach --pid-file /b/1.pid abc",
        );
        assert_eq!(exec.exec(), Some(&"abc".into()));
        assert_eq!(parse("exec -u 0 -e A=b -t abc sh -c ls").exec(), Some(&"abc".into()));
        assert_eq!(parse("--root /r delete --force abc").delete(), Some(&"abc".into()));
        for line in ["start abc", "create exec", "exec", "delete", "exec --process /p"] {
            assert_eq!((parse(line).exec(), parse(line).delete()), (None, None), "{line}");
        }
    }

    #[test]
    fn a_probe_names_a_folder() {
        assert_eq!(parse("probe /f").probe(), Some((OsStr::new("/f"), Form::Words)));
        assert_eq!(parse("probe --json /f").probe(), Some((OsStr::new("/f"), Form::Json)));
        assert_eq!(parse("try /f").tries(), Some(OsStr::new("/f")));
        for line in ["probe", "probe /f /g", "create probe", "--root probe /f"] {
            assert_eq!((parse(line).probe(), parse(line).tries()), (None, None), "{line}");
        }
    }

    #[test]
    fn the_verb_that_holds_a_namespace_names_a_user() {
        assert_eq!(parse("hold 2147483649").hold(), Some("2147483649"));
        for line in ["hold", "hold 1 2", "--root hold 1", "create hold"] {
            assert_eq!(parse(line).hold(), None, "{line}");
        }
    }

    #[test]
    fn the_flags_of_the_log_can_be_given_to_another_call() {
        let flags = parse("--root /r --log-format=json --log=/l create abc").log_flags();
        assert_eq!(flags, ["--log", "/l", "--log-format", "json"]);
        assert_eq!(parse("create abc").log_flags(), [""; 0]);
    }

    #[test]
    fn the_log_format_is_text_unless_said_otherwise() {
        assert_eq!(parse("--log /l start a").log(), Some((&PathBuf::from("/l"), LogFormat::Text)));
        assert_eq!(parse("--log-format=json --log=/l start a").log().map(|(_, f)| f), Some(LogFormat::Json));
        assert_eq!(parse("start a").log(), None);
    }
}
