//! Helpers that are dead, and a system without room for more.

use super::*;

#[test]
fn a_dead_helper_makes_refusals_temporary() {
    let server = Installation::start("example.org");
    server.svc("-d", "inlookup.infifo");
    wait_for("inlookup to be gone", SOON, || {
        recipient(&server, "ann@example.org").starts_with('4')
    });
    let reply = recipient(&server, "nobody-at-all@example.org");
    temporary(&reply);
    check_finds(&server, &["inlookup", "down"]);
    server.svc("-u", "inlookup.infifo");
    wait_for("inlookup", SOON, || {
        recipient(&server, "ann@example.org").starts_with('2')
    });
    server.svc("-d", "qmail-queued");
    wait_for("qmail-queued to be gone", SOON, || {
        server.indimail(&["status"]).code == 1
    });
    temporary(&send(&server, "refused"));
    server.svc("-u", "qmail-queued");
    wait_for("qmail-queued", SOON, || {
        send(&server, "after").starts_with("250")
    });
    server.wait_for_messages("ann", 1);
}

#[test]
fn few_descriptors_slow_the_server_down_and_break_nothing() {
    let server = Installation::start("example.org");
    let script = server.root().join("service/qmail-smtpd.25/run");
    let text = fs::read_to_string(&script).unwrap();
    fs::write(
        &script,
        text.replace("exec envdir", "ulimit -n 24\nexec envdir"),
    )
    .unwrap();
    let starts = || server.log("smtpd.25").matches("listening on").count();
    let before = starts();
    server.svc("-t", "qmail-smtpd.25");
    wait_for("the service with few descriptors", SOON, || {
        before < starts()
    });
    let idle: Vec<_> = (0..60)
        .filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", server.port(25))).ok())
        .collect();
    server.wait_for_log("smtpd.25", "cannot accept");
    drop(idle);
    wait_for("mail to flow", SOON, || {
        std::panic::catch_unwind(|| send(&server, "after")).is_ok_and(|r| r.starts_with("250"))
    });
    server.wait_for_messages("ann", 1);
    nobody_panicked(&server);
}
