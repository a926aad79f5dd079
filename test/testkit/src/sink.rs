//! A tiny SMTP server that takes everything, for tests that count copies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server that answers on loopback until the test program ends.
#[derive(Debug)]
pub struct Sink {
    /// Where it listens.
    pub port: u16,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    /// Starts it.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start() -> Self {
        Self::on(0)
    }

    /// Starts it on a port on which nobody answered before.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let all = taken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = all.clone();
                // A client that breaks off is no concern of the sink's.
                std::thread::spawn(move || serve(stream, &all).ok());
            }
        });
        Self { port, taken }
    }

    /// The messages it has answered 250.
    ///
    /// # Panics
    /// When a thread of it panicked.
    pub fn messages(&self) -> Vec<String> {
        self.taken.lock().expect("no panic").clone()
    }
}

fn serve(stream: TcpStream, taken: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let say = |line: &str| (&stream).write_all(format!("{line}\r\n").as_bytes());
    say("220 sink.example")?;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb: String = line.chars().take(4).collect();
        match verb.to_ascii_uppercase().as_str() {
            "DATA" => {
                say("354 go on")?;
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    if reader.read_line(&mut message)? == 0 {
                        return Ok(());
                    }
                }
                taken.lock().expect("no panic").push(message);
                say("250 taken")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("250 ok")?,
        }
    }
}
