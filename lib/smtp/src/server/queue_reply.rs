//! What the exit codes of qmail-queue become for a client.

/// What qmail-queue's exit codes are to a client (smtp-receiving.md §5.2):
/// whether the refusal is permanent, and the text.
pub fn of_queue_code(code: u8) -> (Permanence, &'static str) {
    use Permanence::{Permanent, Temporary};
    match code {
        11 | 115 => (Permanent, "envelope address too long for qq (#5.1.3)"),
        31 => (
            Permanent,
            "mail server permanently rejected message (#5.3.0)",
        ),
        32 => (Permanent, "SPAM or junk mail threshold exceeded (#5.7.1)"),
        33 => (Permanent, "Message contains virus (#5.7.1)"),
        34 => (Permanent, "Message contains banned attachment (#5.7.1)"),
        35 => (Permanent, "Private key file does not exist (#5.3.5)"),
        12..=40 => (Permanent, "qq permanent problem (#5.3.0)"),
        50 => (Temporary, "unable to set uid/gid for the scanner (#4.3.0)"),
        51 => (Temporary, "qq out of memory (#4.3.0)"),
        52 => (Temporary, "qq timeout (#4.3.0)"),
        53 => (Temporary, "qq write error or disk full (#4.3.0)"),
        54 => (Temporary, "qq read error (#4.3.0)"),
        55 => (Temporary, "qq unable to read configuration (#4.3.0)"),
        56 => (Temporary, "qq trouble making network connection (#4.3.0)"),
        57 => (Temporary, "unable to open shared object/plugin (#4.3.0)"),
        58 => (
            Temporary,
            "unable to resolve symbol in shared object/plugin (#4.3.0)",
        ),
        59 => (Temporary, "unable to close shared object/plugin (#4.3.0)"),
        60 => (Temporary, "qq trouble creating pipes/sockets (#4.3.0)"),
        61 => (Temporary, "qq trouble in home directory (#4.3.0)"),
        62 => (Temporary, "qq unable to access mess file (#4.3.0)"),
        63..=67 | 69 | 70 => (Temporary, "qq trouble creating files in queue (#4.3.0)"),
        68 => (Temporary, "qq trouble creating temporary files (#4.3.0)"),
        71 => (
            Temporary,
            "mail server temporarily rejected message (#4.3.0)",
        ),
        72 => (Temporary, "connection to mail server timed out (#4.4.1)"),
        73 => (Temporary, "connection to mail server rejected (#4.4.1)"),
        74 => (Temporary, "communication with mail server failed (#4.4.2)"),
        75 => (Temporary, "unable to exec (#4.3.0)"),
        76 => (Temporary, "temporary problem with SPAM filter (#4.3.0)"),
        77 => (Temporary, "qq unable to run QHPSI scanner (#4.3.0)"),
        78 => (Temporary, "qq trouble getting uids/gids (#4.3.0)"),
        79 => (Temporary, "qq envelope format error (#4.3.0)"),
        80 | 83 => (Temporary, "qq trouble removing files in queue (#4.3.0)"),
        81 | 91 => (Temporary, "qq internal bug (#4.3.0)"),
        82 | 120 => (Temporary, "unable to exec qq (#4.3.0)"),
        87 => (Temporary, "mail system incorrectly configured. (#4.3.5)"),
        121 => (Temporary, "unable to fork (#4.3.0)"),
        122 => (Temporary, "qq waitpid surprise (#4.3.0)"),
        123 => (Temporary, "qq crashed (#4.3.0)"),
        _ => (Temporary, "qq temporary problem (#4.3.0)"),
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
