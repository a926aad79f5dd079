//! One event, one line on stderr: `program: level: text`.

use std::io::Write;

/// Something that ends the program.
pub fn fatal(program: &str, text: &str) {
    line(program, "fatal", text);
}

/// Something that went wrong and was survived.
pub fn warn(program: &str, text: &str) {
    line(program, "warn", text);
}

/// Something worth knowing.
pub fn info(program: &str, text: &str) {
    line(program, "info", text);
}

/// Writes the line in one piece, so that lines of several processes on one
/// pipe do not mix. Control bytes become `?`.
fn line(program: &str, level: &str, text: &str) {
    let mut line = format!("{program}: {level}: ");
    line.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
    line.push('\n');
    // When even the log is gone there is nobody left to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
