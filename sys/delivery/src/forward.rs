//! Sending a message on: through the queue writer, else through the queue
//! program.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

pub use inject::Refused;
use inject::{Code, Program, Submission, Way};
use wire::dsn::Dsn;
use wire::queue::DATA_BYTES_MAX;
use wire::trace::{Kind, TraceId};

use crate::program::{Captured, Ending, Job};
use crate::site::Site;

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
    /// What its sender wants to be told, as lines of [`wire::dsn`]; nothing
    /// when the new message has another sender.
    pub wishes: &'a [u8],
}

impl Forward<'_> {
    /// What the sender of the new message wants to be told.
    fn new_wishes(&self) -> Vec<u8> {
        let dsn = Dsn::from_headers(self.wishes);
        dsn.forwarded(self.recipients).to_headers()
    }
}

/// Queues the message under a trace of its own; returns the number for `qp`.
/// When this is `Ok` the new message is on disk.
pub fn send(site: &Site, forward: Forward<'_>) -> Result<u32, Refused> {
    let sender = inject::srs::forward_sender(site.srs.as_ref(), forward.sender);
    let forward = Forward {
        sender: &sender,
        ..forward
    };
    let trace = run::Tracer::new_id();
    let writer = || Submission::to_writer(&site.home, trace, None, &forward.new_wishes());
    // The queue that a message came from does not choose that of the next one.
    let settings = site.settings.overlaid([("QUEUEDIR", None)]);
    let qp = match Way::choose(&site.home, &settings, &[])? {
        Way::Nowhere => std::process::id(),
        Way::Program(program) => through_program(site, &program, &forward, trace)?,
        Way::Writer(program) => match writer() {
            Some(submission) => through_writer(submission, &forward)?,
            None => through_program(site, &program, &forward, trace)?,
        },
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

fn through_writer(mut submission: Submission, forward: &Forward<'_>) -> Result<u32, Refused> {
    submission.write(forward.prefix)?;
    let mut offset = 0;
    let mut data = vec![0; DATA_BYTES_MAX];
    loop {
        match forward.message.read_at(&mut data, offset) {
            Ok(0) => break,
            Ok(got) => {
                submission.write(&data[..got])?;
                offset += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Nothing was committed; the connection ends and with it the
            // message.
            Err(error) => return Err(Refused::because(Code::Read, error)),
        }
    }
    let queued = submission.commit(forward.sender, forward.recipients.to_vec(), Vec::new())?;
    Ok(queued.qp)
}

/// Through a program, which another process may have to start.
fn through_program(
    site: &Site,
    program: &Program,
    forward: &Forward<'_>,
    trace: TraceId,
) -> Result<u32, Refused> {
    let no_file = |error| Refused::because(Code::TemporaryFile, error);
    let message = crate::spool(forward.prefix, forward.message).map_err(no_file)?;
    let envelope = inject::records(forward.sender, forward.recipients);
    let envelope = crate::memory_file(&envelope).map_err(no_file)?;
    let descriptors = vec![(0, message.into()), (1, envelope.into())];
    let job = queue_job(site, program, trace, forward.new_wishes());
    let finished = site
        .programs
        .run(&job, descriptors)
        .map_err(|error| program.not_started(&error))?;
    match finished.ending {
        Ending::Code(0) => Ok(finished.pid),
        Ending::Code(code) => {
            let code = u8::try_from(code).unwrap_or(Code::Crashed as u8);
            Err(Refused::from_code(code, &finished.output))
        }
        Ending::Crashed => Err(Refused::from_code(Code::Crashed as u8, &finished.output)),
    }
}

fn queue_job(site: &Site, program: &Program, trace: TraceId, wishes: Vec<u8>) -> Job {
    let mut environment = site.queue.clone();
    for (name, value) in [
        (wire::trace::VARIABLE, trace.to_string().into_bytes()),
        (wire::dsn::VARIABLE, wishes),
    ] {
        environment.push((name.as_bytes().to_vec(), value));
    }
    Job {
        program: program.path().as_os_str().as_bytes().to_vec(),
        arguments: program.arguments().to_vec(),
        directory: program.directory().as_os_str().as_bytes().to_vec(),
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
    use wire::queue::{Reply, Request, VERSION};
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
            wishes: b"X-Indimail-Dsn-To: a@b NOTIFY=SUCCESS,FAILURE\n",
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
        let wishes = Request::Dsn(b"X-Indimail-Dsn: NOTIFY=FAILURE\n".to_vec());
        assert!(requests.contains(&wishes), "{requests:?}");
        let mut buffer = [0; 4096];
        let length = collector.recv(&mut buffer).unwrap();
        let event: Event = serde_json::from_slice(&buffer[..length]).unwrap();
        assert_eq!((event.trace, event.other), (old, Some(trace)));
        assert_eq!(event.kind, Kind::Forwarded);
    }

    #[test]
    fn the_sender_is_rewritten_where_the_site_wants_it() {
        let world = World::new(Reply::Queued {
            message: 5,
            queue: "queue1".to_owned(),
            qp: 77,
        });
        let control = world.root.path().join("control");
        std::fs::write(control.join("srs_domain"), "fwd.example\n").unwrap();
        std::fs::write(control.join("srs_secrets"), "secret\n").unwrap();
        let mut site = world.site();
        site.srs = inject::srs::configured(&site.settings).unwrap();
        let message = crate::memory_file(b"x\n").unwrap();
        forward(&site, run::Tracer::new_id(), &message).unwrap();
        let requests = world.writer.join().unwrap();
        let Some(Request::Commit { sender, .. }) = requests.last() else {
            panic!("{requests:?}");
        };
        let shown = String::from_utf8_lossy(sender);
        assert!(shown.starts_with("SRS0="), "{shown}");
        assert!(shown.ends_with("=example.org=ann@fwd.example"), "{shown}");
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
            assert_eq!(refused.permanent, permanent);
            assert!(refused.text.ends_with(": because (#1)"), "{refused}");
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
        assert!(refused.text.starts_with("qq read error (#4.3.0)") && !refused.permanent);
        let requests = world.writer.join().unwrap();
        assert!(!requests.iter().any(|r| matches!(r, Request::Commit { .. })));
    }
}
