//! What quickstart leaves off is turned on as doc/services.md says.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use testkit::{Installation, run, wait_for};

const PAGE: &str = include_str!("../../../doc/services.md");
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn more_services_run_only_when_somebody_turned_them_on() {
    let server = Installation::start("example.org");
    let answers = |port| TcpStream::connect(("127.0.0.1", server.port(port))).is_ok();
    assert!(!answers(4000) && !answers(4080));
    let service = server.root().join("service");
    for entry in fs::read_dir(&service).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_more = ["admin", "indi", "spam"]
            .iter()
            .any(|s| name.starts_with(s));
        assert!(!is_more, "{name}");
    }

    let script = PAGE.split("```sh\n").nth(1).unwrap();
    let script = script.split("```").next().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env("ROOT", server.root());
    shell.env("PORT_BASE", (server.port(4000) - 4000).to_string());
    run(&mut shell, b"").good();
    wait_for("indisrvr", PATIENCE, || answers(4000));
    wait_for("indiapi", PATIENCE, || answers(4080));
    wait_for("admind", PATIENCE, || {
        server.root().join("run/admin/socket").exists()
    });
    let fifo = server.root().join("run/spamlogger/fifo");
    wait_for("the FIFO", PATIENCE, || fifo.exists());
    let said = "X-Bogosity: Ham";
    let mut writer = fs::File::options().write(true).open(&fifo).unwrap();
    writeln!(writer, "{said}").unwrap();
    server.wait_for_log("spamlogger", said);
}
