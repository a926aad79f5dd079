//! What becomes of each recipient: its local part says so.

use std::path::Path;

use maildir::deliver::deliver_to;
use queue::FileSystem;
use schedule::Verdict;

use super::Engine;
use crate::check::Fact;
use crate::model::ModelMaildir;

/// How the text of a bounce ends.
pub(crate) const BOUNCE_END: &[u8] = b"-- end of bounce\n";
/// Until this second of a message's life `slow` recipients are deferred.
const PATIENCE_SECONDS: i64 = 150;

impl Engine {
    pub(super) fn attempt(&mut self, id: u64, sender: &[u8], recipient: &[u8]) -> Verdict {
        let recipient = String::from_utf8_lossy(recipient).into_owned();
        let (user, host) = recipient.split_once('@').expect("recipients have a host");
        // The text is opened before anything else, as the spawners do.
        let path = self.layout.mess(id);
        let (Ok(text), Ok(status)) = (self.model.open(&path), self.model.status(&path)) else {
            return Verdict::Deferral;
        };
        match (user, host) {
            (user, _) if user.starts_with("bad") => Verdict::Failure,
            (user, _)
                if user.starts_with("slow")
                    && self.model.now() < status.mtime + PATIENCE_SECONDS =>
            {
                Verdict::Deferral
            }
            (user, "h") if user.starts_with("forward") => {
                let mut copy = vec![0; usize::try_from(status.bytes).unwrap_or(0)];
                let read = std::os::unix::fs::FileExt::read_exact_at(&text, &mut copy, 0);
                let forwarded = read.is_ok() && self.inject(sender, &["ann@h"], &copy).is_ok();
                match forwarded {
                    true => Verdict::Success,
                    false => Verdict::Deferral,
                }
            }
            (user, "h") => self.store(user, &text),
            _ => {
                let mut copy = vec![0; usize::try_from(status.bytes).unwrap_or(0)];
                if std::os::unix::fs::FileExt::read_exact_at(&text, &mut copy, 0).is_err() {
                    return Verdict::Deferral;
                }
                let text = String::from_utf8_lossy(&copy).into_owned();
                self.fact(Fact::Sent { recipient, text });
                Verdict::Success
            }
        }
    }

    fn store(&self, user: &str, text: &crate::model::ModelInput) -> Verdict {
        let path = format!("/mail/{user}");
        let place = ModelMaildir {
            model: self.model.clone(),
            path: path.clone(),
        };
        let prefix = format!("Delivered-To: {user}@h\n");
        match deliver_to(&place, Path::new(&path), "h", prefix.as_bytes(), text) {
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::Deferral,
        }
    }
}
