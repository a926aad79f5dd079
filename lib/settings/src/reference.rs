//! The registry as text: a reference in Markdown, and manual pages.

use crate::{Setting, all};

/// `doc/settings.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Settings\n\n\
         Made by `cargo xtask man` from `lib/settings`; change it there. A variable wins over the\n\
         control file; `indimail explain NAME` says what holds in an installation.\n\n\
         | control file | variable | value | default | read by | meaning |\n\
         |---|---|---|---|---|---|\n",
    );
    for setting in sorted(|_| true, Setting::name) {
        let cell = |text: &str| match text {
            "" => String::new(),
            text => format!("`{}`", text.replace('|', "\\|")),
        };
        out += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            cell(setting.file),
            cell(setting.variable),
            setting.kind.words(),
            cell(setting.default.unwrap_or_default()),
            setting.readers.join(", "),
            setting.meaning.replace('|', "\\|"),
        );
    }
    out
}

/// `qmail-control(5)`: the control files.
pub fn control_page() -> String {
    let head = "\
.TH qmail-control 5 \"\" IndiMail
.SH NAME
qmail-control \\- control files of the mail system
.SH DESCRIPTION
The files below are in the directory
.I control
of the installation. A change holds after a HUP or at the next start of who
reads it; qmail-smtpd sees it with its next connection. A variable, where one is named, wins over the file.
.B indimail explain
.I NAME
says what holds now.
.SH FILES
";
    let mut out = head.to_owned();
    for setting in sorted(|setting| !setting.file.is_empty(), |setting| setting.file) {
        out += &format!(".TP\n.B {}\n", roff(setting.file));
        out += &paragraph(setting);
        if !setting.variable.is_empty() {
            out += &format!("Variable:\n.BR {} .\n", roff(setting.variable));
        }
    }
    out + ".SH SEE ALSO\n.BR indimail (1),\n.BR qmail-showctl (8),\n.BR indimail-variables (5)\n"
}

/// `indimail-variables(5)`: the environment variables.
pub fn variables_page() -> String {
    let mut out = String::from(
        "\
.TH indimail-variables 5 \"\" IndiMail
.SH NAME
indimail-variables \\- environment variables of the mail system
.SH DESCRIPTION
Services get their environment from the files of their directory
.IR variables ,
with
.BR envdir (8).
Where a variable and a control file have the same purpose, the variable wins.
.SH ENVIRONMENT
",
    );
    let has_variable = |setting: &Setting| !setting.variable.is_empty();
    for setting in sorted(has_variable, |setting| setting.variable) {
        out += &format!(".TP\n.B {}\n", roff(setting.variable));
        out += &paragraph(setting);
        if !setting.file.is_empty() {
            out += &format!("Control file:\n.BR {} .\n", roff(setting.file));
        }
    }
    out + ".SH SEE ALSO\n.BR indimail (1),\n.BR qmail-control (5)\n"
}

fn paragraph(setting: &Setting) -> String {
    let default = match setting.default {
        Some("") => "empty".to_owned(),
        Some(value) => roff(value),
        None => "not set".to_owned(),
    };
    format!(
        "{}\nValue: {}.\nDefault: {default}.\nRead by {}.\n",
        roff(setting.meaning),
        setting.kind.words(),
        roff(&setting.readers.join(", ")),
    )
}

/// Settings by name.
fn sorted(
    wanted: impl Fn(&Setting) -> bool,
    name: fn(&Setting) -> &'static str,
) -> Vec<&'static Setting> {
    let mut found: Vec<_> = all().filter(|setting| wanted(setting)).collect();
    found.sort_by_key(|setting| name(setting).to_ascii_lowercase());
    found
}

/// Text as the formatter of manual pages prints it unchanged.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_reference_and_in_its_page() {
        let (reference, control, variables) = (markdown(), control_page(), variables_page());
        for setting in all() {
            assert!(reference.contains(&format!("`{}`", setting.name())));
            let has = |page: &str, name: &str| {
                name.is_empty() || page.contains(&format!("\n.B {}\n", roff(name)))
            };
            assert!(has(&control, setting.file), "{}", setting.file);
            assert!(has(&variables, setting.variable), "{}", setting.variable);
        }
    }

    #[test]
    fn no_value_becomes_a_request_of_the_formatter() {
        assert_eq!(roff(".domain\\-x"), "\\&.domain\\e\\-x");
    }
}
