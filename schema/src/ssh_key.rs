//! SSH public keys, with which members log in.
//!
//! Owns the rules for keys. Refuses private keys, weak keys and keys with options: an option such as `command=` or
//! `permitopen=` would promise a limit that the platform doesn't keep.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{Algorithm, PublicKey};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::text_values;

/// An OpenSSH public key (RFC 4253, section 6.6, in the one-line form of `authorized_keys`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SshKey(Arc<str>);

/// The fewest bits of an RSA key (NIST SP 800-131A).
const RSA_BITS_MIN: usize = 2048;

/// End of the algorithms of OpenSSH's certificates (PROTOCOL.certkeys).
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Options of a key (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
const OPTIONS: [&str; 23] = [
    "agent-forwarding",
    "cert-authority",
    "command=",
    "environment=",
    "expiry-time=",
    "from=",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-X11-forwarding",
    "permitlisten=",
    "permitopen=",
    "port-forwarding",
    "principals=",
    "pty",
    "restrict",
    "touch-required",
    "tunnel=",
    "user-rc",
    "verify-required",
    "X11-forwarding",
];

const FORM: &str = "write the line of the `.pub` file, such as \"ssh-ed25519 AAAA… ann@laptop\"";

impl SshKey {
    /// The key in its one-line form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An Ed25519 key by its 32 bytes (RFC 8032), without a comment.
    pub fn ed25519(bytes: &[u8; 32]) -> Self {
        Self(PublicKey::from(Ed25519PublicKey(*bytes)).to_string().into())
    }

    /// Algorithm and key without the comment: equal for equal keys.
    pub fn key_data(&self) -> &str {
        self.0.match_indices(' ').nth(1).map_or(&self.0, |(end, _)| &self.0[..end])
    }
}

impl FromStr for SshKey {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        if is_private(value) {
            return Err(Invalid::new(
                "this is a private key, and everybody who can read the repository has it now",
                "treat the key as compromised: delete it, make a new one with `ssh-keygen`, and write the line of the new \
                 `.pub` file here",
            ));
        }
        let value = value.trim();
        if value.contains(['\n', '\r']) {
            return Err(several_lines(value));
        }
        // OpenSSH takes any number of spaces and tabs between the parts (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
        let (algorithm, rest) = next_word(value);
        let (data, comment) = next_word(rest);
        let line = format!("{algorithm} {data} {comment}");
        let key = PublicKey::from_openssh(line.trim_end()).map_err(|_| not_a_key(value))?;
        // The crate takes whatever follows as a comment.
        if key.comment().contains(|c: char| c.is_control()) {
            return Err(Invalid::new("the key's comment has control characters in it", FORM));
        }
        check_strength(&key)?;
        let line = key.to_openssh().map_err(|_| not_a_key(value))?;
        Ok(Self(line.into()))
    }
}

impl TryFrom<String> for SshKey {
    type Error = Invalid;

    fn try_from(value: String) -> Result<Self, Invalid> {
        value.parse()
    }
}

