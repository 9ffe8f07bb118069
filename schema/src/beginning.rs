//! The first state of a platform: made of a few answers, or of a folder of files that is fitted to them.
//!
//! Owns which file says what was answered. It refuses no answer by itself: its files are read like all others, so that a wrong answer
//! is a finding in the usual words.

use std::collections::BTreeMap;

use toml_edit::{Array, DocumentMut, Item, TomlError, Value};

use crate::edit::document::{put, put_list};
use crate::edit::list::Layout;
use crate::edit::{self, EditError, UserEdit};
use crate::name::{Fqdn, UserName};
use crate::state::State;
use crate::user::{Role, SshKey};

/// Path of the platform's settings.
const PLATFORM: &str = "platform.toml";
/// Endings of the files in which the platform's names are written.
const TEXTS: [&str; 2] = [".toml", ".md"];

/// Ends of names that are kept for examples, so that nobody answers there (RFC 2606; RFC 6761, section 6.4).
const EXAMPLES: [&str; 6] = ["example.com", "example.net", "example.org", "example", "invalid", "test"];

/// Contents of files, by their paths in the repo.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// Answers to what a first state has to say. What is left out stays as it is in a folder, or has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Name under which members reach the platform.
    pub domain: Option<Fqdn>,
    /// Name of the panel. A folder that has one and gets another `domain` gets another here, too.
    pub panel: Option<Fqdn>,
    /// First admin.
    pub admin: Option<UserName>,
    /// Keys of the first admin, in place of any others.
    pub ssh_keys: Vec<SshKey>,
    /// Addresses to which DNS records lead, as somebody typed them.
    pub addresses: Vec<String>,
    /// Subnet of the servers, as somebody typed it.
    pub users_network: Option<String>,
}

/// A folder that can't be fitted to the answers.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum FitError {
    /// Somebody's keys are there, and nobody to have them.
    #[error(
        "nobody in the folder is an admin, so nobody can have the keys: write `role = \"admin\"` into a file in users/"
    )]
    NoAdmin,
    /// Somebody else is an admin there.
    #[error("`{name}` is no admin in the folder; name one of: {admins}")]
    NotAdmin { name: UserName, admins: String },
    /// Somebody's file can't be edited.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The editor reads the settings differently than we do.
    #[error("{PLATFORM} can't be edited")]
    Unreadable(#[source] Box<TomlError>),
}

impl Beginning {
    /// The files of a new state.
    pub fn files(&self) -> Contents {
        let mut platform = DocumentMut::new();
        self.settle(&mut platform, self.panel.as_ref());
        let mut files = Contents::from([(PLATFORM.to_owned(), platform.to_string().into_bytes())]);
        if let Some(admin) = &self.admin {
            let mut user = DocumentMut::new();
            put(&mut user, None, "role", "admin".into());
            let keys: Vec<&str> = self.ssh_keys.iter().map(SshKey::as_str).collect();
            put_list(&mut user, "ssh_keys", &keys, Layout::LineEach, str::to_owned);
            files.insert(format!("users/{admin}.toml"), user.to_string().into_bytes());
        }
        files
    }

    /// Fits files, of which `state` was read, to the answers.
    pub fn fit(&self, state: &State, files: &Contents) -> Result<Contents, FitError> {
        let names = self.renamed(state);
        let names: Vec<(&str, &str)> = names.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        let mut fitted = Contents::new();
        for (path, content) in files {
            let is_text = TEXTS.iter().any(|ending| path.ends_with(ending));
            let content = match std::str::from_utf8(content).ok().filter(|_| is_text) {
                // What is written to a person goes where it went.
                Some(text) if path.starts_with("users/") => replaced(text, &names, &['@']).into_bytes(),
                Some(text) => replaced(text, &names, &[]).into_bytes(),
                None => content.clone(),
            };
            fitted.insert(replaced(path, &names, &[]), content);
        }
        if let Some(text) = text_of(&fitted, PLATFORM) {
            let mut platform: DocumentMut =
                text.parse().map_err(|error| FitError::Unreadable(Box::new(error)))?;
            let panel = state.platform.panel.as_ref().map(|panel| self.panel_for(&panel.domain));
            self.settle(&mut platform, panel.as_ref().or(self.panel.as_ref()));
            if self.drops_provider(state)
                && let Some(panel) = platform.get_mut("panel").and_then(Item::as_table_like_mut)
            {
                panel.remove("oidc");
            }
            fitted.insert(PLATFORM.to_owned(), platform.to_string().into_bytes());
        }
        if let Some(admin) = self.admin_of(state)? {
            let path = format!("users/{admin}.toml");
            if let Some(text) = text_of(&fitted, &path) {
                let text = edit::user(&admin, text, &[UserEdit::SshKeys(self.ssh_keys.clone())])?;
                fitted.insert(path, text.into_bytes());
            }
        }
        Ok(fitted)
    }

