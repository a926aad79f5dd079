//! tcpserver: runs a program for each connection (smtp-receiving.md §1).
//!
//! The parent binds, drops its rights and accepts; each connection gets a
//! process of its own, this program again with `--connection`, which finds
//! names, applies the rules and becomes PROGRAM.

mod connection;
mod options;
mod server;

use run::Exit;

use options::Options;

pub const USAGE: &str = "usage: tcpserver [OPTION...] HOST PORT PROGRAM [ARG...]

Runs PROGRAM for every connection, with the connection on descriptors 0 and 1
and the variables TCPREMOTEIP, TCPLOCALPORT and so on. HOST may be 0 for any
address of this machine, PORT may be a name.

  -q, -Q, -v   say nothing; errors (default); errors and every connection
  -c N, -c FILE  most programs at once, default 40; a control file is read
               again after HUP
  -C N         most programs for one address, default 20; 0 is no limit
  -x CDB, -X   rules made by tcprules; -X goes on without them
  -B TEXT      said to every client at once
  -u ID, -g ID[,ID], -U  user and groups after binding; -U takes $UID and $GID
  -1           print the port
  -b N         connections that may wait, default 20
  -d, -D       allow or disable Nagle's algorithm
  -h, -H       find the client's name or not; -p, -P believe it only when it
               leads back, or not
  -l NAME      our name, instead of looking for it
  -r, -R, -t N  ask who has the connection (IDENT), or not; for N seconds
  -o, -O, -4, -6  accepted; every IPv4 client is shown as such

HUP reads the limit again, USR1 lists connections, TERM ends this program but
not those it runs.
Exit codes: 0 after TERM, 100 wrong use, 111 it cannot start.";

/// Runs as the parent, or for one connection.
pub fn run(words: &[String]) -> Result<(), Exit> {
    if run::usage::help(USAGE, words) {
        return Ok(());
    }
    match words {
        [first, count, rest @ ..] if first == server::CONNECTION => {
            let options = Options::parse(rest, USAGE)?;
            let count = count.parse().unwrap_or(0);
            Err(connection::run(&options, count))
        }
        _ => {
            run::usage::no_options("tcpserver", words)?;
            let options = Options::parse(words, USAGE)?;
            server::run(&options, words)
        }
    }
}
