//! Mail to and from another server: Debian's Postfix.

use testkit::{Builder, Dns, Installation, Postfix, run};

/// An installation whose resolver knows the foreign domain, and whose route
/// to it is the given port (MX records have no ports).
fn with_route(foreign: &Postfix, dns: &Dns) -> Installation {
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    setup.control("dnsresolver", &format!("127.0.0.1:{}\n", dns.port));
    setup.control(
        "smtproutes",
        &format!("foreign.example:127.0.0.1:{}\n", foreign.port),
    );
    setup.start()
}

fn inject(server: &Installation, to: &str, subject: &str) {
    let mut sendmail = server.tool("sendmail");
    sendmail.args(["-i", "-f", "ann@example.org", to]);
    run(
        &mut sendmail,
        format!("Subject: {subject}\n\nhello\n").as_bytes(),
    )
    .good();
}

#[test]
fn mail_goes_out_to_postfix_and_its_answer_comes_back() {
    let dns = Dns::start(&[]);
    let foreign = Postfix::start("foreign.example", "");
    let server = with_route(&foreign, &dns);
    inject(&server, "bob@foreign.example", "over the border");
    let message = foreign.wait_for_messages("bob", 1).remove(0);
    assert!(message.contains("Subject: over the border"), "{message}");
    server.wait_for_log("deliver.25", "success: 127.0.0.1_accepted_message.");
    server.wait_for_log("deliver.25", "end msg");

    let back = Postfix::start("other.example", &format!("[127.0.0.1]:{}", server.port(25)));
    back.send(
        "bob@other.example",
        "ann@example.org",
        "Subject: and back\n\nhello ann\n",
    );
    let message = server.wait_for_messages("ann", 1).remove(0);
    assert!(message.contains("Subject: and back"), "{message}");
    assert!(message.contains("Received: from"), "{message}");
}

#[test]
fn a_recipient_the_other_server_refuses_bounces_with_its_words() {
    let dns = Dns::start(&[]);
    let foreign = Postfix::start("foreign.example", "");
    let server = with_route(&foreign, &dns);
    // Postfix has no domain elsewhere.example and relays for nobody else.
    server.control(
        "smtproutes",
        &format!("elsewhere.example:127.0.0.1:{}\n", foreign.port),
    );
    let mut long = server.tool("sendmail");
    long.args(["-i", "-f", "ann@example.org"])
        .arg(format!("{}@elsewhere.example", "x".repeat(80)));
    run(&mut long, b"Subject: refused\n\nhello\n").good();
    server.wait_for_log("deliver.25", "new msg");
    let mut unknown = server.tool("sendmail");
    unknown.args(["-i", "-f", "ann@example.org", "carol@nxdomain.example"]);
    run(&mut unknown, b"Subject: no such domain\n\nhello\n").good();
    let bounce = server.wait_for_messages("ann", 1).join("\n");
    assert!(bounce.contains("Hi. This is the"), "{bounce}");
    assert!(bounce.contains("<carol@nxdomain.example>:"), "{bounce}");
    assert!(bounce.contains("Subject: no such domain"), "{bounce}");
}

#[test]
fn a_server_that_is_down_means_later_not_never() {
    let dns = Dns::start(&[]);
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    setup.control("dnsresolver", &format!("127.0.0.1:{}\n", dns.port));
    setup.control(
        "smtproutes",
        &format!("down.example:127.0.0.1:{}\n", testkit::free_port()),
    );
    let mut server = setup.start();
    inject(&server, "bob@down.example", "patience");
    server.wait_for_log("deliver.25", "deferral:");
    assert!(server.messages("ann").is_empty(), "nothing bounced");
    let story = server.indimail(&["trace", "bob@down.example"]).good().out;
    assert!(story.contains("deferred"), "{story}");

    // The other server comes up; ALRM tries everything now.
    let foreign = Postfix::start("down.example", "");
    server.control(
        "smtproutes",
        &format!("down.example:127.0.0.1:{}\n", foreign.port),
    );
    server.restart();
    let mut svc = server.tool("svc");
    svc.arg("-a")
        .arg(server.root().join("service/qmail-send.25"));
    run(&mut svc, b"").good();
    foreign.wait_for_messages("bob", 1);
}

#[test]
fn the_mx_record_decides_where_mail_goes() {
    // An address of this machine's own, so that port 25 is free on it.
    let foreign = Postfix::listen("127.0.0.25", 25, "mx.example", "");
    let dns = Dns::start(&[
        "mx-host=mx.example,gone.mx.example,5",
        "mx-host=mx.example,mail.mx.example,10",
        "host-record=mail.mx.example,127.0.0.25",
    ]);
    let setup = Builder::new("example.org");
    setup.add_user("ann");
    setup.control("dnsresolver", &format!("127.0.0.1:{}\n", dns.port));
    // Every loopback address counts as ours; this one is to be foreign.
    setup.control("notipme", "127.0.0.25\n");
    let server = setup.start();
    inject(&server, "bob@mx.example", "by mx");
    foreign.wait_for_messages("bob", 1);
}
