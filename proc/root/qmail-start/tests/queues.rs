//! Queues: several of them, killed ones, and those of other software.

use std::fs;

use os::signal::Signal;

use crate::deliveries::installation;

#[test]
fn several_queues_run_side_by_side_and_say_which_they_are() {
    let mut here = installation();
    let second = here.start_two_queues();
    here.wait_for("both", || {
        here.log()
            .matches("status: local 0/10 remote 0/20 queue")
            .count()
            == 2
    });
    assert!(
        here.log().contains("qmail-daemon: qStart/qCount 1/2\n"),
        "{}",
        here.log()
    );
    let id = here.queue_in(&second, "q\n", "ann@here.example", &["b@there.example"]);
    here.wait_for_line(&format!("end msg {id} queue2"));
    let log = here.log();
    assert!(log.contains("starting delivery 1.2: msg "), "{log}");
    assert!(
        log.contains("delivery 1.2: success: 1.2.3.4_accepted_message./ queue2\n"),
        "{log}"
    );
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    assert_eq!(
        here.log()
            .matches("status: qmail-send exiting queue")
            .count(),
        2
    );
}

#[test]
fn a_second_qmail_send_refuses_to_work_on_the_queue() {
    let mut here = installation();
    here.start();
    here.wait_for_line("status: local 0/10 remote 0/20");
    here.start();
    here.wait_for_line("alert: cannot start: qmail-send is already running");
    assert_eq!(here.wait_for_exit(), Some(111));
}

#[test]
fn qmail_daemon_leaves_a_queue_to_the_one_that_works_on_it() {
    let mut here = installation();
    let first = here.layout.root().to_owned();
    let mutex = fs::File::options()
        .append(true)
        .create(true)
        .open(first.join("lock/sendmutex"))
        .unwrap();
    here.own(&first.join("lock/sendmutex"));
    let lock = os::file::try_lock(mutex).unwrap().unwrap();
    here.start_two_queues();
    here.wait_for_line("status: local 0/10 remote 0/20 queue2");
    here.wait_for("the warning", || {
        here.log().contains("another qmail-send works on it")
    });
    assert!(!here.log().contains("already running"), "{}", here.log());
    drop(lock);
    here.wait_for_line("status: local 0/10 remote 0/20 queue1");
}

#[test]
fn a_queue_killed_again_and_again_loses_nothing() {
    const MESSAGES: usize = 150;
    let mut here = installation();
    for n in 0..MESSAGES {
        here.queue(
            "q\n",
            "ann@here.example",
            &[&format!("u{n}@there.example"), "ok@here.example"],
        );
    }
    for milliseconds in [20, 60, 120, 250, 400] {
        here.start();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        here.kill_all();
    }
    here.start();
    here.wait_for("empty queue", || here.queue_files().is_empty());
    let sent = fs::read_to_string(here.root().join("sent")).unwrap();
    for n in 0..MESSAGES {
        assert!(
            sent.contains(&format!("to u{n}@there.example at ")),
            "u{n} is lost"
        );
    }
    let delivered = fs::read_to_string(here.root().join("delivered")).unwrap();
    assert!(MESSAGES <= delivered.matches("blue ok for ").count());
}

/// Files as the C programs leave them when they are stopped: one message in
/// `todo`, one half delivered, one with nothing but a bounce left to do.
#[test]
fn queues_of_c_software_are_drained_whatever_their_split() {
    for (split, todo_is_split) in [(23, false), (23, true), (151, false), (151, true)] {
        let mut here = installation();
        here.split_queue(split, todo_is_split);
        here.queue(
            "one\n",
            "ann@here.example",
            &["one@there.example", "one@here.example"],
        );
        let write = |path: std::path::PathBuf, content: &str| {
            fs::write(&path, content).unwrap();
            here.own(&path);
        };
        let half = here.queue("two\n", "ann@here.example", &["x@y"]);
        write(here.layout.info(half), "Fann@here.example\0");
        write(
            here.layout.local(half),
            "Ddone@here.example\0Ttwo@here.example\0",
        );
        write(
            here.layout.remote(half),
            "Ttwo@there.example\0Ddone@there.example\0",
        );
        let failed = here.queue("three\n", "sender@there.example", &["x@y"]);
        write(here.layout.info(failed), "Fsender@there.example\0");
        write(
            here.layout.bounce(failed),
            "<three@here.example>:\nno such mailbox\n\n",
        );
        for id in [half, failed] {
            fs::remove_file(here.layout.todo(id)).unwrap();
        }
        here.start_writer();
        here.start();
        here.wait_for("empty queue", || here.queue_files().is_empty());
        let read = |name| fs::read_to_string(here.root().join(name)).unwrap_or_default();
        let (delivered, sent) = (read("delivered"), read("sent"));
        for once in [
            "to one@there.example at",
            "to two@there.example at",
            "<three@here.example>:\n",
        ] {
            assert_eq!(sent.matches(once).count(), 1, "{split}: {once} in {sent}");
        }
        for once in ["\none\n", "\ntwo\n"] {
            assert_eq!(delivered.matches(once).count(), 1, "{split}: {delivered}");
        }
        assert!(!delivered.contains("done") && !sent.contains("done@"));
    }
}

/// The clock cannot be moved for one program alone, so the 36 hours are.
#[test]
fn acceptance_6_leftovers_of_killed_writers_go_and_messages_stay() {
    let mut here = installation();
    here.start();
    let waiting = here.queue("q\n", "ann@here.example", &["defer@there.example"]);
    here.wait_for_line("deferral: 1.2.3.4_busy/");
    here.signal(Signal::SIGTERM);
    assert_eq!(here.wait_for_exit(), Some(0));
    let kept = here.queue_files();

    // In the middle of its text, and of its envelope.
    here.kill_while_queueing("half a text\n", None);
    here.kill_while_queueing("a text\n", Some(b"Fann@here.example\0Tbob@"));
    // What is there between the steps where files must have names.
    for path in [
        here.layout.root().join("pid/1.2.3"),
        here.layout.mess(4711),
        here.layout.intd(4711),
    ] {
        fs::write(&path, "left").unwrap();
        here.own(&path);
    }
    let new = here.queue("n\n", "ann@here.example", &["n-defer@there.example"]);
    assert!(kept.len() + 3 + 2 <= here.queue_files().len());
    std::thread::sleep(std::time::Duration::from_secs(3));
    here.start_with("OSSIFIED", "1");
    here.wait_for_line("to remote n-defer@there.example");
    let own = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        [waiting, new].iter().any(|id| name == id.to_string())
    };
    here.wait_for("the leftovers to go", || here.queue_files().iter().all(own));
    let files = here.queue_files();
    assert!(kept.iter().all(|path| files.contains(path)), "{files:?}");
    assert!(here.layout.mess(new).exists());
}
