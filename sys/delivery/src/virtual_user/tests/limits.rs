//! Mailboxes that are full, nearly full, or had enough for a day.

use super::*;

#[test]
fn a_full_mailbox_refuses_and_takes_small_messages() {
    let world = World::new();
    world.add("eve", "2000");
    let large = format!("Subject: x\n\n{}\n", "y".repeat(1300));
    assert_eq!(world.deliver("eve", &large).code, 0);
    let ended = world.deliver("eve", &large);
    assert_eq!(ended.code, 100);
    assert!(text(&ended).starts_with("eve@example.com has insufficient quota. "));
    assert!(text(&ended).ends_with(":1/0:2000. indimail (#5.1.4)\n"));
    assert_eq!(
        world
            .deliver("eve", &format!("x\n\n{}\n", "y".repeat(400)))
            .code,
        0
    );
    // Now it is over, and the next refusal marks it.
    assert_eq!(world.deliver("eve", &large).code, 100);
    let flags = world.users.users.borrow()["eve@example.com"].gid_flags;
    assert_eq!(flags & User::BOUNCE_MAIL, User::BOUNCE_MAIL);
    let ended = world.deliver("eve", "small\n");
    assert_eq!(ended.code, 100);
    assert!(text(&ended).contains("locked/overquota"));
    // With room again the mark goes.
    world.change("eve", |user| user.quota = "20000000".to_owned());
    assert_eq!(world.deliver("eve", &large).code, 0);
    let flags = world.users.users.borrow()["eve@example.com"].gid_flags;
    assert_eq!(flags & User::BOUNCE_MAIL, 0);
}

#[test]
fn a_count_limit_holds_without_a_byte_limit() {
    let world = World::new();
    world.add("eve", "0S,1C");
    let large = format!("x\n\n{}\n", "y".repeat(1500));
    assert_eq!(world.deliver("eve", &large).code, 0);
    assert_eq!(world.deliver("eve", &large).code, 100);
}

#[test]
fn mail_for_full_mailboxes_can_wait() {
    let mut world = World::new();
    world.add("eve", "100");
    let large = format!("x\n\n{}\n", "y".repeat(1500));
    world.set("HOLDOVERQUOTA", "1");
    assert_eq!(world.deliver("eve", &large).code, 111);
    let home = world.site.home.clone();
    world.site.settings = run::Settings::of_files(&home);
    assert_eq!(world.deliver("eve", &large).code, 100);
    fs::write(world.path("mail/eve/Maildir/holdoverquota"), "").unwrap();
    assert_eq!(world.deliver("eve", &large).code, 111);
    assert_eq!(world.users.users.borrow()["eve@example.com"].gid_flags, 0);
}

#[test]
fn the_over_quota_program_gets_an_address_and_no_shell() {
    let mut world = World::new();
    world.add("eve;touch pwned", "100");
    let script = world.path("warn");
    let log = world.path("warned");
    write_script(
        &script,
        &format!("#!/bin/sh\necho \"$#:$1\" > {}\n", log.display()),
    );
    world.set("OVERQUOTA_CMD", script.to_str().unwrap());
    let large = format!("x\n\n{}\n", "y".repeat(1500));
    assert_eq!(world.deliver("eve;touch pwned", &large).code, 100);
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "6:eve;touch pwned@example.com\n"
    );
}

#[test]
fn a_mailbox_nearly_full_is_told_once_a_week() {
    let mut world = World::new();
    world.add("eve", "10000");
    let log = world.path("warned");
    let script = world.path("warn");
    write_script(
        &script,
        &format!("#!/bin/sh\necho \"$# $1 $7\" >> {}\n", log.display()),
    );
    world.set("OVERQUOTA_CMD", script.to_str().unwrap());
    world.set("QUOTAWARN1", "50");
    world.set("QUOTAWARN2", "90");
    let large = format!("x\n\n{}\n", "y".repeat(3000));
    assert_eq!(world.deliver("eve", &large).code, 0);
    assert!(!log.exists());
    assert_eq!(world.deliver("eve", &large).code, 0);
    assert_eq!(world.deliver("eve", "x\n").code, 0);
    let warned = fs::read_to_string(&log).unwrap();
    assert_eq!(warned.lines().count(), 1);
    assert!(warned.starts_with("7 eve@example.com 6"), "{warned}");
}

#[test]
fn a_day_has_its_limits() {
    let mut world = World::new();
    world.set("MAILCOUNT_LIMIT", "2");
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    let ended = world.deliver("joe", "x\n");
    assert_eq!(ended.code, 100);
    assert!(text(&ended).contains("Mail count exceeded. 3/2. indimail (#5.1.4)"));
    world.set("MAILCOUNT_LIMIT", "0");
    world.set("MAILSIZE_LIMIT", "10");
    assert!(text(&world.deliver("joe", "x\n")).contains("Mail size exceeded."));
}
