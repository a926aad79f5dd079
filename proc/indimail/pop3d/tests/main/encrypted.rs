//! STLS and TLS from the first byte.

use std::io::{Read, Write};

use crate::world::{LOGIN, World, line};

const CONTEXT: &str = "import poplib, ssl
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE";

#[test]
fn stls_then_login() {
    let world = World::start_with("starttls", &[("1.a", "Subject: x\n\ntext\n")]);
    let printed = world.python(&format!(
        "{CONTEXT}
print('STLS' in p.capa())
p.stls(context=c)
print('STLS' in p.capa())
{LOGIN}
print(p.retr(1)[1])
p.quit()"
    ));
    assert_eq!(printed, "True\nFalse\n[b'Subject: x', b'', b'text']\n");
    let (_, log) = world.stop();
    assert!(log.contains(", stls=1\n"), "{log}");
}

#[test]
fn tls_from_the_first_byte() {
    let world = World::start_with("implicit", &[("1.a", "x\n")]);
    let port = world.address.port();
    let printed = world.python_alone(&format!(
        "{CONTEXT}
p = poplib.POP3_SSL('127.0.0.1', {port}, context=c)
{LOGIN}
print(p.stat(), p.sock.version())
p.quit()"
    ));
    assert_eq!(printed, "(1, 3) TLSv1.3\n");
}

/// attacks.md row 5, over a real socket.
#[test]
fn commands_injected_before_tls_are_not_executed() {
    let world = World::start_with("starttls", &[]);
    let mut client = world.dial();
    let commands = b"STLS\r\nUSER ann@example.org\r\nPASS secret\r\nSTAT\r\n";
    client.get_mut().write_all(commands).unwrap();
    assert_eq!(line(&mut client), "-ERR nothing may follow STLS.\r\n");
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert!(rest.is_empty());
}
