//! Words of the lobby: the commands that people type, as clap reads them. There is no shell: quotes hold words together, and
//! nothing else means anything.

use clap::error::ErrorKind;
use clap::{Args, ColorChoice, Parser, Subcommand};

use berth_schema::door::no_files;
use jiff::Timestamp;

use super::answer::Trouble;

/// Longest line of help, in characters.
const WIDTH: usize = 90;

/// A line that was read.
#[derive(Debug)]
pub(super) enum Line {
    /// A command.
    Words(Words),
    /// Help, as it is printed.
    Help(String),
}

/// The platform's commands over SSH
#[derive(Debug, Parser)]
#[command(
    name = "ssh git@<host>",
    bin_name = "ssh git@<host>",
    no_binary_name = true,
    disable_version_flag = true,
    color = ColorChoice::Never,
    term_width = WIDTH,
    after_help = "Git works here, too: git clone ssh://git@<host>:<port>/state. Proposals are listed, shown, approved and rejected \
                  with `review list`, `review show`, `review approve` and `review reject`."
)]
pub(super) struct Words {
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    /// Print one JSON document, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List your servers and domains, and what is left of your quota
    Ls {
        /// List everybody's (admins)
        #[arg(long)]
        all: bool,
    },
    #[command(flatten)]
    Write(Write),
    /// Restart a server that runs. That isn't a commit
    Restart {
        /// The server's name
        server: String,
    },
    /// Restore a server's data from a backup, beside its own: into /restored in the server. That isn't a commit
    Restore {
        /// The server's name
        server: String,
        /// The time whose data is wanted, such as 2026-12-01T03:00Z. Default: the newest
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// One file or folder, such as /apps/shop. Default: everything
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
    },
    /// Show what a command would change: findings, plan and lines. Exit code 0: nothing, 2: something, 1: an error
    Plan {
        #[command(subcommand)]
        write: Write,
    },
    /// List the changes that touched what is yours, the newest first
    Log {
        /// A server or a domain. Default: all that is yours
        of: Option<String>,
        /// Number of changes
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        number: u16,
    },
    /// List your changes that went to the forge, and their pull requests
    Pulls,
    /// Take back a change that hasn't reached the forge yet
    Withdraw {
        /// The change's topic, as `pulls` shows it
        topic: String,
    },
}

