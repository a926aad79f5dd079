//! What .qmail files of system aliases do with a message.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use testkit::{Installation, run, wait_for};

fn alias(server: &Installation, name: &str, content: &str) {
    let path = server.root().join("alias").join(format!(".qmail-{name}"));
    fs::write(&path, content).expect("a .qmail file");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("mode");
}

fn inject(server: &Installation, to: &str) {
    let mut inject = server.tool("qmail-inject");
    inject.args(["-f", "ann@example.org", to]);
    run(&mut inject, b"Subject: to an alias\n\nFrom here on.\n").good();
}

#[test]
fn every_kind_of_instruction_is_obeyed() {
    let server = Installation::start("example.org");
    let home = server.root().join("alias");
    // Programs and files of an alias are the alias user's.
    let owner = fs::metadata(&home).unwrap();
    let own = |path: &std::path::Path| {
        use std::os::unix::fs::MetadataExt;
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    };
    for part in ["", "new", "cur", "tmp"] {
        let path = home.join("Box").join(part);
        fs::create_dir_all(&path).unwrap();
        own(&path);
    }
    alias(
        &server,
        "all",
        "# a comment\n|cat > program.out; echo \"$SENDER $RECIPIENT $EXT\" >> program.out\n\
         ./mbox\n./Box/\n&ann@example.org\n",
    );
    inject(&server, "all@mx.example.org");
    let forwarded = server.wait_for_messages("ann", 1).remove(0);
    assert!(
        forwarded.contains("Delivered-To: all@mx.example.org"),
        "{forwarded}"
    );
    let program = fs::read_to_string(home.join("program.out")).unwrap();
    assert!(program.contains("From here on."), "{program}");
    assert!(
        program.ends_with("ann@example.org all@mx.example.org all\n"),
        "{program}"
    );
    let mbox = fs::read_to_string(home.join("mbox")).unwrap();
    assert!(mbox.starts_with("From ann@example.org "), "{mbox}");
    assert!(mbox.contains("\n>From here on."), "{mbox}");
    assert_eq!(fs::read_dir(home.join("Box/new")).unwrap().count(), 1);
    server.wait_for_log("deliver.25", "success: did_2+1+1/");
}

#[test]
fn extensions_fall_back_to_default_and_unknown_names_bounce() {
    let server = Installation::start("example.org");
    alias(&server, "list-default", "&postmaster@example.org\n");
    inject(&server, "list-anything@mx.example.org");
    server.wait_for_messages("postmaster", 1);
    inject(&server, "nobody-here@mx.example.org");
    let bounce = server.wait_for_messages("ann", 1).remove(0);
    assert!(
        bounce.contains("Sorry, no mailbox here by that name. (#5.1.1)"),
        "{bounce}"
    );
}

#[test]
fn a_program_decides_by_its_exit_code() {
    let server = Installation::start("example.org");
    alias(&server, "later", "|exit 111\n");
    alias(&server, "never", "|echo we moved; exit 100\n");
    inject(&server, "later@mx.example.org");
    inject(&server, "never@mx.example.org");
    server.wait_for_log("deliver.25", "deferral:");
    let bounce = server.wait_for_messages("ann", 1).remove(0);
    assert!(bounce.contains("we moved"), "{bounce}");
}

#[test]
fn a_message_that_was_here_before_is_a_loop() {
    let server = Installation::start("example.org");
    alias(&server, "round", "&round@mx.example.org\n");
    inject(&server, "round@mx.example.org");
    let bounce = server.wait_for_messages("ann", 1).remove(0);
    assert!(bounce.contains("This message is looping"), "{bounce}");
    wait_for("an empty queue", std::time::Duration::from_secs(90), || {
        server.indimail(&["status"]).out.contains(" 0 messages")
    });
}

#[test]
fn the_owner_of_a_list_gets_its_bounces_one_address_a_member() {
    let server = Installation::start("example.org");
    alias(
        &server,
        "list",
        "&ann@example.org\n&nobody-here@mx.example.org\n",
    );
    for name in ["list-owner", "list-owner-default"] {
        alias(&server, name, "&postmaster@example.org\n");
    }
    inject(&server, "list@mx.example.org");
    // In the queue all members share one sender; each gets its own from it.
    server.wait_for_log("deliver.25", "from <list-owner-@mx.example.org-@[]>");
    let member = server.wait_for_messages("ann", 1).remove(0);
    // The address that subscribed, without what the queue puts in front.
    let own = "Return-Path: <list-owner-ann=example.org@mx.example.org>";
    assert!(member.starts_with(own), "{member}");
    let bounce = server.wait_for_messages("postmaster", 1).remove(0);
    // qmail-send itself does not bounce to each member's own address.
    assert!(
        bounce.contains("To: list-owner-@mx.example.org\n"),
        "{bounce}"
    );
    assert!(bounce.contains("(#5.1.1)"), "{bounce}");
}

