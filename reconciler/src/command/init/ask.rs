//! Five questions at a terminal, each with what is taken if nothing is typed. An answer is judged as the file in which it will stand,
//! so that whoever answers reads what a push would say.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use berth_schema::beginning::Beginning;
use berth_schema::name::{Fqdn, Invalid, UserName};
use berth_schema::text::counted;
use berth_schema::user::SshKey;
use berth_schema::{Parsed, Severity, State};
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Confirm, Input};

use super::keys;
use crate::draw::say;

/// Domain of a platform that somebody tries on their own machine.
const LOCAL: &str = "berth.localhost";
/// The kernel's name of this machine, a domain name on some.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// Name of an admin whose own name isn't known.
const ADMIN: &str = "admin";
/// Files in which `ssh-keygen` leaves a public key, the better kinds first.
const KEY_FILES: [&str; 3] = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];

/// Answer of whoever has nothing to say to a question that may stay open.
const NONE: &str = "none";

/// A refusal in one line, as a prompt shows it.
type Refusal = String;

/// Asks for what a new state says, beginning with what the command line gave. `None` when whoever was asked changed their mind.
pub(super) fn ask(given: Beginning) -> anyhow::Result<Option<Beginning>> {
    say(
        "A new state repo. Enter takes what stands in parentheses. Everything can be changed later, in the repo's files.",
    );
    let mut found = given;
    // A name below `localhost` is the one that needs no DNS.
    let named = fs::read_to_string(HOST_NAME).ok().and_then(|name| name.trim().parse::<Fqdn>().ok());
    let domain = named.map_or_else(|| LOCAL.to_owned(), |name| name.to_string());
    let typed = one("Domain, below which members have names", domain, |text| {
        judged(&Beginning { domain: Some(parsed(text)?), ..found.clone() })
    })?;
    found.domain = typed.parse().ok();

    let admin = found.admin.clone().map_or_else(own_name, |admin| admin.to_string());
    let typed = one("Name of the first admin", admin, |text| {
        judged(&Beginning { admin: Some(parsed::<UserName>(text)?), ..found.clone() })
    })?;
    found.admin = typed.parse().ok();

    if found.ssh_keys.is_empty() {
        let file = own_key().map_or_else(|| NONE.to_owned(), |path| path.display().to_string());
        let typed = one("Their SSH public key, or the file that has it", file, |text| {
            judged(&Beginning { ssh_keys: typed_keys(text)?, ..found.clone() })
        })?;
        found.ssh_keys = typed_keys(&typed).map_err(anyhow::Error::msg)?;
    }

    let addresses = if found.addresses.is_empty() { NONE.to_owned() } else { found.addresses.join(" ") };
    let typed = one("Addresses in DNS, where they aren't this machine's own", addresses, |text| {
        judged(&Beginning { addresses: words(text), ..found.clone() })
    })?;
    found.addresses = words(&typed);

    let network = found.users_network.clone().unwrap_or_else(|| usual_network(&found));
    let typed = one("Private network for the members' servers", network, |text| {
        judged(&Beginning { users_network: Some(text.to_owned()), ..found.clone() })
    })?;
    found.users_network = Some(typed);

    summary(&found);
    let theme = ColorfulTheme::default();
    let sure = Confirm::with_theme(&theme).with_prompt("Make it so?").default(true);
    Ok(sure.interact().context("cannot read an answer from the terminal")?.then_some(found))
}

/// Asks until an answer is good.
fn one(question: &str, usual: String, judge: impl Fn(&str) -> Result<(), Refusal>) -> anyhow::Result<String> {
    let theme = ColorfulTheme::default();
    let input = Input::<String>::with_theme(&theme).with_prompt(question).default(usual);
    let judge = |text: &String| judge(text.trim());
    let typed =
        input.validate_with(judge).interact_text().context("cannot read an answer from the terminal")?;
    Ok(typed.trim().to_owned())
}

