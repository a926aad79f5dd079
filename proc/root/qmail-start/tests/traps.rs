//! What others have got wrong before: the traps of queue-and-delivery.md §11
//! that no test beside this one has.

use std::fs;
use std::os::unix::fs::MetadataExt;

use os::signal::Signal;

use crate::decisions::leave_message;
use crate::deliveries::installation;

/// A name somebody gave it is not believed: its number may be that of another
/// message by now. queue-fix, which knows, puts it right.
#[test]
fn trap_12_an_envelope_in_the_wrong_subdirectory_is_named_and_stops_nobody() {
    let mut here = installation();
    here.split_queue(23, true);
    let id = here.queue("q\n", "ann@here.example", &["b@there.example"]);
    let right = here.layout.todo(id);
    let wrong = here.layout.todo(id + 1);
    let wrong = wrong.with_file_name(id.to_string());
    fs::rename(&right, &wrong).unwrap();
    here.start();
    let text = format!("{} is in the wrong place; run queue-fix", wrong.display());
    here.wait_for("the warning", || here.log().contains(&text));
    let other = here.queue("o\n", "ann@here.example", &["c@there.example"]);
    here.wait_for_line(&format!("end msg {other}"));
    assert!(wrong.exists() && here.layout.mess(id).exists());
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    fs::rename(&wrong, &right).unwrap();
    here.start();
    here.wait_for_line(&format!("end msg {id}"));
}

#[test]
fn trap_24_alarm_changes_no_schedule() {
    let mut here = installation();
    let id = leave_message(&here, "ann@here.example", "defer@there.example", 405);
    here.start();
    here.wait_for_line("delivery 1: deferral: 1.2.3.4_busy/");
    here.signal(Signal::SIGALRM);
    here.wait_for_line("delivery 2: deferral: 1.2.3.4_busy/");
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    let time = |path: std::path::PathBuf| fs::metadata(path).unwrap().mtime();
    let waits = time(here.layout.remote(id)) - time(here.layout.info(id));
    assert_eq!(waits, 1_600);
}

#[test]
fn trap_26_a_message_that_is_too_old_can_still_be_delivered() {
    let mut here = installation();
    here.control("queuelifetime", "1000\n");
    let id = leave_message(&here, "ann@here.example", "ok@there.example", 2_000);
    here.start();
    here.wait_for_line("delivery 1: success: 1.2.3.4_accepted_message./");
    here.wait_for_line(&format!("end msg {id}"));
    assert!(!here.log().contains("bounce msg"), "{}", here.log());
}

#[test]
fn traps_31_and_34_one_bounce_shows_all_as_their_sender_wrote_them() {
    let mut here = installation();
    here.control("virtualdomains", "v.example:john-x\nw.example:bob\n");
    here.start_writer();
    here.start();
    let recipients = [
        "a-fail@v.example",
        "john-x-fail@here.example",
        "c-fail@w.example",
    ];
    here.queue("q\n", "ann@there.example", &recipients);
    here.wait_for("bounce", || here.log().contains("bounce msg "));
    here.wait_for("empty queue", || here.queue_files().is_empty());
    let sent = fs::read_to_string(here.root().join("sent")).unwrap();
    assert_eq!(sent.matches("Subject: failure notice").count(), 1, "{sent}");
    for recipient in recipients {
        assert!(sent.contains(&format!("\n<{recipient}>:\n")), "{sent}");
    }
    assert!(
        !sent.contains("john-x-a") && !sent.contains("bob-c"),
        "{sent}"
    );
}

#[test]
fn trap_33_a_bounce_to_a_list_goes_to_its_one_sender() {
    let mut here = installation();
    here.start_writer();
    here.start();
    here.queue("q\n", "list-@there.example-@[]", &["a-fail@here.example"]);
    here.wait_for("bounce", || here.log().contains("bounce msg "));
    here.wait_for("empty queue", || here.queue_files().is_empty());
    let sent = fs::read_to_string(here.root().join("sent")).unwrap();
    assert!(sent.contains("\nto list-@there.example at "), "{sent}");
}
