//! A connection to a web server that stays open, by `openssl`, with as much of HTTP as the panel's answers need.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, ensure};
use berth_tests::namespace::Namespace;
use berth_tests::panel::PANEL;

/// A connection.
pub(super) struct Line {
    openssl: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    host: String,
}

/// An answer.
pub(super) struct Answer {
    pub(super) head: String,
    /// Its body as it came: compressed, where that was asked for.
    pub(super) body: Vec<u8>,
}

/// A body's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    /// As browsers ask for it.
    Gzip,
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Header that says who asks, with its name; empty for nobody.
    pub(super) credential: &'a str,
    pub(super) body: Body<'a>,
    pub(super) encoding: Encoding,
}

/// Body of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    None,
    Form(&'a str),
    Json(&'a str),
}

impl Line {
    /// Connects to a port of a namespace's loopback, for a host.
    pub(super) fn to(namespace: &Namespace, host: &str) -> anyhow::Result<Self> {
        let port = host.rsplit(':').next().unwrap_or_default();
        let mut openssl = namespace
            .command()
            .args(["openssl", "s_client", "-quiet", "-servername", PANEL, "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("run openssl")?;
        let input = openssl.stdin.take().context("its input")?;
        let output = BufReader::new(openssl.stdout.take().context("its output")?);
        Ok(Self { openssl, input, output, host: host.to_owned() })
    }

    pub(super) fn ask(&mut self, request: &Request<'_>) -> anyhow::Result<Answer> {
        let Request { method, path, credential, body, encoding } = request;
        let (sort, text) = match body {
            Body::None => ("application/octet-stream", ""),
            Body::Form(text) => ("application/x-www-form-urlencoded", *text),
            Body::Json(text) => ("application/json", *text),
        };
        let (host, length) = (&self.host, text.len());
        let credential = if credential.is_empty() { String::new() } else { format!("{credential}\r\n") };
        let encoding = match encoding {
            Encoding::Plain => "identity",
            Encoding::Gzip => "gzip",
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{credential}sec-fetch-site: same-origin\r\n\
             accept-encoding: {encoding}\r\ncontent-type: {sort}\r\ncontent-length: {length}\r\n\r\n{text}"
        );
        self.input.write_all(head.as_bytes())?;
        self.input.flush()?;
        let (mut head, mut length, mut is_chunked) = (String::new(), 0, false);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let lower = line.to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            is_chunked |= lower == "transfer-encoding: chunked";
            head = head + &line + "\n";
        }
        let mut body = Vec::new();
        if is_chunked {
            loop {
                let length = usize::from_str_radix(&self.line()?, 16).context("a chunk's length")?;
                self.take(length, &mut body)?;
                self.line()?;
                if length == 0 {
                    break;
                }
            }
        } else {
            self.take(length, &mut body)?;
        }
        Ok(Answer { head, body })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the other side hangs up");
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> anyhow::Result<()> {
        let from = body.len();
        body.resize(from + length, 0);
        Ok(self.output.read_exact(&mut body[from..])?)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.openssl.kill();
        let _ = self.openssl.wait();
    }
}

impl Answer {
    pub(super) fn text(&self) -> anyhow::Result<&str> {
        Ok(std::str::from_utf8(&self.body)?)
    }
}
