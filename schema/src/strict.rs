//! Rules that may be newer than what stands on somebody's `main`.
//!
//! Their findings are warnings where the thing stands already, so that an upgrade locks nobody out, and errors in a change that
//! brings it in. The policy tells the one from the other.

use oci_spec::distribution::Reference;

use crate::invalid::Invalid;
use crate::kind::Subject;
use crate::name::{Fqdn, ImageRef};
use crate::portable::{device, is_device};
use crate::text::shown;

/// Accounts that the images of servers have, or get with packages that people install. The name of a server is an account in it, with
/// which its people log in, so another account of that name would be in the way.
const ACCOUNTS: [&str; 35] = [
    "backup",
    "bin",
    "caddy",
    "daemon",
    "dnsmasq",
    "games",
    "gnats",
    "irc",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "mongodb",
    "mysql",
    "news",
    "nobody",
    "postfix",
    "postgres",
    "proxy",
    "rabbitmq",
    "redis",
    "root",
    "sshd",
    "sync",
    "sys",
    "syslog",
    "systemd-journal",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "ubuntu",
    "uucp",
    "uuidd",
    "www-data",
];

/// Labels that programs look up by themselves and trust, or that people take for the organisation's own: proxies (WPAD), mail
/// (`autodiscover`, RFC 6186's usual names, MTA-STS of RFC 8461), keys (OpenPGP's Web Key Directory), roles (RFC 2142).
pub(crate) const TRUSTED: [&str; 19] = [
    "autoconfig",
    "autodiscover",
    "ftp",
    "hostmaster",
    "imap",
    "isatap",
    "localhost",
    "mta-sts",
    "ns",
    "openpgpkey",
    "pop",
    "pop3",
    "postmaster",
    "root",
    "smtp",
    "vpn",
    "webmail",
    "webmaster",
    "wpad",
];

/// Judges the name of a file.
pub(crate) fn of_name(path: &str, subject: &Subject) -> Option<Invalid> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file);
    if is_device(stem) {
        return Some(device(stem, "rename the file, and what refers to it"));
    }
    match subject {
        Subject::Platform => None,
        Subject::User(name) => framed("user name", name.as_str()),
        Subject::Server(name) => framed("server name", name.as_str()).or_else(|| account(name.as_str())),
        Subject::Domain(fqdn) => of_domain(fqdn),
    }
}

/// Judges an image by the grammar of the engine.
pub(crate) fn of_image(image: &ImageRef) -> Option<Invalid> {
    let error = image.as_str().parse::<Reference>().err()?;
    let message = format!("no engine takes `{}` for an image: {error}", shown(image.as_str()));
    Some(Invalid::new(message, "write `name:tag` in lower-case letters, such as `berth-server:latest`"))
}

/// Judges how a name begins and ends: `ssh` takes `-t5` for options, and host names end in no hyphen.
fn framed(kind: &str, name: &str) -> Option<Invalid> {
    let message = || format!("`{name}` is a {kind} that begins or ends with a hyphen");
    let is_framed = !name.starts_with('-') && !name.ends_with('-');
    (!is_framed)
        .then(|| Invalid::new(message(), "rename the file: begin and end it with a letter or a digit"))
}

/// Judges whether a server's name is free within the server.
fn account(name: &str) -> Option<Invalid> {
    ACCOUNTS.contains(&name).then(|| {
        let message =
            format!("`{name}` is an account that servers have inside, so it can't be the name of one");
        Invalid::new(message, format!("choose another name, such as `{name}1`"))
    })
}

/// Judges a domain's name beyond the form of its labels.
fn of_domain(fqdn: &Fqdn) -> Option<Invalid> {
    let base = fqdn.base();
    let last = base.rsplit('.').next().unwrap_or(base);
    let refuse = |message: String, hint: &str| Some(Invalid::new(message, hint));
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        // An address, or what a browser takes for one (WHATWG URL, "ends in a number").
        return refuse(
            format!("`{fqdn}` ends in a number, as an address does and no domain"),
            "visitors of an address can't be told apart: choose a domain name",
        );
    }
    if last == "toml" {
        return refuse(
            format!("`{fqdn}` ends in `.toml`, which is no domain's ending"),
            "name the file `<domain>.toml`, with one `.toml`",
        );
    }
    if base.split('.').any(|label| label.starts_with("xn--")) && idna::domain_to_unicode(base).1.is_err() {
        return refuse(
            format!("`{fqdn}` has a label after `xn--` that stands for no text (RFC 5891)"),
            "take the name as the registrar, or `idn`, writes it",
        );
    }
    None
}
