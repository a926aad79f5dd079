//! Command lines that a shell would only pass on.
//!
//! Most program lines are a path and a few plain words. A shell does nothing
//! to them but take the time of a program of its own, so they are run without
//! it. Whatever a shell could see differently is left to the shell.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What the kernel starts: programs and scripts that name their interpreter.
/// A shell also runs other files, as scripts of its own.
const BEGINNINGS: [&[u8]; 2] = [b"\x7fELF", b"#!"];

/// The words of a line that needs no shell; `None` for all others.
pub fn words(line: &[u8]) -> Option<Vec<&[u8]>> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+=:@%, \t".contains(b);
    if !line.iter().all(plain) {
        return None;
    }
    let mut words: Vec<&[u8]> = line
        .split(|&b| b == b' ' || b == b'\t')
        .filter(|word| !word.is_empty())
        .collect();
    if words.first() == Some(&&b"exec"[..]) {
        words.remove(0);
    }
    let program = words.first()?;
    (program.starts_with(b"/") && can_be_started(Path::new(OsStr::from_bytes(program))))
        .then_some(words)
}

fn can_be_started(program: &Path) -> bool {
    // Opening a device may do something.
    if !std::fs::metadata(program).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let opened = std::fs::File::options()
        .read(true)
        // What took its place since must not make us wait.
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(program);
    let Ok(file) = opened else {
        return false;
    };
    let mut beginning = Vec::new();
    file.take(4).read_to_end(&mut beginning).is_ok()
        && BEGINNINGS.iter().any(|known| beginning.starts_with(known))
        && nix::unistd::access(program, nix::unistd::AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_need_no_shell() {
        let words = |line: &str| -> Option<Vec<String>> {
            let words = super::words(line.as_bytes())?;
            let text = |word: &&[u8]| String::from_utf8(word.to_vec()).unwrap();
            Some(words.iter().map(text).collect())
        };
        assert_eq!(
            words("  /bin/cat -u\t--x=a@b,c:d%e+f "),
            Some(vec![
                "/bin/cat".to_owned(),
                "-u".to_owned(),
                "--x=a@b,c:d%e+f".to_owned()
            ])
        );
        assert_eq!(words("exec /bin/cat"), Some(vec!["/bin/cat".to_owned()]));
        for line in [
            "cat",
            "exec",
            "exec cat",
            "exit 100",
            "/bin/cat > x",
            "/bin/cat $HOME",
            "/bin/cat *",
            "/bin/cat ~",
            "/bin/cat 'a'",
            "/bin/cat a; exit 1",
            "/bin/cat # x",
            "/bin/cat\n/bin/cat",
            "/does/not/exist",
            "/etc/passwd",
            "/dev/null",
            "/",
            "",
        ] {
            assert_eq!(words(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_script_without_an_interpreter_is_for_a_shell() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        let line = script.to_str().unwrap().as_bytes();
        for (text, mode, is_started) in [
            ("exit 3\n", 0o755, false),
            ("#!/bin/sh\nexit 3\n", 0o644, false),
            ("#!/bin/sh\nexit 3\n", 0o755, true),
        ] {
            std::fs::write(&script, text).unwrap();
            std::fs::set_permissions(&script, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(words(line).is_some(), is_started, "{text} {mode:o}");
        }
    }
}