impl From<SshKey> for String {
    fn from(key: SshKey) -> Self {
        key.as_str().to_owned()
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Recognizes OpenSSH, PEM and PuTTY files, and the bare Base64 of an OpenSSH one ("openssh-key-v1").
fn is_private(value: &str) -> bool {
    ["PRIVATE KEY", "PuTTY-User-Key-File", "Private-Lines:", "b3BlbnNzaC1rZXktdjE"]
        .iter()
        .any(|mark| value.contains(mark))
}

/// The first word of a line, and what comes after the spaces and tabs behind it.
fn next_word(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    (word, rest.trim_start_matches([' ', '\t']))
}

fn several_lines(value: &str) -> Invalid {
    if value.starts_with("---- BEGIN SSH2 PUBLIC KEY") {
        return Invalid::new(
            "this key is in the form of RFC 4716, which OpenSSH doesn't read either",
            "`ssh-keygen -i -f <file>` prints it as one line; write that",
        );
    }
    Invalid::new(
        "these are several lines",
        "write each key as an entry of its own, without lines that aren't keys",
    )
}

fn not_a_key(value: &str) -> Invalid {
    let words: Vec<&str> = value.split_whitespace().collect();
    let algorithm = words.iter().position(|word| word.parse::<Algorithm>().is_ok_and(|found| known(&found)));
    match algorithm {
        _ if words.first().is_some_and(|word| word.ends_with(CERTIFICATE)) => Invalid::new(
            "this is a certificate, which ends by itself, and the platform keeps keys",
            "write the line of the key's own file, whose name has no `-cert` in it",
        ),
        Some(1) if words.first().is_some_and(|word| names_a_host(word)) => {
            Invalid::new("this is a line of a file of known hosts, so the key is a server's", FORM)
        }
        Some(1..) => before_the_key(value),
        Some(_) => Invalid::new(
            format!("this `{}` key is damaged", shown(words.first().unwrap_or(&""))),
            "copy the whole line of the `.pub` file again",
        ),
        None => Invalid::new("this is not an SSH public key", FORM),
    }
}

/// Names what stands before a key: an option promises a limit, which nobody should believe to be kept.
fn before_the_key(line: &str) -> Invalid {
    let hint = "remove what stands before the algorithm's name";
    let options: Vec<String> = options(line).iter().map(|option| format!("`{option}`")).collect();
    let message = match options.as_slice() {
        [] => "something stands before this key that is no option of OpenSSH's".to_owned(),
        [one] => format!("this key has the option {one}, which the platform doesn't keep"),
        several => {
            format!("this key has the options {}, which the platform doesn't keep", several.join(", "))
        }
    };
    Invalid::new(message, hint)
}

/// The options of OpenSSH's that a line begins with, as they are spelt there: those that take a value with a `=`. They are parted by
/// commas, and a value in quotes may have commas and spaces in it.
fn options(line: &str) -> Vec<String> {
    let (mut is_quoted, mut is_escaped, mut name, mut names) = (false, false, String::new(), Vec::new());
    let mut is_value = false;
    for c in line.chars() {
        match c {
            '"' if !is_escaped => is_quoted = !is_quoted,
            ' ' | '\t' if !is_quoted => break,
            ',' if !is_quoted => {
                names.push(std::mem::take(&mut name));
                is_value = false;
            }
            '=' if !is_value => {
                name.push(c);
                is_value = true;
            }
            c if !is_value => name.push(c),
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    names.push(name);
    let known = |name: &String| OPTIONS.iter().any(|known| name.eq_ignore_ascii_case(known));
    names.into_iter().filter(known).collect()
}

/// Recognizes how OpenSSH begins a line about a host other than the usual one: `[host]:10022`, or a name that is hashed.
fn names_a_host(word: &str) -> bool {
    word.starts_with('[') || word.starts_with("|1|")
}

fn known(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Other(_))
}

fn check_strength(key: &PublicKey) -> Result<(), Invalid> {
    let replace = "make a new one with `ssh-keygen -t ed25519`";
    match key.key_data() {
        data if data.is_dsa() => Err(Invalid::new("DSA keys are broken; no server accepts them", replace)),
        data if !known(&data.algorithm()) => Err(Invalid::new(
            format!("`{}` keys are not supported", shown(data.algorithm().as_str())),
            replace,
        )),
        data => match data.rsa().map(|rsa| bits(rsa.n.as_positive_bytes().unwrap_or_default())) {
            Some(bits) if bits < RSA_BITS_MIN => Err(Invalid::new(
                format!("an RSA key of {bits} bits is too short"),
                format!("{replace}, or an RSA key of at least {RSA_BITS_MIN} bits"),
            )),
            _ => Ok(()),
        },
    }
}

/// The number of bits of a big-endian number.
fn bits(bytes: &[u8]) -> usize {
    let significant = bytes.iter().skip_while(|byte| **byte == 0);
    let leading = significant.clone().next().map_or(0, |first| first.leading_zeros() as usize);
    significant.count() * 8 - leading
}

written_as! {
    SshKey: { "type": "string", "pattern": "^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+[ \\t]+[A-Za-z0-9+/=]+" },
}

text_values! {
    SshKey: "the line of a `.pub` file in quotes, such as \"ssh-ed25519 AAAA… ann@laptop\"" SECRET,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_form_of_rfc_4716_is_called_that() {
        let text = "\n---- BEGIN SSH2 PUBLIC KEY ----\nAAAAC3NzaC1lZDI1NTE5\n---- END SSH2 PUBLIC KEY ----\n";
        let refused = text.parse::<SshKey>().unwrap_err().to_string();
        assert!(refused.contains("RFC 4716"), "{refused}");
    }

    #[test]
    fn options_are_named_and_nothing_of_their_values_is() {
        for (line, named) in [
            (r#"command="echo \"a, b\" ssh-ed25519",no-pty ssh-ed25519 AAAA a@b"#, "`command=`, `no-pty`"),
            (r#"from="10.0.0.0/8" ssh-ed25519 AAAA"#, "the option `from=`,"),
            ("Restrict,X11-Forwarding ssh-ed25519 AAAA", "`Restrict`, `X11-Forwarding`"),
            ("secret ssh-ed25519 AAAA", "no option of OpenSSH's"),
            (r#"environment="TOKEN=secret",unheard ssh-ed25519 AAAA"#, "the option `environment=`,"),
        ] {
            let refused = line.parse::<SshKey>().unwrap_err().to_string();
            assert!(refused.contains(named) && !refused.contains("secret"), "{line}: {refused}");
        }
    }

    #[test]
    fn spaces_and_tabs_between_the_parts_count_for_nothing() {
        let key = SshKey::ed25519(&[7; 32]);
        let data = key.key_data().split(' ').nth(1).unwrap();
        let tabbed: SshKey = format!(" ssh-ed25519\t  {data} \t ann at home ").parse().unwrap();
        assert_eq!((tabbed.key_data(), tabbed.as_str().ends_with(" ann at home")), (key.key_data(), true));
    }
}