    /// Returns whether a folder's OpenID provider is left out: a platform that begins with the folder would offer to sign in by one that is
    /// an example.
    pub fn drops_provider(&self, state: &State) -> bool {
        let provider = state.platform.panel.as_ref().and_then(|panel| panel.oidc.as_ref());
        self.domain.is_some() && provider.is_some_and(|provider| is_example(&provider.issuer.host()))
    }

    /// Whom of a folder the keys are for: the admin that is named, or the first. `None` where there are no keys to have.
    pub fn admin_of(&self, state: &State) -> Result<Option<UserName>, FitError> {
        let mut admins = state.users.values().filter(|user| user.role == Role::Admin).map(|user| &user.name);
        match &self.admin {
            Some(name) if !admins.clone().any(|admin| admin == name) => {
                let admins: Vec<&str> = admins.map(UserName::as_str).collect();
                Err(FitError::NotAdmin { name: name.clone(), admins: admins.join(", ") })
            }
            _ if self.ssh_keys.is_empty() => Ok(None),
            Some(name) => Ok(Some(name.clone())),
            None => admins.next().cloned().map(Some).ok_or(FitError::NoAdmin),
        }
    }

    /// Writes what was answered into the platform's settings.
    fn settle(&self, platform: &mut DocumentMut, panel: Option<&Fqdn>) {
        if let Some(domain) = &self.domain {
            put(platform, None, "domain", domain.as_str().into());
        }
        if let Some(panel) = panel {
            put(platform, Some("panel"), "domain", panel.as_str().into());
            if panel.is_local() {
                // Of a visitor from this very machine the web server can't tell that they are, and the panel's own port can.
                put(platform, Some("panel"), "edge", "redirect".into());
                put(platform, Some("panel"), "tls", "internal".into());
            }
        }
        if !self.addresses.is_empty() {
            let addresses: Array = self.addresses.iter().map(String::as_str).collect();
            put(platform, Some("public"), "addresses", Value::Array(addresses));
        }
        if let Some(network) = &self.users_network {
            put(platform, Some("networks"), "users", network.as_str().into());
        }
    }

    /// The panel's name in place of the one that it has.
    fn panel_for(&self, old: &Fqdn) -> Fqdn {
        let follows = || {
            let domain = self.domain.as_ref()?;
            // Two names below `localhost` are two sites to a browser, as two registered domains are.
            let name =
                if domain.is_local() { "panel.localhost".to_owned() } else { format!("panel.{domain}") };
            name.parse().ok()
        };
        self.panel.clone().or_else(follows).unwrap_or_else(|| old.clone())
    }

    /// Names that others take the place of, the longer ones first.
    fn renamed(&self, state: &State) -> Vec<(String, String)> {
        let platform = &state.platform;
        let domain = self.domain.iter().map(|new| (platform.domain.to_string(), new.to_string()));
        let panel = platform
            .panel
            .iter()
            .map(|panel| (panel.domain.to_string(), self.panel_for(&panel.domain).to_string()));
        let mut names: Vec<(String, String)> = domain.chain(panel).filter(|(old, new)| old != new).collect();
        names.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        names
    }
}

/// Returns whether a name is one that only examples have.
fn is_example(name: &str) -> bool {
    EXAMPLES
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

fn text_of<'c>(files: &'c Contents, path: &str) -> Option<&'c str> {
    std::str::from_utf8(files.get(path)?).ok()
}

