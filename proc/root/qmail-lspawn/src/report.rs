//! What the end of a program means for a delivery: the table of
//! queue-and-delivery.md §5.2.

use os::child::Ended;
use wire::spawn::Outcome;

/// Bytes of output in a report.
const REPORT_BYTES_MAX: usize = 3000;

/// Makes a report from how qmail-local ended and what it printed.
pub fn of_delivery(ended: Ended, output: &[u8]) -> (Outcome, Vec<u8>) {
    let code = match ended {
        Ended::Code(code) => code,
        Ended::Signal(_) => return deferral("qmail-local crashed.\n"),
    };
    match code {
        0 => (Outcome::Success, cut(output)),
        111 | 71 | 74 | 75 => (Outcome::Deferral, cut(output)),
        112 => deferral("Internal qmail-lspawn bug.\n"),
        113 => deferral("Not allowed to perform deliveries as root.\n"),
        115 => deferral("NFS failure in qmail-local.\n"),
        116 => deferral("Unable to find alias user!\n"),
        117 => deferral("Trouble reading users/cdb in qmail-lspawn.\n"),
        118 => deferral("Temporary failure in qmail-lspawn.\n"),
        119 => deferral("Out of memory in qmail-lspawn.\n"),
        120 => deferral("Unable to run qmail-local.\n"),
        121 => deferral("Unable to run qmail-getpw.\n"),
        122 => deferral("Unable to cd to root directory.\n"),
        126 => (Outcome::Failure, b"Unable to run qmail-local.\n".to_vec()),
        127 => deferral("Unable to set proper uid, gid.\n"),
        _ => (Outcome::Failure, cut(output)),
    }
}

/// A temporary failure in words.
pub fn deferral(text: &str) -> (Outcome, Vec<u8>) {
    (Outcome::Deferral, text.as_bytes().to_vec())
}

fn cut(output: &[u8]) -> Vec<u8> {
    let end = output.iter().position(|&b| b == 0).unwrap_or(output.len());
    if end <= REPORT_BYTES_MAX {
        return output[..end].to_vec();
    }
    let mut report = output[..REPORT_BYTES_MAX].to_vec();
    report.extend_from_slice(b"\nError report too long, sorry.\n");
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        for (code, outcome) in [
            (0, Outcome::Success),
            (100, Outcome::Failure),
            (1, Outcome::Failure),
            (111, Outcome::Deferral),
            (75, Outcome::Deferral),
            (113, Outcome::Deferral),
            (126, Outcome::Failure),
        ] {
            assert_eq!(of_delivery(Ended::Code(code), b"x").0, outcome, "{code}");
        }
        for (code, text) in [
            (112, "Internal qmail-lspawn bug.\n"),
            (113, "Not allowed to perform deliveries as root.\n"),
            (115, "NFS failure in qmail-local.\n"),
            (116, "Unable to find alias user!\n"),
            (117, "Trouble reading users/cdb in qmail-lspawn.\n"),
            (118, "Temporary failure in qmail-lspawn.\n"),
            (119, "Out of memory in qmail-lspawn.\n"),
            (120, "Unable to run qmail-local.\n"),
            (121, "Unable to run qmail-getpw.\n"),
        ] {
            let report = of_delivery(Ended::Code(code), b"not for the sender");
            assert_eq!(report, deferral(text));
        }
        let crash = of_delivery(Ended::Signal(9), b"half an answer");
        assert_eq!(crash, deferral("qmail-local crashed.\n"));
    }

    #[test]
    fn output_ends_at_nul_and_at_a_limit() {
        assert_eq!(of_delivery(Ended::Code(0), b"did\0not").1, b"did");
        let long = of_delivery(Ended::Code(0), &[b'a'; 5000]).1;
        assert!(long.len() < 3100 && long.ends_with(b"too long, sorry.\n"));
    }
}
