//! tcprulescheck: shows which rule holds for a client.

use std::env;
use std::io::{self, Write};

use policy::tcprules::{Client, Instruction, lookup};
use run::{Exit, TEMPORARY};

const USAGE: &str = "usage: tcprulescheck CDB

Shows what the rules say about the client in the variables TCPREMOTEIP
(default 0.0.0.0), TCPREMOTEHOST and TCPREMOTEINFO.
Exit codes: 0 done, 100 wrong use or a bad line, 111 trouble with files.";

/// Prints the rule.
pub fn run(words: &[String]) -> Result<(), Exit> {
    let [database] = words else {
        return Err(run::usage::misused(USAGE));
    };
    if run::usage::help(USAGE, words) {
        return Ok(());
    }
    run::usage::no_options("tcprulescheck", words)?;
    let trouble = |error: String| Exit::new(TEMPORARY, format!("cannot read {database}: {error}"));
    let file = std::fs::read(database).map_err(|error| trouble(error.to_string()))?;
    let rules = cdb::Reader::new(&file).map_err(|error| trouble(error.to_string()))?;
    let ip = env::var("TCPREMOTEIP").unwrap_or_else(|_| "0.0.0.0".to_owned());
    let (host, info) = (
        env::var("TCPREMOTEHOST").ok(),
        env::var("TCPREMOTEINFO").ok(),
    );
    let client = Client {
        ip: &ip,
        host: host.as_deref(),
        info: info.as_deref(),
    };
    let rule = lookup(&rules, client).map_err(|error| trouble(error.to_string()))?;
    let mut out = Vec::new();
    match &rule.key {
        Some(key) => out.extend([b"rule ", &key[..], b":\n"].concat()),
        None => out.extend(b"default:\n"),
    }
    for instruction in &rule.instructions {
        match instruction {
            Instruction::Deny => {
                out.extend(b"deny connection\n");
                return print(&out);
            }
            Instruction::Set(name, value) => {
                let line = [
                    b"set environment variable ",
                    name.as_bytes(),
                    b"=",
                    value,
                    b"\n",
                ];
                out.extend(line.concat());
            }
            Instruction::Unset(name) => {
                out.extend([b"unset environment variable ", name.as_bytes(), b"\n"].concat());
            }
        }
    }
    out.extend(b"allow connection\n");
    print(&out)
}

fn print(bytes: &[u8]) -> Result<(), Exit> {
    io::stdout()
        .write_all(bytes)
        .map_err(|error| Exit::new(TEMPORARY, format!("cannot write: {error}")))
}
