//! Control files, ports and programs that are not as they should be.

use super::*;

#[test]
fn a_control_file_that_cannot_be_read_is_named_and_never_guessed() {
    let server = Installation::start("example.org");
    let control = server.root().join("control");
    // The file, the service to start again (all read some files only then),
    // and the log that names the file.
    for (file, service, log) in [
        ("rcpthosts", "qmail-smtpd.25", "smtpd.25"),
        ("badmailfrom", "qmail-smtpd.25", "smtpd.25"),
        ("me", "qmail-smtpd.25", "smtpd.25"),
        ("virtualdomains", "qmail-send.25", "deliver.25"),
        ("queuelifetime", "qmail-send.25", "deliver.25"),
        ("hash_method", "inlookup.infifo", "inlookup.infifo"),
        ("me", "qmail-queued", "qmail-queued"),
    ] {
        let path = control.join(file);
        let kept = fs::read(&path).ok();
        for fault in ["mode", "directory"] {
            match fault {
                "mode" => {
                    fs::write(&path, kept.as_deref().unwrap_or_default()).unwrap();
                    chmod(&path, 0);
                }
                _ => {
                    let _ = fs::remove_file(&path);
                    fs::create_dir(&path).unwrap();
                }
            }
            let before = server.log(log).matches(&format!("control/{file}")).count();
            server.svc("-t", service);
            let named = || {
                if log == "smtpd.25"
                    && std::net::TcpStream::connect(("127.0.0.1", server.port(25))).is_ok()
                {
                    let reply =
                        std::panic::catch_unwind(|| send(&server, file)).unwrap_or_default();
                    assert!(
                        reply.is_empty() || reply.starts_with('4'),
                        "{file} {fault}: {reply}"
                    );
                }
                before < server.log(log).matches(&format!("control/{file}")).count()
            };
            wait_for(&format!("{log} to name {file} ({fault})"), SOON, named);
            wait_for_status(&server, &[&format!("control/{file}")]);
            check_finds(&server, &[&format!("control/{file}")]);
            let _ = fs::remove_dir(&path);
            let _ = fs::remove_file(&path);
            if let Some(content) = &kept {
                fs::write(&path, content).unwrap();
                chmod(&path, 0o644);
            }
        }
    }
    wait_for("everything to be well again", SOON, || {
        std::panic::catch_unwind(|| send(&server, "after")).is_ok_and(|r| r.starts_with("250"))
    });
    server.wait_for_messages("ann", 1);
    nobody_panicked(&server);
}

#[test]
fn a_message_waits_while_qmail_remote_or_qmail_local_cannot_read_a_control_file() {
    let server = Installation::start("example.org");
    for (file, recipient, unroot) in [
        ("smtproutes", "carol@elsewhere.example", "remote"),
        ("me", "root@mx.example.org", "local"),
    ] {
        let path = server.root().join("control").join(file);
        let kept = fs::read(&path).ok();
        fs::write(&path, kept.as_deref().unwrap_or(b"\n")).unwrap();
        chmod(&path, 0o600);
        // qmail-queue reads `me` too, as its own user.
        let mut sendmail = server.tool("sendmail");
        let input = format!("Subject: {unroot}\n\nx\n");
        let ran = run(sendmail.args(["-i", recipient]), input.as_bytes());
        if file != "me" {
            ran.good();
            wait_for("a deferral", SOON, || {
                let log = server.log("deliver.25");
                log.lines()
                    .any(|line| line.contains("deferral: ") && line.contains(file))
            });
        } else if ran.code == 0 {
            server.wait_for_log("deliver.25", "deferral: ");
        }
        assert!(!server.log("deliver.25").contains("failure: "));
        fs::remove_file(&path).unwrap();
        if let Some(content) = kept {
            fs::write(&path, content).unwrap();
        }
    }
    nobody_panicked(&server);
}

#[test]
fn a_taken_port_is_named_in_log_status_and_check() {
    let server = Installation::start("example.org");
    for (standard, service, log) in [
        (25, "qmail-smtpd.25", "smtpd.25"),
        (143, "qmail-imapd.143", "imapd.143"),
        (995, "qmail-pop3d-ssl.995", "pop3d-ssl.995"),
    ] {
        server.svc("-d", service);
        let port = server.port(standard);
        let mut holder = None;
        wait_for("the port", SOON, || {
            holder = std::net::TcpListener::bind(("0.0.0.0", port)).ok();
            holder.is_some()
        });
        server.svc("-u", service);
        let port = port.to_string();
        wait_for("the log", SOON, || {
            let text = server.log(log);
            text.lines().any(|line| {
                line.contains("fatal") && line.contains(&port) && line.contains("in use")
            })
        });
        wait_for_status(&server, &[service, &port, "in use"]);
        assert_eq!(server.indimail(&["status"]).code, 1);
        check_finds(&server, &[service, &port]);
        drop(holder);
        wait_for("the service", SOON, || {
            std::net::TcpStream::connect(("127.0.0.1", server.port(standard))).is_ok()
        });
    }
    check_is_content(&server);
}

#[test]
fn smtpd_without_rcpthosts_does_not_start() {
    let server = Installation::start("example.org");
    let path = server.root().join("control/rcpthosts");
    let kept = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    server.svc("-t", "qmail-smtpd.25");
    server.wait_for_log("smtpd.25", "no control/rcpthosts");
    wait_for_status(&server, &["qmail-smtpd.25", "rcpthosts"]);
    check_finds(&server, &["rcpthosts", "missing"]);
    fs::write(&path, kept).unwrap();
    check_is_content(&server);
}

#[test]
fn a_program_that_may_not_run_is_named() {
    let server = Installation::start("example.org");
    for (program, service, log) in [
        ("qmail-smtpd", "qmail-smtpd.25", "smtpd.25"),
        ("qmail-start", "qmail-send.25", "deliver.25"),
        ("qmail-todo", "qmail-send.25", "deliver.25"),
        ("inlookup", "inlookup.infifo", "inlookup.infifo"),
    ] {
        let path = server.root().join("bin").join(program);
        chmod(&path, 0o644);
        server.svc("-t", service);
        wait_for(program, SOON, || {
            let text = server.log(log);
            text.lines().any(|line| {
                line.contains(program) && line.to_lowercase().contains("permission denied")
            })
        });
        wait_for_status(&server, &[program, "ermission denied"]);
        check_finds(&server, &[program, "executed"]);
        chmod(&path, 0o755);
    }
    let script = server.root().join("service/qmail-pop3d.110/run");
    chmod(&script, 0o644);
    server.svc("-t", "qmail-pop3d.110");
    wait_for_status(&server, &["qmail-pop3d.110", "ermission denied"]);
    check_finds(&server, &["qmail-pop3d.110/run", "executed"]);
    chmod(&script, 0o755);
    check_is_content(&server);
    accepted(&send(&server, "after"));
    server.wait_for_messages("ann", 1);
}
