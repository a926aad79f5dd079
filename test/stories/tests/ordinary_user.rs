//! Without root everything runs as the caller, and works.

use testkit::{Builder, run};

#[test]
fn an_ordinary_user_runs_a_mail_server() {
    let setup = Builder::unprivileged("example.org");
    setup.add_user("ann");
    let mut server = setup.start();
    assert!(
        server
            .printed
            .contains("every service runs as the same user"),
        "{}",
        server.printed
    );
    let mut swaks = std::process::Command::new("swaks");
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        &server.port(25).to_string(),
    ]);
    swaks.args(["--from", "bob@foreign.example", "--to", "ann@example.org"]);
    run(&mut swaks, b"").good();
    server.wait_for_messages("ann", 1);
    let check = server.indimail(&["check"]);
    assert_eq!(check.code, 0, "{}", check.out);
    assert_eq!(server.stop(), Some(0));
}
