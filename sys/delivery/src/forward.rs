//! Sending a message on: through the queue writer, else through the queue
//! program.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use wire::queue::{DATA_BYTES_MAX, Reply, Request, VERSION};
use wire::trace::{Kind, TraceId};

use crate::program::{Captured, Ending, Job};
pub use crate::qq::Refused;
use crate::site::Site;

/// How long the queue writer may take for one step.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Most recipients named in the trace.
const TRACED_RECIPIENTS_MAX: usize = 100;

/// A message that goes on to other addresses.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// Lines put in front of the message.
    pub prefix: &'a [u8],
    /// The message, from its first byte.
    pub message: &'a File,
    /// Envelope sender of the new message.
    pub sender: &'a [u8],
    /// Its recipients.
    pub recipients: &'a [Vec<u8>],
    /// Trace of the message that is forwarded.
    pub trace: TraceId,
}

/// Queues the message under a trace of its own; returns the number for `qp`.
/// When this is `Ok` the new message is on disk.
pub fn send(site: &Site, forward: Forward<'_>) -> Result<u32, Refused> {
    let trace = run::Tracer::new_id();
    let chosen = ["NULLQUEUE", "QMAILQUEUE"]
        .iter()
        .any(|name| site.settings.variable(name).is_some_and(|v| !v.is_empty()));
    let link = match chosen {
        true => None,
        false => run::Link::connect(&site.home.socket("queue"), VERSION, TIMEOUT).ok(),
    };
    let qp = match link {
        Some(link) => through_writer(link, &forward, trace)?,
        None => through_program(site, &forward, trace)?,
    };
    let mut event = site.tracer.event(forward.trace, Kind::Forwarded);
    event.other = Some(trace);
    event.sender = Some(printable(forward.sender));
    let recipients = forward.recipients.iter().take(TRACED_RECIPIENTS_MAX);
    event.recipients = recipients.map(|recipient| printable(recipient)).collect();
    event.text = Some(format!("qp {qp}"));
    site.tracer.send(&event);
    Ok(qp)
}

fn printable(address: &[u8]) -> String {
    text::log::printable(address, address::ADDRESS_BYTES_MAX)
}

fn through_writer(
    mut link: run::Link,
    forward: &Forward<'_>,
    trace: TraceId,
) -> Result<u32, Refused> {
    let sent = send_all(&mut link, forward, trace);
    if let Err(Failed::Read) = sent {
        // Nothing was committed; the connection ends and with it the message.
        return Err(Refused::from_code(54, b""));
    }
    // When the writer stopped listening it has said why.
    match link.receive() {
        Ok(Some(Reply::Queued { qp, .. })) => match sent {
            Ok(()) => Ok(qp),
            Err(_) => Err(Refused::from_code(81, b"")),
        },
        Ok(Some(Reply::Refused { code, text })) => {
            let letter = if (11..=40).contains(&code) { 'D' } else { 'Z' };
            Err(match code {
                88 => Refused::from_code(88, text.as_bytes()),
                code if text.is_empty() => Refused::from_code(code, b""),
                _ => Refused::from_code(88, format!("{letter}{text}").as_bytes()),
            })
        }
        Ok(None) | Err(_) => Err(Refused::from_code(74, b"")),
    }
}

enum Failed {
    /// The message cannot be read.
    Read,
    /// The writer does not listen any more.
    Write,
}

fn send_all(link: &mut run::Link, forward: &Forward<'_>, trace: TraceId) -> Result<(), Failed> {
    let mut send = |request| link.send(&request).map_err(|_| Failed::Write);
    send(Request::Begin {
        trace,
        remote_ip: None,
    })?;
    for piece in forward.prefix.chunks(DATA_BYTES_MAX) {
        send(Request::Data(piece.to_vec()))?;
    }
    let mut offset = 0;
    loop {
        let mut data = vec![0; DATA_BYTES_MAX];
        match forward.message.read_at(&mut data, offset) {
            Ok(0) => break,
            Ok(got) => {
                data.truncate(got);
                offset += got as u64;
                send(Request::Data(data))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Failed::Read),
        }
    }
    send(Request::Commit {
        sender: forward.sender.to_vec(),
        recipients: forward.recipients.to_vec(),
        extra_headers: Vec::new(),
    })
}

/// The program of `NULLQUEUE` or `QMAILQUEUE`, else qmail-queue: the message
/// on 0, the envelope on 1, a text for exit code 88 on 2.
fn through_program(site: &Site, forward: &Forward<'_>, trace: TraceId) -> Result<u32, Refused> {
    let message =
        crate::spool(forward.prefix, forward.message).map_err(|_| Refused::from_code(68, b""))?;
    let mut envelope = Vec::new();
    text::records::append(&mut envelope, b'F', forward.sender);
    for recipient in forward.recipients {
        text::records::append(&mut envelope, b'T', recipient);
    }
    envelope.push(0);
    let envelope = crate::memory_file(&envelope).map_err(|_| Refused::from_code(68, b""))?;
    let descriptors = vec![(0, message.into()), (1, envelope.into())];
    let finished = site
        .programs
        .run(&queue_job(site, trace), descriptors)
        .map_err(|_| Refused::from_code(120, b""))?;
    match finished.ending {
        Ending::Code(0) => Ok(finished.pid),
        Ending::Code(code) => {
            let code = u8::try_from(code).unwrap_or(u8::MAX);
            Err(Refused::from_code(code, &finished.output))
        }
        Ending::Crashed => Err(Refused::from_code(123, b"")),
    }
}