#[test]
fn users_assign_prefers_the_exact_line_then_the_longest_prefix() {
    use std::os::unix::fs::MetadataExt;
    let server = Installation::start("example.org");
    let home = server.root().join("alias");
    let owner = fs::metadata(&home).unwrap();
    let (uid, gid, at) = (owner.uid(), owner.gid(), home.display());
    let assign = server.root().join("users/assign");
    let old = fs::read_to_string(&assign).unwrap();
    let lines = format!(
        "=fred:alias:{uid}:{gid}:{at}:-:exact:\n+fred-:alias:{uid}:{gid}:{at}:-:prefix-:\n\
         +fred-big-:alias:{uid}:{gid}:{at}:-:longer-:\n+:alias:{uid}:{gid}:{at}:-:all-:\n"
    );
    fs::write(&assign, format!("{lines}{old}")).unwrap();
    run(&mut server.tool("qmail-newu"), b"").good();
    for name in ["exact", "prefix-default", "longer-default", "all-default"] {
        let line = format!("|echo got {name} $EXT; exit 0\n");
        alias(&server, name, &line);
    }
    for (local, seen) in [
        ("FRED", "got_exact_exact/"),
        ("Fred-Some", "got_prefix-default_prefix-Some/"),
        ("fred-big-X", "got_longer-default_longer-X/"),
        ("Anybody", "got_all-default_all-Anybody/"),
    ] {
        inject(&server, &format!("{local}@mx.example.org"));
        server.wait_for_log("deliver.25", seen);
    }
    // The lines of the virtual domain are longer than the catch-all.
    inject(&server, "ann@example.org");
    server.wait_for_messages("ann", 1);

    let table = server.root().join("users/cdb");
    let before = fs::read(&table).unwrap();
    fs::write(&assign, lines).unwrap();
    let failed = run(&mut server.tool("qmail-newu"), b"");
    assert_eq!(failed.code, 111);
    assert!(
        failed.err.contains("bad format in users/assign"),
        "{}",
        failed.err
    );
    assert_eq!(fs::read(&table).unwrap(), before);
}

#[test]
fn the_aliases_of_sendmail_work_through_fastforward() {
    let server = Installation::start("example.org");
    server_control(&server, "defaulthost", "mx.example.org\n");
    let aliases = server.root().join("etc/aliases");
    let text =
        "webmaster: ann\nann: ann@example.org\nstaff: webmaster,\n\tpostmaster@example.org\n";
    fs::write(&aliases, text).unwrap();
    run(server.tool("newaliases").arg(&aliases), b"").good();
    let line = format!(
        "|fastforward -p {}.cdb\n|echo unknown here; exit 100\n",
        aliases.display()
    );
    alias(&server, "default", &line);
    inject(&server, "Staff@mx.example.org");
    let forwarded = server.wait_for_messages("ann", 1).remove(0);
    assert!(
        forwarded.contains("Delivered-To: staff@mx.example.org")
            || forwarded.contains("Delivered-To: Staff@mx.example.org"),
        "{forwarded}"
    );
    server.wait_for_messages("postmaster", 1);
    inject(&server, "stranger@mx.example.org");
    let bounce = server.wait_for_messages("ann", 2).into_iter();
    let bounced = bounce.filter(|text| text.contains("unknown here")).count();
    assert_eq!(bounced, 1);
}

fn server_control(server: &Installation, name: &str, content: &str) {
    fs::write(server.root().join("control").join(name), content).expect("a control file");
}

#[test]
fn a_full_disk_cuts_the_mbox_back_and_the_message_comes_later() {
    use std::time::Duration;
    let setup = testkit::Builder::new("example.org");
    let home = setup.root().join("alias");
    let disk = testkit::SmallDisk::at(&home, "size=2m,nr_inodes=400,mode=755");
    let server = setup.start();
    let owner = fs::metadata(&home).unwrap();
    let mbox = home.join("mbox");
    fs::write(&mbox, "From before\nbefore\n\n").unwrap();
    {
        use std::os::unix::fs::MetadataExt;
        std::os::unix::fs::chown(&mbox, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    alias(&server, "box", "./mbox\n");
    let full = disk.fill();
    let mut inject = server.tool("qmail-inject");
    inject.args(["-f", "ann@example.org", "box@mx.example.org"]);
    let text = format!("Subject: large\n\n{}", "line\n".repeat(50_000));
    run(&mut inject, text.as_bytes()).good();
    server.wait_for_log("deliver.25", "No_space_left_on_device");
    assert_eq!(
        fs::read_to_string(&mbox).unwrap(),
        "From before\nbefore\n\n"
    );
    drop(full);
    wait_for("the message", Duration::from_secs(90), || {
        server.svc("-a", "qmail-send.25");
        std::thread::sleep(Duration::from_millis(500));
        fs::metadata(&mbox).unwrap().len() > 250_000
    });
    let content = fs::read_to_string(&mbox).unwrap();
    assert!(content.starts_with("From before\nbefore\n\nFrom ann@example.org "));
    assert_eq!(content.matches("\nSubject: large\n").count(), 1);
}
