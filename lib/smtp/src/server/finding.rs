//! Which rules spoke, for whoever asks why (`indimail explain smtp`).

use std::cell::RefCell;

use policy::AddressList;
use settings::Setting;

use super::Session;

/// One rule that spoke about what the client said.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Whose word it is; `None` for what holds whatever the settings say.
    pub setting: Option<&'static Setting>,
    /// The line of its file; `cdb` when it is from that form of it.
    pub line: Option<Vec<u8>>,
    /// What follows, without a full stop.
    pub says: String,
}

/// What was found; nothing is kept unless somebody asked for it.
#[derive(Debug, Default)]
pub(super) struct Findings(Option<RefCell<Vec<Finding>>>);

impl Session {
    /// From now on the rules that speak are kept for [`Session::findings`].
    pub fn explain(&mut self) {
        self.findings.0 = Some(RefCell::default());
    }

    /// The rules that spoke since this was called last, in their order.
    pub fn findings(&mut self) -> Vec<Finding> {
        let findings = self.findings.0.as_mut();
        findings.map_or(Vec::new(), |found| std::mem::take(found.get_mut()))
    }

    /// Keeps what a rule says.
    pub(super) fn tell(&self, setting: &'static Setting, line: Option<&[u8]>, says: &str) {
        self.keep(Some(setting), line, says);
    }

    /// Keeps what holds without any setting.
    pub(super) fn always(&self, says: &str) {
        self.keep(None, None, says);
    }

    /// Says whether an address is in a list, and keeps the line.
    pub(super) fn is_in(
        &self,
        (setting, list): (&'static Setting, &AddressList),
        address: &[u8],
        says: &str,
    ) -> bool {
        let line = list.matching(address);
        if line.is_some() {
            self.tell(setting, line, says);
        }
        line.is_some()
    }

    /// Says whether a switch is on that refuses or restricts, and keeps it.
    pub(super) fn speaks(&self, setting: &'static Setting, speaks: bool, says: &str) -> bool {
        if speaks {
            self.tell(setting, None, says);
        }
        speaks
    }

    fn keep(&self, setting: Option<&'static Setting>, line: Option<&[u8]>, says: &str) {
        if let Some(findings) = &self.findings.0 {
            findings.borrow_mut().push(Finding {
                setting,
                line: line.map(<[u8]>::to_vec),
                says: says.to_owned(),
            });
        }
    }
}
