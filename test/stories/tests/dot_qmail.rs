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
    wait_for("an empty queue", std::time::Duration::from_secs(20), || {
        server.indimail(&["status"]).out.contains(" 0 messages")
    });
}
