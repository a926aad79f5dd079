//! `SPAMFILTER`: judges, and may rewrite, what strangers send.

use filter::{Judgement, SpamFilter};
use run::Exit;
use settings::front_ends::{REJECTSPAM, SPAMFILTER, SPAMREDIRECT};

use super::multi::{Passage, Verdict};
use super::{CODE_CRASHED, CODE_SPAM, CODE_SPAM_FILTER, failed, unreadable};

/// The stage.
pub fn judge(passage: &mut Passage<'_>) -> Result<Verdict, Exit> {
    let Some(command) = passage.variable(SPAMFILTER.variable) else {
        return Ok(Verdict::Pass);
    };
    if passage.settings.variable("RELAYCLIENT").is_some() {
        return Ok(Verdict::Pass);
    }
    let filter = SpamFilter::new(&command, passage.settings).map_err(failed)?;
    let ended = passage.filter(filter.command())?;
    match filter.judgement(ended) {
        Judgement::Spam => act(passage),
        Judgement::Fine => Ok(Verdict::Pass),
        Judgement::Trouble => Ok(Verdict::Answer(CODE_SPAM_FILTER)),
        Judgement::Crashed => Ok(Verdict::Answer(CODE_CRASHED)),
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