/// Judges answers by the files that they make, and gives the first mistake in the words of its finding.
fn judged(answers: &Beginning) -> Result<(), Refusal> {
    match state_of(answers) {
        Ok(_) => Ok(()),
        Err(findings) => match findings.into_iter().find(|finding| finding.severity == Severity::Error) {
            Some(finding) => Err(told(&finding.message, finding.hint.as_deref().unwrap_or_default())),
            None => Ok(()),
        },
    }
}

fn state_of(answers: &Beginning) -> Result<State, Vec<berth_schema::Finding>> {
    let files = answers.files();
    let texts = files.iter().map(|(path, bytes)| Parsed::parse(path, &String::from_utf8_lossy(bytes)));
    State::assemble(&texts.collect::<Vec<_>>())
}

fn told(message: &str, hint: &str) -> Refusal {
    if hint.is_empty() { message.to_owned() } else { format!("{message}; {hint}") }
}

fn parsed<T: std::str::FromStr<Err = Invalid>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|Invalid { message, hint }| told(&message, &hint))
}

fn words(text: &str) -> Vec<String> {
    text.split([' ', ',']).filter(|word| !word.is_empty() && *word != NONE).map(str::to_owned).collect()
}

/// Keys of a file, or a key that was pasted; none of nothing.
fn typed_keys(text: &str) -> Result<Vec<SshKey>, Refusal> {
    let text = text.trim();
    if text.is_empty() || text == NONE {
        return Ok(Vec::new());
    }
    // A key has spaces in it, and `~` is the shell's.
    let path = match text.strip_prefix("~/") {
        Some(below) => home().map_or_else(|| PathBuf::from(text), |home| home.join(below)),
        None => PathBuf::from(text),
    };
    if path.exists() || text.starts_with(['/', '~', '.']) {
        return keys::of_file(&path).map_err(|error| format!("{error:#}"));
    }
    Ok(vec![parsed(text)?])
}

fn usual_network(answers: &Beginning) -> String {
    state_of(answers).map(|state| state.platform.networks.users.to_string()).unwrap_or_default()
}

/// Home of whoever sits at the terminal, not of root whom they became.
fn home() -> Option<PathBuf> {
    ["SUDO_HOME", "HOME"].iter().find_map(std::env::var_os).map(PathBuf::from)
}

fn own_name() -> String {
    let names = ["SUDO_USER", "USER"].iter().filter_map(|variable| std::env::var(variable).ok());
    let mut names = names.filter(|name| name != "root" && name.parse::<UserName>().is_ok());
    names.next().unwrap_or_else(|| ADMIN.to_owned())
}

fn own_key() -> Option<PathBuf> {
    let folder = home()?.join(".ssh");
    KEY_FILES.iter().map(|name| folder.join(name)).find(|path| keys::of_file(path).is_ok())
}

fn summary(answers: &Beginning) {
    let Beginning { domain, panel, admin, ssh_keys, addresses, users_network } = answers;
    let domain = domain.as_ref().map_or("", Fqdn::as_str);
    say("\nThe first commit will say:");
    say(&format!("  platform.toml     domain {domain}"));
    if let Some(panel) = panel {
        say(&format!("                    panel {panel}"));
    }
    let shown = if addresses.is_empty() { "this machine's own".to_owned() } else { addresses.join(", ") };
    say(&format!("                    addresses: {shown}"));
    say(&format!("                    servers in {}", users_network.as_deref().unwrap_or_default()));
    if let Some(admin) = admin {
        let has = match ssh_keys.len() {
            0 => "no key yet: nobody gets in over SSH, and `berth invite` needs a panel (docs/panel.md)"
                .to_owned(),
            keys => format!("with {}", counted(keys, "key")),
        };
        say(&format!("  {:<17} an admin, {has}", format!("users/{admin}.toml")));
    }
    if panel.is_none() {
        say("  No panel: --panel, or a table [panel] later, makes one (docs/panel.md).");
    }
    say("");
}