fn queue_job(site: &Site, trace: TraceId) -> Job {
    let variable = |name| site.settings.variable(name).filter(|v| !v.is_empty());
    let command: Vec<u8> = if variable("NULLQUEUE").is_some() {
        b"bin/qmail-nullqueue".to_vec()
    } else {
        variable("QMAILQUEUE")
            .unwrap_or(b"bin/qmail-queue")
            .to_vec()
    };
    let value = |name: &str| site.settings.variable(name).map(<[u8]>::to_vec);
    // What cannot be split is no program; running it fails and mail waits.
    let words = text::words::split(&command, value).unwrap_or_else(|_| vec![command.clone()]);
    let (program, arguments) = words.split_first().expect("a command has a word");
    // A bare name is one of ours, a relative one starts at the root.
    let name = std::ffi::OsStr::from_bytes(program);
    let program = match program.contains(&b'/') {
        true => site.home.root().join(name),
        false => site.home.bin().join(name),
    };
    let mut environment = site.queue.clone();
    environment.push((
        wire::trace::VARIABLE.as_bytes().to_vec(),
        trace.to_string().into_bytes(),
    ));
    Job {
        program: program.into_os_string().as_bytes().to_vec(),
        arguments: arguments.to_vec(),
        directory: site.home.root().as_os_str().as_bytes().to_vec(),
        environment,
        captured: Captured::Errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run::Home;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::Path;
    use wire::trace::Event;

    const RECIPIENT: &[u8] = b"bob@example.net";

    /// An installation whose queue writer answers every message with `reply`.
    struct World {
        root: tempfile::TempDir,
        writer: std::thread::JoinHandle<Vec<Request>>,
    }

    impl World {
        fn new(reply: Reply) -> Self {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir(root.path().join("control")).unwrap();
            let socket = socket(root.path(), "queue");
            let listener = UnixListener::bind(&socket).unwrap();
            let writer = std::thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                let mut link = run::Link::accepted(stream, &socket, VERSION);
                let mut requests = Vec::new();
                while let Some(request) = link.receive::<Request>().unwrap() {
                    let complete = matches!(request, Request::Commit { .. });
                    requests.push(request);
                    if complete {
                        link.send(&reply).unwrap();
                    }
                }
                requests
            });
            Self { root, writer }
        }

        fn site(&self) -> Site {
            site(self.root.path())
        }
    }

    /// Where a service listens; its directory is made.
    fn socket(root: &Path, name: &str) -> std::path::PathBuf {
        let path = Home::at(root).socket(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn site(root: &Path) -> Site {
        let home = Home::at(root);
        let mut site = Site::open("test", home.clone()).unwrap();
        site.settings = run::Settings::of_files(&home);
        site
    }

    fn forward(site: &Site, trace: TraceId, message: &File) -> Result<u32, Refused> {
        let forward = Forward {
            prefix: b"Delivered-To: a@b\n",
            message,
            sender: b"ann@example.org",
            recipients: &[RECIPIENT.to_vec()],
            trace,
        };
        send(site, forward)
    }

    #[test]
    fn the_writer_gets_the_whole_message_under_a_new_trace() {
        let world = World::new(Reply::Queued {
            message: 5,
            queue: "queue1".to_owned(),
            qp: 77,
        });
        let collector = UnixDatagram::bind(socket(world.root.path(), "trace")).unwrap();
        let site = world.site();
        let old = run::Tracer::new_id();
        let text = vec![b'x'; DATA_BYTES_MAX + 10];
        let message = crate::memory_file(&text).unwrap();
        assert_eq!(forward(&site, old, &message), Ok(77));
        let requests = world.writer.join().unwrap();
        let Request::Begin { trace, .. } = requests[0] else {
            panic!("a message begins first");
        };
        assert_ne!(trace, old);
        let data: Vec<u8> = requests
            .iter()
            .filter_map(|request| match request {
                Request::Data(data) => Some(data.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(data, [b"Delivered-To: a@b\n", &text[..]].concat());
        let commit = Request::Commit {
            sender: b"ann@example.org".to_vec(),
            recipients: vec![RECIPIENT.to_vec()],
            extra_headers: Vec::new(),
        };
        assert_eq!(requests.last(), Some(&commit));
        let mut buffer = [0; 4096];
        let length = collector.recv(&mut buffer).unwrap();
        let event: Event = serde_json::from_slice(&buffer[..length]).unwrap();
        assert_eq!((event.trace, event.other), (old, Some(trace)));
        assert_eq!(event.kind, Kind::Forwarded);
    }

    #[test]
    fn a_refusal_keeps_its_meaning() {
        for (code, permanent) in [(31, true), (53, false)] {
            let world = World::new(Reply::Refused {
                code,
                text: "because (#1)".to_owned(),
            });
            let message = crate::memory_file(b"x").unwrap();
            let refused = forward(&world.site(), run::Tracer::new_id(), &message).unwrap_err();
            assert_eq!(
                (refused.permanent, &refused.text[..]),
                (permanent, "because (#1)")
            );
        }
    }

    #[test]
    fn without_writer_and_program_it_waits() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("control")).unwrap();
        let message = crate::memory_file(b"x").unwrap();
        let result = forward(&site(root.path()), run::Tracer::new_id(), &message);
        assert!(!result.unwrap_err().permanent);
    }

    #[test]
    fn an_unreadable_message_is_not_sent_on() {
        let world = World::new(Reply::Refused {
            code: 81,
            text: String::new(),
        });
        let directory = File::open(world.root.path()).unwrap();
        let refused = forward(&world.site(), run::Tracer::new_id(), &directory).unwrap_err();
        assert_eq!(refused, Refused::from_code(54, b""));
        let requests = world.writer.join().unwrap();
        assert!(!requests.iter().any(|r| matches!(r, Request::Commit { .. })));
    }
}
