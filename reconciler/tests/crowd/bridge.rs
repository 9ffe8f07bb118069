//! A bridge from git's own protocol over TCP to the door's socket, in place of SSH and the router. The path of the address says
//! who somebody is.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use berth_schema::door::{Command, ERROR, EXIT, INPUT, INPUT_END, OUTPUT, Request};

/// A bridge that listens until the test ends.
pub(crate) struct Bridge {
    port: u16,
    socket: PathBuf,
    /// Lines of the door's own, with the name of whoever heard them.
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

/// Outcome of a command.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) output: String,
    pub(crate) error: String,
    pub(crate) code: Option<i32>,
}

impl Bridge {
    pub(crate) fn to(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let bridge = Self { port, socket: socket.to_owned(), heard: Arc::clone(&heard) };
        let socket = socket.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (socket, heard) = (socket.clone(), Arc::clone(&heard));
                thread::spawn(move || carry(stream, &socket, &heard));
            }
        });
        bridge
    }

    /// The address at which somebody finds the state.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("git://127.0.0.1:{}/{user}", self.port)
    }

    /// Everything that the door itself told somebody while git ran.
    pub(crate) fn heard(&self, user: &str) -> String {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|(name, _)| name == user).map(|(_, text)| text.as_str()).collect()
    }

    /// Runs a command that isn't git's.
    pub(crate) fn ask(&self, user: &str, command: Command) -> Said {
        let mut door = connect(&self.socket, user, command);
        let mut said = Said::default();
        while let Some((kind, bytes)) = frame(&mut door) {
            match kind {
                OUTPUT => said.output.push_str(&String::from_utf8_lossy(&bytes)),
                ERROR => said.error.push_str(&String::from_utf8_lossy(&bytes)),
                EXIT => said.code = Some(i32::from_be_bytes(bytes.try_into().unwrap())),
                other => panic!("a frame of kind {other}"),
            }
        }
        said
    }
}

fn connect(socket: &Path, user: &str, command: Command) -> UnixStream {
    let request =
        Request { user: user.to_owned(), command, protocol: None, from: "192.0.2.7".parse().unwrap() };
    let mut line = serde_json::to_vec(&request).unwrap();
    line.push(b'\n');
    let mut door = UnixStream::connect(socket).unwrap();
    door.write_all(&line).unwrap();
    door
}

/// Carries one connection of git's until either side has ended.
fn carry(mut git: TcpStream, socket: &Path, heard: &Mutex<Vec<(String, String)>>) {
    let mut length = [0; 4];
    git.read_exact(&mut length).unwrap();
    let length = usize::from_str_radix(std::str::from_utf8(&length).unwrap(), 16).unwrap();
    let mut line = vec![0; length - 4];
    git.read_exact(&mut line).unwrap();
    let line = String::from_utf8(line).unwrap();
    let (service, rest) = line.split_once(" /").unwrap();
    let user = rest.split('\0').next().unwrap().to_owned();
    let command = match service {
        "git-receive-pack" => Command::ReceivePack,
        "git-upload-pack" => Command::UploadPack,
        other => panic!("the service {other}"),
    };
    let mut door = connect(socket, &user, command);
    let (mut from, mut to) = (git.try_clone().unwrap(), door.try_clone().unwrap());
    thread::spawn(move || {
        let mut buffer = vec![0; 32 << 10];
        // Whichever side is gone, the other one hears of it.
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if send(&mut to, INPUT, &buffer[..length]).is_err() {
                return;
            }
        }
        let _ = send(&mut to, INPUT_END, b"");
    });
    while let Some((kind, bytes)) = frame(&mut door) {
        match kind {
            OUTPUT if git.write_all(&bytes).is_err() => break,
            ERROR => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                heard.lock().unwrap().push((user.clone(), text));
            }
            _ => {}
        }
    }
    let _ = git.shutdown(Shutdown::Both);
    let _ = door.shutdown(Shutdown::Both);
}

fn send(door: &mut UnixStream, kind: u8, bytes: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![kind];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend(bytes);
    door.write_all(&frame)
}

fn frame(door: &mut UnixStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    door.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize];
    door.read_exact(&mut payload).ok()?;
    Some((head[0], payload))
}
