//! Disks that are full or cannot be written.

use super::*;

fn with_disk(place: &str, options: &str) -> (Installation, SmallDisk) {
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    let disk = SmallDisk::at(&setup.root().join(place), options);
    (setup.start(), disk)
}

#[test]
fn a_full_queue_refuses_for_now_and_loses_nothing() {
    let (server, disk) = with_disk("queue", QUEUE_DISK);
    accepted(&send(&server, "before"));
    server.wait_for_messages("ann", 1);
    wait_for_empty_queue(&server);

    // A finished file that is kept takes one more small message.
    no_spare_files(&server);
    let full = disk.fill();
    let reply = send(&server, "refused");
    temporary(&reply);
    assert!(reply.contains("disk full"), "{reply}");
    let mut sendmail = server.tool("sendmail");
    let ran = run(
        sendmail.args(["-i", "ann@example.org"]),
        b"Subject: refused\n\nx\n",
    );
    assert!(ran.code != 0 && ran.err.contains("disk full"), "{ran:?}");
    wait_for_status(&server, &["qmail-queued", "No space left on device"]);
    check_finds(&server, &["queue", "free"]);
    drop(full);

    no_spare_files(&server);
    let full = disk.fill_inodes();
    let reply = send(&server, "refused");
    temporary(&reply);
    check_finds(&server, &["queue", "inodes"]);
    drop(full);

    accepted(&send(&server, "after"));
    let messages = server.wait_for_messages("ann", 2).join("\n");
    assert!(messages.contains("before") && messages.contains("after"));
    assert!(!messages.contains("refused"));
    wait_for_empty_queue(&server);
    nobody_panicked(&server);
}

#[test]
fn what_was_accepted_waits_while_the_queue_is_full_or_cannot_be_written() {
    let (server, disk) = with_disk("queue", QUEUE_DISK);
    let service = "qmail-send.25";
    for (n, fault) in ["full", "read-only"].into_iter().enumerate() {
        server.svc("-d", service);
        wait_for_down(&server, service);
        accepted(&send(&server, fault));
        let full = match fault {
            "full" => Some(disk.fill()),
            _ => {
                disk.remount("ro");
                None
            }
        };
        server.svc("-u", service);
        let cause = match fault {
            "full" => "No space left on device",
            _ => "Read-only file system",
        };
        temporary(&send(&server, "refused"));
        wait_for_status(&server, &[cause]);
        check_finds(&server, &["queue"]);
        if full.is_none() {
            disk.remount("rw");
        }
        drop(full);
        wait_for("mail", SOON, || {
            server.svc("-a", service);
            std::thread::sleep(Duration::from_millis(500));
            server.messages("ann").len() == n + 1
        });
        wait_for_empty_queue(&server);
    }
    assert!(!server.messages("ann").join("\n").contains("refused"));
    nobody_panicked(&server);
}

#[test]
fn a_full_mail_disk_defers_deliveries_and_says_so_everywhere() {
    let (server, disk) = with_disk("mail", "size=2m,nr_inodes=400,mode=755");
    let full = disk.fill();
    accepted(&send(&server, "deferred"));
    // Log lines and reports are one word each.
    let cause = "No_space_left_on_device";
    server.wait_for_log("deliver.25", cause);
    assert!(server.log("deliver.25").contains("deferral: "));
    wait_for_status(&server, &["deferral", cause]);
    let told = server.indimail(&["trace", "bob@foreign.example"]);
    assert!(
        told.out.contains("No space left") || told.out.contains(cause),
        "{}{}",
        told.out,
        told.err
    );
    check_finds(&server, &["mail", "free"]);
    assert!(server.messages("ann").is_empty());
    drop(full);
    wait_for("mail", SOON, || {
        server.svc("-a", "qmail-send.25");
        std::thread::sleep(Duration::from_millis(500));
        server.messages("ann").len() == 1
    });
    wait_for_empty_queue(&server);
    let left = files_below(&server.maildir("ann").join("tmp"));
    assert_eq!(left, 0, "a half-written message stays in tmp");
    nobody_panicked(&server);
}
