//! What the settings say about one delivery: rules that set variables, lines
//! by domain, senders that are spared.

use policy::{AddressList, Mode};
use run::Settings;
use settings::Setting;
use settings::front_ends::{FROMD_RULES, RCPTRULES, SPAMIGNORE, SPAMIGNOREPATTERNS};
use settings::receiving::QREGEX;
use text::envrules::Change;

use crate::delivery::Delivery;

/// Patterns are what `qregex` says.
fn mode(settings: &Settings) -> Result<Mode, String> {
    let number = settings
        .integer(&QREGEX)
        .map_err(|error| run::chain(&error))?;
    Ok(match number {
        0 => Mode::Wildcard,
        _ => Mode::Regex,
    })
}

fn lines(settings: &Settings, name: &str) -> Result<Vec<Vec<u8>>, String> {
    let content = settings.file(name).map_err(|error| run::chain(&error))?;
    let content = content.unwrap_or_default();
    Ok(text::control::list(&content).map(<[u8]>::to_vec).collect())
}

/// The variables that the rules change: by the sender, then by the recipient.
pub fn changes(settings: &Settings, delivery: &Delivery) -> Result<Vec<Change>, String> {
    let mode = mode(settings)?;
    let mut changes = Vec::new();
    for (variable, default, address) in [
        ("FROMRULES", FROMD_RULES.file, &delivery.sender),
        (RCPTRULES.variable, RCPTRULES.file, &delivery.recipient),
    ] {
        let named = [variable, "ENVRULES"]
            .into_iter()
            .filter_map(|name| settings.variable(name))
            .find(|name| !name.is_empty());
        let named = named.and_then(|name| std::str::from_utf8(name).ok());
        let lines = lines(settings, named.unwrap_or(default))?;
        let address = address.to_ascii_lowercase();
        let found = policy::envrules::changes_for_programs(&lines, &address, mode)
            .map_err(|bad| format!("{default}: not a rule: {}", bad.line))?;
        changes.extend(found);
    }
    Ok(changes)
}

/// The value of the first line `DOMAIN:[local:|remote:]VALUE` for this
/// delivery.
pub fn by_domain(
    settings: &Settings,
    setting: &'static Setting,
    delivery: &Delivery,
) -> Result<Option<Vec<u8>>, String> {
    let mode = mode(settings)?;
    for line in lines(settings, setting.file)? {
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            continue;
        };
        let (domain, value) = (line[..colon].to_vec(), &line[colon + 1..]);
        let value = match value.strip_prefix(delivery.direction.word()) {
            Some(value) => value,
            None if value.starts_with(b"local:") || value.starts_with(b"remote:") => continue,
            None => value,
        };
        let is_equal = domain.eq_ignore_ascii_case(&delivery.domain);
        let list = AddressList::new(vec![domain], Vec::new(), None, mode)
            .map_err(|error| format!("{}: {error}", setting.file))?;
        if is_equal || list.matching(&delivery.domain).is_some() {
            return Ok(Some(value.to_vec()));
        }
    }
    Ok(None)
}

/// Says whether nobody judges what this sender writes.
pub fn is_spared(settings: &Settings, sender: &[u8]) -> Result<bool, String> {
    let list = |setting| settings.list(setting).map_err(|error| run::chain(&error));
    let cdb = settings
        .file("spamignore.cdb")
        .map_err(|error| run::chain(&error))?;
    let list = AddressList::new(
        list(&SPAMIGNORE)?.unwrap_or_default(),
        list(&SPAMIGNOREPATTERNS)?.unwrap_or_default(),
        cdb,
        mode(settings)?,
    );
    let list = list.map_err(|error| format!("spamignore: {error}"))?;
    Ok(list.matching(sender).is_some())
}
