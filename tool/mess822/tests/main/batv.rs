//! batv, as a postmaster tries a tag.

use std::process::Command;

use testkit::{Ran, run};

fn batv(words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mess822-tools"));
    run(command.arg("batv").args(words), b"")
}

// Acceptance 29, with today's date.
#[test]
fn a_tag_is_made_and_read() {
    let signed = batv(&["-k", "secret", "-s", "User@example.com"]).good().out;
    let signed = signed.trim_end();
    assert!(signed.starts_with("prvs=0") && signed.ends_with("=User@example.com"));
    let plain = batv(&["-k", "secret", "-v", signed]).good().out;
    assert_eq!(plain, "User@example.com\n");
    assert_eq!(batv(&["-k", "other", "-v", signed]).code, 2);
    assert_eq!(batv(&["-k", "secret", "-v", "user@example.com"]).code, 1);
    // Nobody made this one within 999 days, or everybody is a year older.
    let old = "prvs=01230e4237=user@example.com";
    let code = batv(&["-k", "secret", "-t", "0", "-v", old]).code;
    assert!(code == 3 || code == 0, "{code}");
    let unsigned = batv(&["-k", "secret", "-s", "sb*-list@example.com"]).good();
    assert_eq!(unsigned.out, "list@example.com\n");
    for wrong in [
        &["-v", "a@b"][..],
        &["-k", "x"],
        &["-k", "x", "-s"],
        &["-k", "x", "-t", "y", "-s", "a@b"],
    ] {
        assert_eq!(batv(wrong).code, 100, "{wrong:?}");
    }
}
