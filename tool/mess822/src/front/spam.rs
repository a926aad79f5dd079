//! `SPAMFILTER`: judges, and may rewrite, what strangers send.

use std::process::Command;

use os::child::Ended;
use run::Exit;
use settings::front_ends::{REJECTSPAM, SPAMEXITCODE, SPAMFILTER, SPAMFILTERARGS, SPAMREDIRECT};

use super::multi::{Passage, Verdict};
use super::{CODE_CRASHED, CODE_SPAM, CODE_SPAM_FILTER, unreadable, words};

/// The stage.
pub fn judge(passage: &mut Passage<'_>) -> Result<Verdict, Exit> {
    let Some(command) = passage.variable(SPAMFILTER.variable) else {
        return Ok(Verdict::Pass);
    };
    if passage.settings.variable("RELAYCLIENT").is_some() {
        return Ok(Verdict::Pass);
    }
    let mut line = words(&command)?;
    if let Some(more) = passage.variable(SPAMFILTERARGS.variable) {
        line.extend(words(&more)?);
    }
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    let spam = match passage.variable(SPAMEXITCODE.variable) {
        Some(_) => Some(passage.integer(&SPAMEXITCODE)?),
        None => None,
    };
    match passage.filter(command)? {
        Ended::Code(code) if Some(i64::from(code)) == spam => act(passage),
        Ended::Code(0..=2) => Ok(Verdict::Pass),
        Ended::Code(_) => Ok(Verdict::Answer(CODE_SPAM_FILTER)),
        Ended::Signal(_) => Ok(Verdict::Answer(CODE_CRASHED)),
    }
}

/// A copy may go to somebody who looks at spam; then `REJECTSPAM` decides.
fn act(passage: &mut Passage<'_>) -> Result<Verdict, Exit> {
    let reject = passage.integer(&REJECTSPAM)?;
    let redirect = passage.settings.line(&SPAMREDIRECT).map_err(unreadable)?;
    if let Some(address) = redirect.filter(|address| !address.is_empty()) {
        passage.take_envelope(|_| Ok(()))?;
        passage.replace_envelope(b"", &address)?;
        if reject == 0 {
            return Ok(Verdict::Pass);
        }
        let code = passage.queue_now()?;
        return Ok(Verdict::Answer(match code {
            0 if reject == 1 => CODE_SPAM,
            code => code,
        }));
    }
    Ok(match reject {
        0 => Verdict::Pass,
        1 => Verdict::Answer(CODE_SPAM),
        _ => Verdict::Discard,
    })
}
