//! Not storing what a mailbox got a moment ago
//! (queue-and-delivery.md §6.11).

use std::path::Path;

use settings::local;

use super::{Job, io_trouble};
use crate::duplicates::{Fingerprint, Memory};
use crate::outcome::Step;
use crate::program::Ending;

/// What a maildir knows of a message.
pub(super) enum Copy {
    /// It is not asked to know, or cannot tell this message from others.
    Unknown,
    /// It got the same for the same recipient a moment ago.
    Seen,
    /// It did not; to be remembered once it is stored.
    New(Fingerprint),
}

/// Looks a message up. Nothing is remembered yet.
pub(super) fn look_up(job: &Job<'_>, maildir: &Path) -> Step<Copy> {
    let settings = &job.site.settings;
    if settings.variable(local::ELIMINATE_DUPS.variable).is_none() {
        return Ok(Copy::Unknown);
    }
    let chosen = match settings.variable(local::ELIMINATE_DUPS_ARGS.variable) {
        Some(command) if !command.is_empty() => match output(job, command) {
            Some(chosen) => Some(chosen),
            // Rather two copies than none.
            None => return Ok(Copy::Unknown),
        },
        _ => None,
    };
    let trouble = |error| io_trouble("look for duplicates", &error);
    let recipient = job.facts.recipient();
    let found = Fingerprint::of(job.message, &recipient, chosen.as_deref()).map_err(trouble)?;
    let Some(fingerprint) = found else {
        return Ok(Copy::Unknown);
    };
    match memory(job, maildir).has(&fingerprint).map_err(trouble)? {
        true => Ok(Copy::Seen),
        false => Ok(Copy::New(fingerprint)),
    }
}

/// Remembers a message that is stored. When this fails a copy may be stored
/// too, which is no harm.
pub(super) fn remember(job: &Job<'_>, maildir: &Path, fingerprint: &Fingerprint) {
    let _ = memory(job, maildir).remember(fingerprint);
}

fn memory<'a>(job: &Job<'_>, maildir: &'a Path) -> Memory<'a> {
    let settings = &job.site.settings;
    Memory {
        maildir,
        window_seconds: settings.integer(&local::ELIMINATE_DUPS_INT).unwrap_or(900),
    }
}

/// What the site's program prints of the message; `None` when it fails.
fn output(job: &Job<'_>, command: &[u8]) -> Option<Vec<u8>> {
    let message = crate::spool(b"", job.message).ok()?;
    let program = crate::Job::of_line(command, b"/".to_vec(), job.site.clean.clone());
    let finished = job
        .site
        .programs
        .run(&program, vec![(0, message.into())])
        .ok()?;
    (finished.ending == Ending::Code(0)).then_some(finished.output)
}
