//! Command line of `berth-web`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr as _;

use berth_schema::country::Country;
use berth_schema::name::Fqdn;
use berth_wire::certificate::Proof;
use clap::{CommandFactory as _, Parser};
use ipnet::IpNet;

/// Returns the command line as clap knows it, for whoever describes it to people.
pub fn line() -> clap::Command {
    Args::command()
}

/// Serves the panel: pages and forms for members and admins. `berth up` starts it where `platform.toml` has `[panel]`.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Args {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:8443")]
    pub listen: SocketAddr,
    /// The name by which people reach the panel
    #[arg(long, value_name = "NAME", value_parser = domain)]
    pub domain: String,
    /// The port at which the world reaches that port, where it is another one
    #[arg(long, value_name = "PORT")]
    pub public_port: Option<u16>,
    /// The folder for `edge.sock`, over which the web server before all domains passes on what is for the panel. The engine makes it
    #[arg(long, value_name = "FOLDER")]
    pub edge: Option<PathBuf>,
    /// A port at which people reach the panel through that web server, the first one to tell them. Repeatable. Default: it passes
    /// no visitor on
    #[arg(long, value_name = "PORT")]
    pub edge_port: Vec<u16>,
    /// The folder of the sockets `web.sock` and `panel.sock`
    #[arg(long, value_name = "FOLDER")]
    pub sockets: PathBuf,
    /// The folder of the socket `ticket.sock`, at which the SSH router lets people into servers
    #[arg(long, value_name = "FOLDER")]
    pub tickets: Option<PathBuf>,
    /// The panel's own data: sessions, and the certificate
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// The user that serves the panel, where root starts it
    #[arg(long, value_name = "USER", default_value = "berth-web")]
    pub user: String,
    /// A network that may open the panel; this machine may in any case. Repeatable. Without any, and without countries,
    /// everybody may
    #[arg(long, value_name = "NETWORK")]
    pub allow: Vec<IpNet>,
    /// A country that may open the panel besides, such as LT, by the file `countries.mmdb` in its data. Repeatable
    #[arg(long, value_name = "CODE", value_parser = country)]
    pub allow_country: Vec<Country>,
    /// URL of the directory of an ACME CA that gives the panel its certificate. Default: the panel's own CA
    #[arg(long, value_name = "URL", requires = "acme_proof")]
    pub acme_directory: Option<String>,
    /// Proof of the name that reaches the panel
    #[arg(long, value_name = "PROOF", value_parser = proof)]
    pub acme_proof: Option<Proof>,
    /// Address that the CA may write to
    #[arg(long, value_name = "ADDRESS")]
    pub acme_email: Option<String>,
    /// Root certificates of the server behind the directory, in PEM. Default: those that the system knows
    #[arg(long, value_name = "PEM", allow_hyphen_values = true)]
    pub acme_ca: Option<String>,
    /// File of the key of an account at the CA that Berth keeps. Default: the panel opens one of its own
    #[arg(long, value_name = "FILE")]
    pub acme_account: Option<PathBuf>,
    /// A folder whose `web/` has templates that replace the embedded ones
    #[arg(long, value_name = "FOLDER")]
    pub templates: Option<PathBuf>,
    /// Level of the log: error, warn, info, debug
    #[arg(long, env = "BERTH_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// End when the process that started this one does
    #[arg(long, hide = true)]
    pub with_parent: bool,
    /// Serve on standard input: the listening socket itself, or a stream over which the parent hands sockets over
    #[arg(long, hide = true)]
    pub child: bool,
}

fn domain(text: &str) -> Result<String, String> {
    let fqdn: Fqdn = text.parse().map_err(|error| format!("{error}"))?;
    match fqdn.is_wildcard() {
        true => Err("a wildcard is no name of a panel".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn proof(text: &str) -> Result<Proof, String> {
    [Proof::Http01, Proof::TlsAlpn01, Proof::Dns01]
        .into_iter()
        .find(|proof| proof.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| "write http-01, tls-alpn-01 or dns-01".to_owned())
}

fn country(text: &str) -> Result<Country, String> {
    Country::from_str(text).map_err(|invalid| format!("{invalid}: {}", invalid.hint))
}