/// Puts names in the place of others, wherever they stand as names or at the end of one: `hosting.example.org` in
/// `shop.hosting.example.org.toml`, and not in `myhosting.example.org` or `hosting.example.org.uk`, nor behind one of the characters `keepers`.
fn replaced(text: &str, names: &[(&str, &str)], keepers: &[char]) -> String {
    let is_of_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let ends = |rest: &str| {
        let rest = rest.strip_prefix(".toml").unwrap_or(rest);
        let mut rest = rest.chars();
        match rest.next() {
            Some('.') => !rest.next().is_some_and(is_of_label),
            Some(next) => !is_of_label(next),
            None => true,
        }
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let begins = !out.ends_with(is_of_label) && !out.ends_with(keepers);
        let is_here = |(old, _): &&(&str, &str)| rest.strip_prefix(old).is_some_and(ends);
        match names.iter().filter(|_| begins).find(is_here) {
            Some((old, new)) => {
                out.push_str(new);
                rest = &rest[old.len()..];
            }
            None => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Parsed;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi me@here";
    const OTHERS: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnromELomUldtAzh7fZJtoAQBMfaP2jqacCBzmu7VzD jonas@laptop";

    fn folder(panel: &str) -> Contents {
        let ann = format!("# Keys.\nrole = \"admin\"\nssh_keys = [\n    \"{OTHERS}\",\n]\n");
        let files = [
            ("README.md", "[shop](domains/shop.h.example.org.toml), at h.example.org.\n".to_owned()),
            (
                "platform.toml",
                format!("# Names below h.example.org.\ndomain = \"h.example.org\" # ours\n{panel}"),
            ),
            ("users/ann.toml", ann),
            ("users/bob.toml", String::new()),
            ("users/zoe.toml", "role = \"admin\"\n".to_owned()),
            ("servers/shop.toml", "id = 1\nowner = \"bob\"\n".to_owned()),
            ("domains/shop.h.example.org.toml", "server = \"shop\"\n".to_owned()),
            ("domains/_.shop.h.example.org.toml", "server = \"shop\"\ntls = \"internal\"\n".to_owned()),
        ];
        let mut files: Contents = files.map(|(path, text)| (path.to_owned(), text.into_bytes())).into();
        files.insert("docs/pictures/x.png".to_owned(), b"\x89h.example.org".to_vec());
        files
    }

    fn read(files: &Contents) -> State {
        let texts = files.iter().filter_map(|(path, bytes)| Some((path, std::str::from_utf8(bytes).ok()?)));
        let parsed: Vec<Parsed> = texts.map(|(path, text)| Parsed::parse(path, text)).collect();
        State::assemble(&parsed).unwrap()
    }

    fn beginning(domain: &str) -> Beginning {
        Beginning {
            domain: Some(domain.parse().unwrap()),
            ssh_keys: vec![KEY.parse().unwrap()],
            ..Beginning::default()
        }
    }

    #[test]
    fn a_folder_is_fitted_to_a_name_of_this_machine() {
        let before = folder("\n[panel]\ndomain = \"panel.example.org\"\n");
        let after = beginning("berth.localhost").fit(&read(&before), &before).unwrap();
        let text = |path: &str| std::str::from_utf8(&after[path]).unwrap();
        assert_eq!(
            text("platform.toml"),
            "# Names below berth.localhost.\ndomain = \"berth.localhost\" # ours\n\n[panel]\ndomain = \"panel.localhost\"\n\
             edge = \"redirect\"\ntls = \"internal\"\n"
        );
        assert_eq!(text("README.md"), "[shop](domains/shop.berth.localhost.toml), at berth.localhost.\n");
        assert_eq!(
            text("users/ann.toml"),
            format!("# Keys.\nrole = \"admin\"\nssh_keys = [\n    \"{KEY}\",\n]\n")
        );
        assert_eq!(after["docs/pictures/x.png"], before["docs/pictures/x.png"]);
        assert_eq!(after["users/zoe.toml"], before["users/zoe.toml"]);
        let state = read(&after);
        let names: Vec<&str> = state.domains.keys().map(Fqdn::as_str).collect();
        assert_eq!(names, ["*.shop.berth.localhost", "shop.berth.localhost"]);
        assert!(state.warnings.is_empty(), "{:?}", state.warnings);
    }

    #[test]
    fn a_folder_is_fitted_to_a_name_of_the_world() {
        let before = folder("\n[panel]\ndomain = \"panel.h.example.org\"\n");
        let state = read(&before);
        let after = beginning("example.com").fit(&state, &before).unwrap();
        let panel = |files: &Contents| read(files).platform.panel.as_ref().unwrap().domain.to_string();
        assert_eq!(panel(&after), "panel.example.com");
        let named = Beginning { panel: Some("p.example.net".parse().unwrap()), ..beginning("example.com") };
        assert_eq!(panel(&named.fit(&state, &before).unwrap()), "p.example.net");
        // A folder without a panel gets none that nobody asked for.
        let before = folder("");
        let after = beginning("berth.localhost").fit(&read(&before), &before).unwrap();
        assert_eq!(read(&after).platform.panel, None);
    }

    #[test]
    fn a_provider_that_is_an_example_is_left_out() {
        let provider = |issuer: &str| {
            let table = format!(
                "\n# People sign in there.\n[panel.oidc]\nissuer = \"{issuer}\"\nclient_id = \"berth\"\n"
            );
            folder(&format!("\n[panel]\ndomain = \"panel.example.org\"\n{table}\n# The end.\n[cache]\n"))
        };
        let fitted = |beginning: &Beginning, before: &Contents| {
            let after = beginning.fit(&read(before), before).unwrap();
            std::str::from_utf8(&after["platform.toml"]).unwrap().to_owned()
        };
        let example = provider("https://login.example.org/realms/main");
        let text = fitted(&beginning("berth.localhost"), &example);
        assert!(text.contains("\n# The end.\n[cache]") && !text.contains("sign in"), "{text}");
        assert!(beginning("berth.localhost").drops_provider(&read(&example)));
        // Somebody's own stays, and so does everything in a folder that is taken as it is.
        for issuer in
            ["https://login.notexample.org", "https://login.test.example.edu/a", "https://example.university"]
        {
            assert!(fitted(&beginning("berth.localhost"), &provider(issuer)).contains(issuer), "{issuer}");
        }
        assert_eq!(Beginning::default().fit(&read(&example), &example).unwrap(), example);
    }

    #[test]
    fn without_answers_nothing_changes() {
        let before = folder("");
        assert_eq!(Beginning::default().fit(&read(&before), &before).unwrap(), before);
    }

    #[test]
    fn keys_are_for_an_admin() {
        let mut files = folder("");
        let state = read(&files);
        let of = |name: &str| Beginning { admin: Some(name.parse().unwrap()), ..beginning("example.com") };
        assert_eq!(of("zoe").admin_of(&state).unwrap().unwrap().as_str(), "zoe");
        let refused = of("bob").fit(&state, &files).unwrap_err();
        assert_eq!(refused.to_string(), "`bob` is no admin in the folder; name one of: ann, zoe");
        for admin in ["ann", "zoe"] {
            files.insert(format!("users/{admin}.toml"), Vec::new());
        }
        let refused = beginning("example.com").fit(&read(&files), &files);
        assert!(matches!(refused, Err(FitError::NoAdmin)), "{refused:?}");
    }

    #[test]
    fn a_new_state_says_what_was_answered() {
        let beginning = Beginning {
            admin: Some("me".parse().unwrap()),
            panel: Some("panel.example.net".parse().unwrap()),
            addresses: vec!["198.51.100.1".to_owned(), "2001:db8::1".to_owned()],
            users_network: Some("10.9.0.0/24".to_owned()),
            ..beginning("h.example.org")
        };
        let state = read(&beginning.files());
        let platform = &state.platform;
        assert_eq!(platform.domain.as_str(), "h.example.org");
        assert_eq!(platform.panel.as_ref().unwrap().domain.as_str(), "panel.example.net");
        assert_eq!(platform.public.addresses.len(), 2);
        assert_eq!(platform.networks.users.to_string(), "10.9.0.0/24");
        let me = state.users.values().next().unwrap();
        assert_eq!((me.name.as_str(), me.role, me.ssh_keys.len()), ("me", Role::Admin, 1));
    }

    #[test]
    fn names_are_replaced_whole() {
        let names = [("panel.h.org", "panel.localhost"), ("h.org", "b.localhost")];
        for (before, after) in [
            ("h.org", "b.localhost"),
            ("*.a.h.org, panel.h.org.", "*.a.b.localhost, panel.localhost."),
            ("https://h.org/x h.org.toml", "https://b.localhost/x b.localhost.toml"),
            (
                "xh.org h.org.uk h.orgs x-h.org h.org-x h.org.tomls",
                "xh.org h.org.uk h.orgs x-h.org h.org-x h.org.tomls",
            ),
            ("ssh shop@h.org", "ssh shop@b.localhost"),
        ] {
            assert_eq!(replaced(before, &names, &[]), after);
        }
        assert_eq!(replaced("ann@h.org below h.org", &names, &['@']), "ann@h.org below b.localhost");
    }
}
