//! Where a rule stands: in which line of which file, in which variable.

use policy::AddressList;
use policy::envrules::Change;
use run::Settings;
use settings::{Kind, Setting, receiving};
use smtp::server::Finding;
use text::control;
use wire::explain::Rule;

use crate::policies::Policy;
use crate::service::{Caller, Service};
use reception::Whose;

/// Lists with a companion of patterns.
const PATTERNS: [(&Setting, &Setting); 5] = [
    (&receiving::BADMAILFROM, &receiving::BADMAILPATTERNS),
    (&receiving::BADRCPTTO, &receiving::BADRCPTPATTERNS),
    (&receiving::GOODRCPTTO, &receiving::GOODRCPTPATTERNS),
    (&receiving::BLACKHOLEDSENDER, &receiving::BLACKHOLEDPATTERNS),
    (
        &receiving::BLACKHOLEDRCPT,
        &receiving::BLACKHOLEDRCPTPATTERNS,
    ),
];

/// What is needed to find a rule's place.
pub struct Origins<'a> {
    service: &'a Service,
    settings: Settings,
    /// Variables the rule of the connection sets.
    of_connection: Vec<String>,
    /// Variables a line of from.envrules sets.
    of_sender: Vec<String>,
    /// Why the client may relay.
    pub relay: Option<Rule>,
}

impl<'a> Origins<'a> {
    /// For a client with these settings.
    pub fn new(service: &'a Service, settings: Settings, caller: &Caller) -> Self {
        Self {
            service,
            settings,
            of_connection: caller
                .changes
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            of_sender: Vec::new(),
            relay: None,
        }
    }

    /// A rule for the sender changed variables.
    pub fn changed(&mut self, changes: &[Change]) {
        let overlay = changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        self.settings = self.settings.overlaid(overlay);
        self.of_sender = changes.iter().map(|(name, _)| name.clone()).collect();
    }

    /// What the session found, with its place.
    pub fn of(&self, finding: Finding) -> Rule {
        match (finding.setting, &self.relay) {
            (None, _) => Rule {
                from: "always".to_owned(),
                says: finding.says,
                ..Rule::default()
            },
            (Some(setting), Some(relay)) if setting.is_called("RELAYCLIENT") => relay.clone(),
            (Some(setting), _) => self.rule(setting, finding.line.as_deref(), &finding.says),
        }
    }

    /// A rule with its place.
    pub fn rule(&self, setting: &'static Setting, line: Option<&[u8]>, says: &str) -> Rule {
        let rule = Rule {
            setting: Some(setting.name().to_owned()),
            // Lines of lists are addresses, and no secrets.
            text: line.map(|line| String::from_utf8_lossy(line).into_owned()),
            says: says.to_owned(),
            ..Rule::default()
        };
        let is_list = matches!(setting.kind, Kind::List | Kind::ListOrMe);
        let variable = self.settings.variable(setting.variable);
        match (variable, is_list, line) {
            (Some(value), false, _) => Rule {
                from: self.place_of_variable(setting.variable),
                text: rule.text.or_else(|| Some(shown(setting, value))),
                ..rule
            },
            (_, true, Some(line)) => self.in_file(setting, line, rule),
            _ => Rule {
                from: self.place_of_file(setting),
                ..rule
            },
        }
    }

    /// Who is asked about a mailbox.
    pub fn mailbox(&self, policy: &Policy, address: &[u8]) -> Rule {
        let control = |name: &str| self.path(name);
        let recipients = &policy.recipients;
        if recipients.answer(&self.service.home, address).is_some() {
            let is_asked = |list: &AddressList| list.matching(address).is_some();
            return match recipients.domains.as_ref().is_none_or(is_asked) {
                true => self.rule(&receiving::CHECKRECIPIENT, None, "users/recipients.cdb"),
                false => self.rule(&receiving::CHKRCPTDOMAINS, None, "not asked for"),
            };
        }
        let (from, says) = match policy.domains.whose(address) {
            Whose::Local => (control("locals"), "users and aliases of this host"),
            Whose::Virtual => (control("virtualdomains"), "users of virtual domains"),
            Whose::Elsewhere => (
                control("virtualdomains"),
                "the domain is somewhere else, where its users are known",
            ),
        };
        Rule {
            from,
            says: says.to_owned(),
            ..Rule::default()
        }
    }

    fn place_of_variable(&self, name: &str) -> String {
        let is_in = |names: &[String]| names.iter().any(|known| known == name);
        if is_in(&self.of_sender) {
            format!("variable {name}, from control/from.envrules")
        } else if is_in(&self.of_connection) {
            format!("variable {name}, from {}", self.service.rules.display())
        } else {
            format!("variable {name}")
        }
    }

    fn place_of_file(&self, setting: &Setting) -> String {
        if setting.file.is_empty() {
            return match self.service.submission && setting.is_called("REQUIREAUTH") {
                true => "--submission".to_owned(),
                false => format!("variable {} is not set", setting.variable),
            };
        }
        let name = self.file_name(setting);
        match (self.settings.file(&name), setting.default) {
            (Ok(Some(_)), _) => self.path(&name),
            (_, Some(default)) => format!("the default, {default}"),
            (_, None) => format!("there is no {}", self.path(&name)),
        }
    }

    /// The file of a list, as a variable may name it.
    fn file_name(&self, setting: &Setting) -> String {
        let is_list = matches!(setting.kind, Kind::List | Kind::ListOrMe);
        let named = self.settings.variable(setting.variable);
        let named = named.filter(|name| is_list && !name.is_empty());
        match named.and_then(|name| std::str::from_utf8(name).ok()) {
            Some(name) => name.to_owned(),
            None => setting.file.to_owned(),
        }
    }

    /// The line in the file of the list, or in that of its patterns.
    fn in_file(&self, setting: &'static Setting, line: &[u8], rule: Rule) -> Rule {
        let patterns = PATTERNS
            .iter()
            .find(|(list, _)| std::ptr::eq(*list, setting));
        let files = [Some(setting), patterns.map(|(_, patterns)| *patterns)];
        for setting in files.into_iter().flatten() {
            let name = self.file_name(setting);
            if let Some(number) = self.line_number(&name, line) {
                return Rule {
                    setting: Some(setting.name().to_owned()),
                    from: self.path(&name),
                    line: Some(number),
                    ..rule
                };
            }
        }
        let name = match setting.is_called("rcpthosts") {
            true => "morercpthosts".to_owned(),
            false => self.file_name(setting),
        };
        Rule {
            from: self.path(&format!("{name}.cdb")),
            ..rule
        }
    }

    fn line_number(&self, name: &str, line: &[u8]) -> Option<usize> {
        let content = self.settings.file(name).ok()??;
        let is_it = |text: &[u8]| control::list(text).any(|known| known.eq_ignore_ascii_case(line));
        let at = content.split(|&b| b == b'\n').position(is_it)?;
        Some(at + 1)
    }

    fn path(&self, name: &str) -> String {
        match name.starts_with(['/', '.']) {
            true => name.to_owned(),
            false => self.service.home.control().join(name).display().to_string(),
        }
    }
}

/// A value without what is secret.
fn shown(setting: &Setting, value: &[u8]) -> String {
    let value = settings::secret::shown(setting.name(), value);
    String::from_utf8_lossy(&value).into_owned()
}
