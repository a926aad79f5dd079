//! One connection of qmail-lspawn: requests in, reports out in any order.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use delivery::Outcome;
use delivery::channel::{self, Receiver};
use wire::deliver::{Report, Request, VERSION};

use crate::NAME;
use crate::pool::{Pool, Task};

/// How long a client may take to read a report.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the reports of one connection go.
pub(crate) struct Reports(Mutex<UnixStream>);

impl Reports {
    /// Sends a report. A client that is gone, or that does not read, will
    /// deliver again; its connection is closed so that it notices.
    pub(crate) fn send(&self, report: &Report) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if channel::send(&stream, VERSION, report, &[]).is_err() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Serves a connection in a thread of its own.
pub(crate) fn start(stream: UnixStream, pool: Arc<Pool>) {
    let serve = move || {
        if let Err(error) = read_requests(stream, &pool) {
            run::warn(NAME, &format!("connection closed: {error}"));
        }
    };
    if let Err(error) = std::thread::Builder::new().spawn(serve) {
        run::warn(NAME, &format!("cannot serve a connection: {error}"));
    }
}

fn read_requests(stream: UnixStream, pool: &Pool) -> std::io::Result<()> {
    // The listener's socket does not wait; this one does.
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let reports = Arc::new(Reports(Mutex::new(stream.try_clone()?)));
    let mut receiver = Receiver::new(stream, VERSION);
    while let Some(request) = receiver.receive::<Request>()? {
        let Some(message) = receiver.take_fd() else {
            let outcome = Outcome::temporary("vdeliverd was given no message. (#4.3.0)");
            reports.send(&Report {
                delivery: request.delivery,
                code: outcome.code,
                output: outcome.output,
            });
            continue;
        };
        // Waits while more is under way than the pool takes.
        pool.add(Task {
            request,
            message: File::from(message),
            reports: Arc::clone(&reports),
        });
    }
    Ok(())
}
