//! The lower bound: one of the panel's pages as a file, served by Caddy over TLS in the panel's network, and compressed for each
//! request as the panel compresses its own. Whoever made a page of something would take longer.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use berth_tests::namespace::Namespace;
use berth_tests::panel::PANEL;
use berth_tests::process::within;
use tempfile::TempDir;

use super::reader::Reader;

/// Port of the file's server.
const PORT: u16 = 9443;
/// Time in which it is ready: it makes a certificate of its own first.
const READY: Duration = Duration::from_secs(60);

/// A page that is a file.
pub(super) struct File {
    caddy: Child,
    pub(super) reader: Reader,
    _folder: TempDir,
}

impl File {
    /// Serves these bytes at `/`.
    pub(super) fn serve(namespace: &Namespace, page: &[u8]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("index.html"), page)?;
        let config = format!(
            "{{\n admin off\n auto_https disable_redirects\n skip_install_trust\n}}\n\
             https://{PANEL}:{PORT} {{\n tls internal\n encode gzip\n root * {}\n file_server\n}}\n",
            folder.path().display()
        );
        let path = folder.path().join("Caddyfile");
        fs::write(&path, config)?;
        let mut command = namespace.command();
        command.args(["caddy", "run", "--adapter", "caddyfile", "--config"]).arg(&path);
        command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let caddy = command.spawn().context("run caddy")?;
        let reader = Reader::of_port(namespace, &format!("{PANEL}:{PORT}"));
        let served = Self { caddy, reader, _folder: folder };
        within(READY, "the file is served", || {
            served.reader.page("/").ok().filter(|found| found == page).map(drop)
        });
        Ok(served)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = self.caddy.kill();
        let _ = self.caddy.wait();
    }
}
