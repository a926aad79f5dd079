//! Aliases, `.qmail` in a home, and programs.

use super::*;

#[test]
fn aliases_take_the_place_of_the_mailbox() {
    let mut world = World::new();
    world.alias("joe", &["&bob@example.net", "# no", "carol@example.net"]);
    assert_eq!(world.deliver("joe", "Subject: x\n\n").code, 0);
    assert_eq!(
        world.envelope(),
        "Fann@example.org\0Tbob@example.net\0Tcarol@example.net\0\0"
    );
    let message = fs::read_to_string(world.path("queued/message")).unwrap();
    assert!(message.starts_with(
        "Delivered-To: example.com-joe@example.com\nX-Forwarded-To: bob@example.net\n"
    ));
    assert!(world.messages("mail/joe/Maildir").is_empty());
    let mailbox = world.path("mail/joe/Maildir/");
    world.alias("joe", &[mailbox.to_str().unwrap(), "&bob@example.net"]);
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 1);
    world.set("NOALIAS", "1");
    world.options = Options::from_settings(&world.site.settings);
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 2);
}

#[test]
fn an_alias_of_nobody_delivers_too() {
    let mut world = World::new();
    world.alias("sales", &["&bob@example.net"]);
    assert_eq!(world.deliver("sales", "x\n").code, 0);
    assert_eq!(world.envelope(), "Fann@example.org\0Tbob@example.net\0\0");
}

#[test]
fn aliases_do_not_go_in_circles() {
    let mut world = World::new();
    world.alias("joe", &["&Joe@example.com"]);
    let ended = world.deliver("joe", "x\n");
    assert_eq!(ended.code, 100);
    assert!(text(&ended).contains("is looping"));
    world.alias("joe", &["&bob@example.net"]);
    let ended = world.deliver("joe", "Delivered-To: BOB@example.net\n\n");
    assert_eq!(ended.code, 100);
    let ended = world.deliver("joe", "Delivered-To: abob@example.net\n\n");
    assert_eq!(ended.code, 0);
}

#[test]
fn program_lines_get_lines_in_front_and_codes_back() {
    let mut world = World::new();
    world.alias(
        "joe",
        &["| cat > got; env > variables", "|exit 99", "|touch never"],
    );
    let ended = world.deliver("joe", "Subject: x\n\n");
    assert_eq!(ended.code, 0, "{}", text(&ended));
    let got = fs::read_to_string(world.path("got")).unwrap();
    assert!(got.starts_with("X-Filter: None\nReceived: (indimail "));
    assert!(got.ends_with("Subject: x\n\n"));
    let variables = fs::read_to_string(world.path("variables")).unwrap();
    assert!(!variables.contains("RPLINE") && !variables.contains("DTLINE"));
    assert!(!world.path("never").exists());
    world.alias("joe", &["|exit 100", "&bob@example.net"]);
    assert_eq!(world.deliver("joe", "x\n").code, 100);
    world.alias("joe", &["|exit 1"]);
    assert_eq!(world.deliver("joe", "x\n").code, 111);
    assert_eq!(world.envelope(), "");
}

#[test]
fn a_qmail_file_in_the_home_counts_as_aliases() {
    let world = World::new();
    fs::create_dir_all(world.path("mail/joe")).unwrap();
    let qmail = world.path("mail/joe/.qmail");
    fs::write(&qmail, "&joe@example.com\n&bob@example.net\n").unwrap();
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.envelope(), "Fann@example.org\0Tbob@example.net\0\0");
    fs::write(&qmail, "").unwrap();
    assert_eq!(world.deliver("joe", "x\n"), Outcome::success());
    assert!(world.messages("mail/joe/Maildir").is_empty());
}

#[test]
fn alias_paths_lead_to_maildirs_only() {
    let mut world = World::new();
    for path in ["/tmp/../etc/", "/etc/passwd", "/nowhere-at-all/"] {
        world.alias("joe", &[path]);
        assert_ne!(world.deliver("joe", "x\n").code, 0, "{path}");
    }
}
