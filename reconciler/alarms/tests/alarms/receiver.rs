//! A program that takes messages over HTTP on loopback, and answers as it is told to.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// Reaction to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum React {
    /// An answer with this status.
    Answer(u16),
    /// The end of the connection, without a word.
    CutOff,
    /// Nothing, for as long as the other side waits.
    Nothing,
}

/// The receiver. What its script doesn't say is answered with 200.
#[derive(Clone)]
pub(crate) struct Receiver {
    at: SocketAddr,
    got: Arc<Mutex<Vec<Value>>>,
    script: Arc<Mutex<VecDeque<React>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap())
    }

    pub(crate) fn start_at(at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let at = listener.local_addr().unwrap();
        let receiver = Self { at, got: Arc::default(), script: Arc::default() };
        let own = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let own = own.clone();
                thread::spawn(move || own.converse(stream.unwrap()));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook/secret", self.at)
    }

    pub(crate) fn will(&self, react: impl IntoIterator<Item = React>) {
        self.script.lock().unwrap().extend(react);
    }

    /// Messages that came in, whatever was answered.
    pub(crate) fn got(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }

    fn converse(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).unwrap() > 0 && line != "\r\n" {
            let lower = line.to_ascii_lowercase();
            if let Some(number) = lower.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let react = self.script.lock().unwrap().pop_front().unwrap_or(React::Answer(200));
        self.got.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        match react {
            React::Answer(status) => {
                let answer =
                    format!("HTTP/1.1 {status} x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nsaid");
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
            React::CutOff => {}
            React::Nothing => {
                // Until the other side has gone.
                let _ = reader.read(&mut [0]);
            }
        }
    }
}
