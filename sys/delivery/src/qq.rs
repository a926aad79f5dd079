//! What exit codes of qmail-queue(8) mean to who called it
//! (queue-and-delivery.md §3.1.3).

/// Longest text a queue program may give for code 88.
const CUSTOM_BYTES_MAX: usize = 1023;

/// The message was not queued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Will it be refused again?
    pub permanent: bool,
    /// Why, for the report.
    pub text: String,
}

impl Refused {
    /// A temporary refusal of our own making.
    pub fn temporary(text: impl Into<String>) -> Self {
        Self {
            permanent: false,
            text: text.into(),
        }
    }

    /// What an exit code other than 0 means; `custom` is what the program
    /// wrote to its error descriptor.
    pub fn from_code(code: u8, custom: &[u8]) -> Self {
        let text = match code {
            88 if 3 <= custom.len() => return Self::custom(custom),
            11 | 115 => "Denvelope address too long for qq (#5.1.3)",
            31 => "Dmail server permanently rejected message (#5.3.0)",
            32 => "DSPAM or junk mail threshold exceeded (#5.7.1)",
            33 => "DMessage contains virus (#5.7.1)",
            34 => "DMessage contains banned attachment (#5.7.1)",
            35 => "DPrivate key file does not exist (#5.3.5)",
            50 => "Zunable to set uid/gid (#4.3.0)",
            51 => "Zqq out of memory (#4.3.0)",
            52 => "Zqq timeout (#4.3.0)",
            53 => "Zqq write error or disk full (#4.3.0)",
            54 => "Zqq read error (#4.3.0)",
            55 => "Zqq unable to read configuration (#4.3.0)",
            56 => "Zqq trouble making network connection (#4.3.0)",
            57..=59 => "Zunable to open shared object/plugin (#4.3.0)",
            60 => "Zqq trouble creating pipes (#4.3.0)",
            61 => "Zqq trouble in home directory (#4.3.0)",
            62..=66 | 69 | 70 | 80 | 83 => "Zqq trouble creating files in queue (#4.3.0)",
            67 | 78 => "Zqq trouble getting uids/gids (#4.3.0)",
            68 => "Zqq trouble creating temporary files (#4.3.0)",
            71 => "Zmail server temporarily rejected message (#4.3.0)",
            72 => "Zconnection to mail server timed out (#4.4.1)",
            73 => "Zconnection to mail server rejected (#4.4.1)",
            74 => "Zcommunication with mail server failed (#4.4.2)",
            75 => "Zunable to exec filter (#4.3.0)",
            76 => "Ztemporary problem with SPAM filter (#4.3.0)",
            77 => "Zqq unable to run QHPSI scanner (#4.3.0)",
            79 | 91 => "Zqq envelope format error (#4.3.0)",
            81 => "Zqq internal bug (#4.3.0)",
            82 | 120 => "Zunable to exec qq (#4.3.0)",
            87 => "Zmail system incorrectly configured. (#4.3.5)",
            121 => "Zunable to fork filter (#4.3.0)",
            122 => "Zqq waitpid surprise (#4.3.0)",
            123 => "Zqq crashed (#4.3.0)",
            12..=40 => "Dqq permanent problem (#5.3.0)",
            _ => "Zqq temporary problem (#4.3.0)",
        };
        Self {
            permanent: text.starts_with('D'),
            text: text[1..].to_owned(),
        }
    }

    fn custom(text: &[u8]) -> Self {
        let (letter, text) = (text[0], text[1..].trim_ascii());
        Self {
            permanent: letter == b'D',
            text: text::log::printable(text, CUSTOM_BYTES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_11_to_40_are_permanent() {
        for code in 1..=255 {
            let permanent = Refused::from_code(code, b"").permanent;
            assert_eq!(permanent, (11..=40).contains(&code) || code == 115, "{code}");
        }
    }

    #[test]
    fn a_program_may_say_it_in_its_own_words() {
        let refused = Refused::from_code(88, b"Dno thanks\x1b\n");
        assert_eq!((refused.permanent, &refused.text[..]), (true, "no thanks?"));
        let refused = Refused::from_code(88, b"D");
        assert_eq!(refused.text, "qq temporary problem (#4.3.0)");
    }
}
