//! One event, one line on stderr: `program: level: text`.

use std::io::Write;

/// Something that ends the program.
pub fn fatal(program: &str, text: &str) {
    labelled(program, "fatal", text);
}

/// Something that went wrong and was survived.
pub fn warn(program: &str, text: &str) {
    labelled(program, "warn", text);
}

/// Something worth knowing.
pub fn info(program: &str, text: &str) {
    labelled(program, "info", text);
}

fn labelled(program: &str, level: &str, text: &str) {
    line(&format!("{program}: {level}: {text}"));
}

/// Writes a line that has a form of its own, in one piece, so that lines of
/// several processes on one pipe do not mix. Control bytes become `?`.
pub fn line(text: &str) {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    line.push('\n');
    // When even the log is gone there is nobody left to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
