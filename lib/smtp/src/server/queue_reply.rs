//! What the exit codes of qmail-queue become for a client.

/// What qmail-queue's exit codes are to a client (smtp-receiving.md §5.2):
/// whether the refusal is permanent, and the text.
pub fn of_queue_code(code: u8) -> (Permanence, &'static str) {
    let report = match code {
        // Where the receiving side has texts of its own.
        50 => "Zunable to set uid/gid for the scanner (#4.3.0)",
        58 => "Zunable to resolve symbol in shared object/plugin (#4.3.0)",
        60 => "Zqq trouble creating pipes/sockets (#4.3.0)",
        62 => "Zqq unable to access mess file (#4.3.0)",
        91 => "Zqq internal bug (#4.3.0)",
        code => wire::queue::report(code),
    };
    match report.strip_prefix('D') {
        Some(text) => (Permanence::Permanent, text),
        None => (Permanence::Temporary, report.get(1..).unwrap_or_default()),
    }
}

/// Is it worth trying again?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permanence {
    /// No.
    Permanent,
    /// Yes, later.
    Temporary,
}

/// The reply line for a text that ends with its own code, `(#5.7.1)`.
pub(super) fn queue_line(permanence: Permanence, text: &str) -> String {
    let (code, class) = match permanence {
        Permanence::Permanent => (554, '5'),
        Permanence::Temporary => (451, '4'),
    };
    let own = text
        .rfind("(#")
        .map(|at| text[at + 2..].trim_end_matches(')'));
    match own.filter(|own| own.starts_with(class) && is_enhanced(own)) {
        Some(own) => format!("{code} {own} {text}"),
        None => format!("{code} {class}.3.0 {text}"),
    }
}

/// `class.subject.detail`, digits each (RFC 3463 §2).
fn is_enhanced(code: &str) -> bool {
    let parts: Vec<&str> = code.split('.').collect();
    parts.len() == 3
        && parts
            .iter()
            .all(|part| matches!(part.len(), 1..=3) && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enhanced_code_of_a_queue_text_comes_first() {
        let (permanence, text) = of_queue_code(32);
        assert_eq!(
            queue_line(permanence, text),
            "554 5.7.1 SPAM or junk mail threshold exceeded (#5.7.1)"
        );
        assert_eq!(
            queue_line(Permanence::Temporary, "later"),
            "451 4.3.0 later"
        );
        assert_eq!(
            queue_line(Permanence::Temporary, "odd (#5.1.1)"),
            "451 4.3.0 odd (#5.1.1)"
        );
    }
}
