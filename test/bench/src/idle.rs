//! What connections cost that do nothing, and whether mail flows beside them.

use std::net::TcpStream;

use nix::sys::resource::{Resource, setrlimit};
use testkit::{Builder, Installation, Postfix};

use crate::Arguments;
use crate::case::{CASES, Case};
use crate::mail;
use crate::talk::{Session, connect};
use crate::tls::Client;
use crate::tree;

/// What `--case` calls them.
pub const NAMES: [&str; 2] = ["idle", "idle-tls"];

/// Connections held open.
const CONNECTIONS: usize = 10_000;
/// The same with Postfix, which has a process for each.
const POSTFIX_CONNECTIONS: usize = 90;
/// Files this process may have open.
const FILES: u64 = 15_000;

/// Runs one of [`NAMES`].
pub fn measure(arguments: &Arguments, name: &str) {
    setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).expect("many open files");
    let is_tls = name == "idle-tls";
    println!("{name}: connections that have said EHLO and nothing more");
    if arguments.wants("indimail") {
        let count = arguments.connections.unwrap_or(CONNECTIONS);
        let setup = Builder::new("bench.example");
        setup.control("concurrencyincoming", &format!("{}\n", count + 100));
        mail::add_users(&setup, CASES[0].users);
        let server = setup.start();
        if !is_tls {
            flow(&server, "before");
        }
        let idle = hold("indimail", count, server.port(25), server.pid(), is_tls);
        if !is_tls {
            flow(&server, "beside them");
        }
        drop(idle);
    }
    if arguments.wants("postfix") {
        let server = Postfix::start("bench.example", "");
        let count = POSTFIX_CONNECTIONS;
        drop(hold("postfix", count, server.port, server.pid(), is_tls));
    }
}

/// A connection that is kept.
enum Idle {
    Plain(#[expect(dead_code, reason = "kept open")] Session<TcpStream>),
    Tls(#[expect(dead_code, reason = "kept open")] Box<dyn std::any::Any>),
}

/// Opens so many and says what each made the server's processes grow by.
fn hold(server: &str, count: usize, port: u16, pid: u32, is_tls: bool) -> Vec<Idle> {
    let client = Client::default();
    let open = || {
        let session = Session::start(connect(port));
        match is_tls {
            true => Idle::Tls(Box::new(session.secured(|stream| client.handshake(stream)))),
            false => Idle::Plain(session),
        }
    };
    // The first one makes the server load what all of them share.
    let mut idle = vec![open()];
    let before = tree::memory_of(pid);
    idle.extend((1..count).map(|_| open()));
    let grown = tree::memory_of(pid).saturating_sub(before);
    let each = grown as f64 / 1024.0 / (count - 1) as f64;
    println!("{server:<10} {count:>6} connections: {each:.1} KiB each");
    idle
}

/// The usual load, on this server.
fn flow(server: &Installation, when: &str) {
    let case: Case = CASES[0];
    let figures = mail::deliver(&case, server);
    let per_second = figures.delivered_per_second;
    println!("indimail   mail {when}: {per_second:.0} delivered/s");
}