/// Commands that change the state repo.
#[derive(Debug, Subcommand)]
pub(super) enum Write {
    /// Make a server
    New {
        /// The server's name
        name: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        manner: Manner,
    },
    /// Start a server
    Start(Named),
    /// Stop a server
    Stop(Named),
    /// Make a server's system anew from its image; /apps, /home and Docker's data stay
    Reset(Named),
    /// Change fields of a server: `set shop memory=1GiB members=bob,cyn`
    Set {
        /// The server's name
        server: String,
        /// `field=value`; a field without a value gets its default
        #[arg(required = true, value_name = "FIELD=VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        manner: Manner,
    },
    /// Remove a server; its data is kept for a while
    Rm(Named),
    /// List, add, change and remove domains
    #[command(subcommand)]
    Domain(Domain),
    /// Take back what a revision changed, by a new commit
    Undo {
        /// The revision, as `log` shows it
        revision: String,
        #[command(flatten)]
        manner: Manner,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Domain {
    /// List your domains
    Ls {
        /// List everybody's (admins)
        #[arg(long)]
        all: bool,
    },
    /// Lead a domain to a server
    Add {
        /// The domain's name
        fqdn: String,
        /// The server that answers
        #[arg(long, value_name = "NAME")]
        server: String,
        /// The port in the server. Default: 80
        #[arg(long, value_name = "PORT")]
        port: Option<String>,
        /// The source of the certificate: auto, internal or off
        #[arg(long, value_name = "SOURCE")]
        tls: Option<String>,
        /// The people who may open it: public, users or owner
        #[arg(long, value_name = "WHO")]
        access: Option<String>,
        #[command(flatten)]
        manner: Manner,
    },
    /// Change fields of a domain: `domain set shop.example.org port=8080`
    Set {
        /// The domain's name
        fqdn: String,
        /// `field=value`; a field without a value gets its default
        #[arg(required = true, value_name = "FIELD=VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        manner: Manner,
    },
    /// Remove a domain
    Rm {
        /// The domain's name
        fqdn: String,
        #[command(flatten)]
        manner: Manner,
    },
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The server's name
    pub(super) server: String,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// Fields of a new server. What isn't said is the platform's default.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// Memory: 1GiB
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<String>,
    /// Processors: 0.5
    #[arg(long, value_name = "NUMBER")]
    pub(super) cpus: Option<String>,
    /// Processes and threads
    #[arg(long, value_name = "NUMBER")]
    pub(super) pids: Option<String>,
    /// Disk: 20GiB
    #[arg(long, value_name = "SIZE")]
    pub(super) disk: Option<String>,
    /// The image that it is made of
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,
    /// The owner. Default: you
    #[arg(long, value_name = "USER")]
    pub(super) owner: Option<String>,
    /// The members, parted by commas
    #[arg(long, value_name = "USERS")]
    pub(super) members: Option<String>,
}

/// Manner in which a change is made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Args)]
pub(super) struct Manner {
    /// Propose the change, for somebody else to agree to
    #[arg(long)]
    pub(super) propose: bool,
    /// Confirm that something is lost by it
    #[arg(long)]
    pub(super) yes: bool,
    /// Confirm that you lose a way in, or your role, by it yourself
    #[arg(long)]
    pub(super) allow_lockout: bool,
    /// Don't wait until it is applied
    #[arg(long)]
    pub(super) no_wait: bool,
}

impl Write {
    /// The manner of the change; of a list there is none.
    pub(super) fn manner(&self) -> Manner {
        match self {
            Self::New { manner, .. } | Self::Set { manner, .. } | Self::Undo { manner, .. } => *manner,
            Self::Start(named) | Self::Stop(named) | Self::Reset(named) | Self::Rm(named) => named.manner,
            Self::Domain(Domain::Ls { .. }) => Manner::default(),
            Self::Domain(
                Domain::Add { manner, .. } | Domain::Set { manner, .. } | Domain::Rm { manner, .. },
            ) => *manner,
        }
    }
}

/// Returns whether a line asks for JSON, however wrong the rest of it is.
pub(super) fn is_json(line: &str) -> bool {
    let words = split(line).unwrap_or_else(|| line.split(' ').map(str::to_owned).collect());
    words.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// Splits a line into words at its spaces. Single and double quotes hold together what is between them, and nothing else means
/// anything. `None` where a quote has no end.
fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => {
                quote = Some(c);
                // Two quotes by themselves are an empty word.
                word.get_or_insert_default();
            }
            None if c == ' ' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Adds a flag to a line that was read: at its end, or behind its verb where a `--` is the end of its flags.
pub(super) fn with_flag(line: &str, flag: &str) -> String {
    if !split(line).is_some_and(|words| words.iter().any(|word| word == "--")) {
        return format!("{line} {flag}");
    }
    let mut words: Vec<&str> = line.split(' ').collect();
    let verb = words.iter().position(|word| !word.is_empty() && !word.starts_with('-')).unwrap_or_default();
    let verbs = if words.get(verb) == Some(&"domain") { 2 } else { 1 };
    words.insert((verb + verbs).min(words.len()), flag);
    words.join(" ")
}

/// Reads a line.
pub(super) fn read(line: &str) -> Result<Line, Trouble> {
    let Some(mut words) = split(line) else {
        return Err(Trouble::new("a quote in this command has no end", "put the other quote at its end"));
    };
    if words.first().is_some_and(|word| ["scp", "rsync"].contains(&word.as_str())) {
        return Err(no_files().into());
    }
    if words.first().is_some_and(|word| word == "help") {
        // Help takes the names of commands alone.
        words.retain(|word| word != "--json");
    }
    Words::try_parse_from(words).map(Line::Words).or_else(|error| {
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Ok(Line::Help(text))
            }
            _ => Err(mistake(&text)),
        }
    })
}

/// The mistake that clap found: its first line, and the rest as the next step.
fn mistake(text: &str) -> Trouble {
    let mut paragraphs = text.trim().splitn(2, "\n\n");
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let rest = paragraphs.next().unwrap_or_default();
    let rest = rest.replace("For more information, try '--help'.", "");
    // The usage of one command helps; that of all of them says nothing.
    let lines = rest
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && *line != "Usage: ssh git@<host> [OPTIONS] [COMMAND]");
    let hint: Vec<&str> = lines.map(|line| line.strip_prefix("tip: ").unwrap_or(line)).collect();
    let more = "`help` lists the commands";
    let hint = if hint.is_empty() { more.to_owned() } else { format!("{}; {more}", hint.join("; ")) };
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    Trouble::new(lines.join(" ").replace("subcommand", "command"), hint.replace("subcommand", "command"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        match read(line).unwrap() {
            Line::Words(words) => words,
            Line::Help(text) => panic!("{text}"),
        }
    }

    #[test]
    fn a_line_is_words_and_quotes_hold_them_together() {
        assert!(words("").verb.is_none());
        assert!(matches!(words("ls --all").verb, Some(Verb::Ls { all: true })));
        let Some(Verb::Write(Write::Set { server, values, manner })) =
            words("set shop memory=\"1 GiB\" 'members=bob cyn' --yes").verb
        else {
            panic!()
        };
        assert_eq!(
            (server.as_str(), values),
            ("shop", vec!["memory=1 GiB".to_owned(), "members=bob cyn".to_owned()])
        );
        assert_eq!(manner, Manner { yes: true, ..Manner::default() });
        let plan = words("plan domain add a.example --server shop --json");
        assert!(
            plan.json && matches!(plan.verb, Some(Verb::Plan { write: Write::Domain(Domain::Add { .. }) }))
        );
    }

    #[test]
    fn nothing_is_a_shell_s() {
        let Some(Verb::Write(Write::Start(named))) = words("start '$(id);`id`|&'").verb else { panic!() };
        assert_eq!(named.server, "$(id);`id`|&");
        let Some(Verb::Write(Write::Set { values, .. })) = words(r"set a\b '' #1 x=\\").verb else {
            panic!()
        };
        assert_eq!(values, ["", "#1", r"x=\\"], "nor do a backslash and `#` mean anything");
        assert!(read("start shop; id").is_err() && read("start 'shop").is_err());
    }

    #[test]
    fn a_flag_is_added_where_it_counts() {
        for (line, with) in [
            ("rm shop", "rm shop --yes"),
            ("rm -- shop", "rm --yes -- shop"),
            ("--json domain rm -- a.example", "--json domain rm --yes -- a.example"),
        ] {
            assert_eq!(with_flag(line, "--yes"), with);
            words(with);
        }
    }

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        let slip = |line: &str| {
            let trouble = read(line).unwrap_err();
            (trouble.message, trouble.hint.unwrap())
        };
        let (message, hint) = slip("strat shop");
        assert!(message.contains("'strat'") && hint.contains("'start'"), "{message} {hint}");
        let (message, hint) = slip("rm shop --yess");
        assert!(message.contains("'--yess'") && hint.contains("'--yes'"), "{message} {hint}");
        let (message, hint) = slip("domain add a.example");
        assert!(message.contains("--server <NAME>") && hint.contains("Usage: "), "{message} {hint}");
        assert!(slip("log -n 0").0.contains("-n"));
    }

    #[test]
    fn help_is_no_mistake() {
        for line in [
            "help",
            "help --json",
            "help ls --json",
            "--help",
            "-h",
            "help domain add",
            "rm --help",
            "domain",
            "plan",
        ] {
            let Line::Help(text) = read(line).unwrap() else { panic!("{line}") };
            assert!(text.contains("Usage:") && !text.contains('\u{1b}'), "{line}: {text}");
        }
        let Line::Help(text) = read("help").unwrap() else { panic!() };
        for verb in [
            "ls", "plan", "new", "start", "stop", "restart", "restore", "reset", "set", "rm", "domain",
            "log", "undo",
        ] {
            assert!(text.lines().any(|line| line.trim_start().starts_with(verb)), "{verb}: {text}");
        }
        assert!(is_json("ls --json") && is_json("'x --json") && !is_json("ls -- --json") && !is_json("ls"));
    }
}
