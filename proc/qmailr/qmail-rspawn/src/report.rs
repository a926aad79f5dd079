//! What qmail-remote's output means for a delivery
//! (queue-and-delivery.md §5.5).

use os::child::Ended;
use wire::spawn::Outcome;

/// Makes a report from how qmail-remote ended and what it printed: strings
/// ending in NUL, first one for the recipient (`r`, `h` or `s`), then one for
/// the message (`K`, `Z` or `D`).
pub fn of_delivery(ended: Ended, output: &[u8]) -> (Outcome, Vec<u8>) {
    let words = |outcome, text: &str| (outcome, text.as_bytes().to_vec());
    match ended {
        Ended::Signal(_) => words(Outcome::Deferral, "qmail-remote crashed.\n"),
        Ended::Code(0) => of_output(output),
        Ended::Code(111) => words(Outcome::Deferral, "Unable to run qmail-remote.\n"),
        Ended::Code(_) => words(Outcome::Failure, "Unable to run qmail-remote.\n"),
    }
}

fn of_output(output: &[u8]) -> (Outcome, Vec<u8>) {
    let end = output
        .iter()
        .rposition(|&b| b == 0)
        .map_or(0, |end| end + 1);
    let strings: Vec<&[u8]> = match output[..end].strip_suffix(b"\0") {
        Some(text) => text.split(|&b| b == 0).collect(),
        None => Vec::new(),
    };
    let Some((first, _)) = strings.split_first() else {
        let text = b"qmail-remote produced no output.\n".to_vec();
        return (Outcome::Deferral, text);
    };
    // 1 success, 0 deferral, -1 failure, as the message report says.
    let result = strings
        .iter()
        .find_map(|string| value(*string.first()?))
        .unwrap_or(-1);
    let verdict = match first.first() {
        Some(b'h') => -1,
        Some(b's') => 0,
        _ => result,
    };
    // The message report adds something unless the recipient's is worse.
    let mut text = first.get(1..).unwrap_or_default().to_vec();
    if result <= verdict
        && let Some((letter, more)) = strings.get(1).and_then(|next| next.split_first())
        && value(*letter).is_some()
    {
        text.extend_from_slice(more);
    }
    let outcome = match verdict {
        1 => Outcome::Success,
        0 => Outcome::Deferral,
        _ => Outcome::Failure,
    };
    (outcome, text)
}

fn value(letter: u8) -> Option<i8> {
    match letter {
        b'K' => Some(1),
        b'Z' => Some(0),
        b'D' => Some(-1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(output: &[u8]) -> (Outcome, String) {
        let (outcome, text) = of_delivery(Ended::Code(0), output);
        (outcome, String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_worse_of_both_reports_counts() {
        let success = (Outcome::Success, "1.2.3.4 accepted.\n".to_owned());
        assert_eq!(report(b"r\0K1.2.3.4 accepted.\n\0"), success);
        assert_eq!(
            report(b"rgood \0Zbad\0"),
            (Outcome::Deferral, "good bad".into())
        );
        assert_eq!(
            report(b"hno user\0Kok\0"),
            (Outcome::Failure, "no user".into())
        );
        assert_eq!(
            report(b"hno \0Dand no\0"),
            (Outcome::Failure, "no and no".into())
        );
        assert_eq!(
            report(b"slater\0Kok\0"),
            (Outcome::Deferral, "later".into())
        );
        assert_eq!(report(b"sa\0Zb\0"), (Outcome::Deferral, "ab".into()));
        assert_eq!(report(b"sa\0Db\0"), (Outcome::Deferral, "ab".into()));
    }

    #[test]
    fn an_early_end_is_a_single_report() {
        assert_eq!(report(b"Zno host\0"), (Outcome::Deferral, "no host".into()));
        assert_eq!(report(b"Dnever\0"), (Outcome::Failure, "never".into()));
        assert_eq!(report(b"rgood\0"), (Outcome::Failure, "good".into()));
    }

    #[test]
    fn silence_never_counts_as_success() {
        assert_eq!(report(b"").0, Outcome::Deferral);
        assert_eq!(report(b"K").0, Outcome::Deferral);
        assert_eq!(
            of_delivery(Ended::Signal(11), b"r\0K\0").0,
            Outcome::Deferral
        );
        assert_eq!(
            of_delivery(Ended::Code(111), b"r\0K\0").0,
            Outcome::Deferral
        );
        assert_eq!(of_delivery(Ended::Code(1), b"r\0K\0").0, Outcome::Failure);
    }
}
