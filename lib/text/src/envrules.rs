//! Rules that set variables by address: `pattern:VAR=value,VAR2=`
//! (queue-and-delivery.md §3.7).

use crate::wildmat;

/// Variables that decide which code runs; no rule may touch them.
const FORBIDDEN: [&[u8]; 4] = [b"PATH", b"IFS", b"HOME", b"SHELL"];
const FORBIDDEN_PREFIX: &[u8] = b"LD_";

/// A rule that cannot be obeyed. Always temporary: somebody wrote it for a
/// reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadRule {
    /// The line, printable.
    pub line: String,
}

/// A variable and its new value; `None` removes it.
pub type Change = (String, Option<Vec<u8>>);

/// What the matching rules change, in their order: a later change of the same
/// variable wins. An empty pattern or `<>` matches the null sender. All lines
/// are checked, whether they match or not.
pub fn changes<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    address: &[u8],
) -> Result<Vec<Change>, BadRule> {
    changes_by(lines, address, |pattern, address| {
        Some(wildmat::matches(pattern, address))
    })
}

/// As [`changes`], with patterns of another kind: `matches` says whether one
/// matches an address, `None` when it is no pattern.
pub fn changes_by<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    address: &[u8],
    matches: impl Fn(&[u8], &[u8]) -> Option<bool>,
) -> Result<Vec<Change>, BadRule> {
    let mut found = Vec::new();
    for line in lines {
        let bad = || BadRule {
            line: crate::log::printable(line, 200),
        };
        let (pattern, changes) = parse(line).ok_or_else(bad)?;
        let matching = match pattern {
            b"" | b"<>" => address.is_empty(),
            pattern => matches(pattern, address).ok_or_else(bad)?,
        };
        if matching {
            found.extend(changes);
        }
    }
    Ok(found)
}

fn parse(line: &[u8]) -> Option<(&[u8], Vec<Change>)> {
    let colon = line.iter().position(|&b| b == b':')?;
    let (pattern, assignments) = (&line[..colon], &line[colon + 1..]);
    let assignments = split_at_commas(assignments);
    let changes = assignments.iter().map(|text| assignment(text));
    Some((pattern, changes.collect::<Option<_>>()?))
}

fn assignment(text: &[u8]) -> Option<Change> {
    let equals = text.iter().position(|&b| b == b'=')?;
    let (name, value) = (text[..equals].trim_ascii(), &text[equals + 1..]);
    let valid = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let forbidden = FORBIDDEN.contains(&name) || name.starts_with(FORBIDDEN_PREFIX);
    if name.is_empty() || !valid || forbidden || value.contains(&0) {
        return None;
    }
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some((name, (!value.is_empty()).then(|| value.to_vec())))
}

/// `\,` is a comma inside a value.
fn split_at_commas(text: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = text.iter().peekable();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next_if(|next| **next == b',').is_some() => {
                parts
                    .last_mut()
                    .into_iter()
                    .for_each(|part| part.push(b','));
            }
            b',' => parts.push(Vec::new()),
            byte => parts
                .last_mut()
                .into_iter()
                .for_each(|part| part.push(byte)),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rules: &str, address: &str) -> Result<Vec<Change>, BadRule> {
        let lines = rules.lines().map(str::as_bytes);
        changes(lines, address.as_bytes())
    }

    fn set(name: &str, value: &str) -> Change {
        (name.to_owned(), Some(value.as_bytes().to_vec()))
    }

    #[test]
    fn all_matching_rules_apply_in_order() {
        let rules = "*@a.example:ONE=1,TWO=x\\,y\nann@*:ONE=,\nbob@*:ONE=3\n";
        assert_eq!(
            run(rules, "ann@a.example").unwrap(),
            [set("ONE", "1"), set("TWO", "x,y"), ("ONE".to_owned(), None)]
        );
        assert_eq!(
            run("<>:N=1\n:M=2\n", "").unwrap(),
            [set("N", "1"), set("M", "2")]
        );
    }

    #[test]
    fn any_lines_are_rules_or_refused() {
        property::holds(|u| {
            let (line, address) = (property::bytes(u)?, property::bytes(u)?);
            if let Ok(changes) = changes([&line[..]], &address) {
                assert!(changes.iter().all(|(name, _)| !name.starts_with("LD_")));
            }
            Ok(())
        });
    }

    #[test]
    fn a_rule_cannot_choose_what_runs() {
        for name in ["PATH", "LD_PRELOAD", "IFS", "HOME", "A-B", ""] {
            assert!(run(&format!("x:{name}=1"), "y").is_err(), "{name}");
        }
        assert!(run("no colon", "y").is_err() && run("x:no equals", "y").is_err());
    }
}
