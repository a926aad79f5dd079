//! What a child inherits, with this process in another state than usual.

use std::process::Command;

use os::child::{Ended, hand_over, wait};

/// Says that this process ignores the signal.
const IGNORING: &str = "TEST_IGNORES_HUP";

/// Starts a program that sends itself the signal.
fn child() -> Ended {
    let (_read, write) = os::fd::pipe().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "kill -HUP $$; exit 7"]);
    hand_over(&mut command, vec![(1, write)]);
    wait(command.spawn().unwrap()).unwrap()
}

#[test]
fn no_signal_is_ignored_in_a_program_whatever_nohup_did_to_us() {
    assert_eq!(child(), Ended::Signal(1));
    if std::env::var_os(IGNORING).is_some() {
        return;
    }
    let again = Command::new("/bin/sh")
        .args(["-c", "trap '' HUP; exec \"$0\""])
        .arg(std::env::current_exe().unwrap())
        .env(IGNORING, "1")
        .output()
        .unwrap();
    assert!(again.status.success(), "{again:?}");
}

#[test]
fn descriptors_are_where_they_belong() {
    use std::io::Read;
    let (read, write) = os::fd::pipe().unwrap();
    let (far_read, far_write) = os::fd::pipe().unwrap();
    for (number, text) in [(1, "near"), (5, "far")] {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("echo {text} >&{number}")]);
        let end = if number == 1 { &write } else { &far_write };
        hand_over(&mut command, vec![(number, end.try_clone().unwrap())]);
        assert_eq!(wait(command.spawn().unwrap()).unwrap(), Ended::Code(0));
    }
    drop((write, far_write));
    for (end, expected) in [(read, "near\n"), (far_read, "far\n")] {
        let mut told = String::new();
        std::fs::File::from(end).read_to_string(&mut told).unwrap();
        assert_eq!(told, expected);
    }
}
