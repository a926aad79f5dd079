//! mgmttoken: tokens of operators, for programs that administer over HTTP.

use std::ffi::OsString;

use clap::Parser;
use directory::administrator::Token;
use run::Exit;
use serde::Serialize;

use crate::site::{Site, permanent, refused, temporary};

/// Makes, lists and takes back tokens of an operator. Who shows one may do
/// what the operator may, without its password. A new one is printed once and
/// cannot be found out again.
///
/// Without -a and -d they are listed. Exit codes: 0 done, 1 no such operator
/// or token, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "mgmttoken", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// The operator
    #[arg(short = 'u', value_name = "USER")]
    user: String,
    /// Make one with this name
    #[arg(short = 'a', value_name = "NAME")]
    add: Option<String>,
    /// Take back the one with this name
    #[arg(short = 'd', value_name = "NAME", conflicts_with = "add")]
    delete: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    site.become_owner()?;
    let directory = site.operators()?;
    let user = &arguments.user;
    let found = directory.administrator(user);
    if found.map_err(|error| refused(&error))?.is_none() {
        return Err(Exit::new(
            1,
            format!("{user}: no such operator; mgmtpass makes one"),
        ));
    }
    if let Some(name) = &arguments.add {
        let (new, text) = Token::generate(name, os::clock::unix_seconds());
        let added = directory.add_token(user, &new);
        if !added.map_err(|error| refused(&error))? {
            return Err(permanent(format!("{user} has {name} already")));
        }
        println!("Token is {}", *text);
        return Ok(());
    }
    if let Some(name) = &arguments.delete {
        let deleted = directory.delete_token(user, name);
        return match deleted.map_err(|error| refused(&error))? {
            true => Ok(()),
            false => Err(Exit::new(1, format!("{user} has no {name}"))),
        };
    }
    let tokens = directory.tokens(user);
    list(&tokens.map_err(|error| refused(&error))?, arguments.json)
}

fn list(tokens: &[Token], json: bool) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        name: &'a str,
        created: i64,
    }
    let shown: Vec<Shown<'_>> = tokens
        .iter()
        .map(|token| Shown {
            name: &token.name,
            created: token.created,
        })
        .collect();
    if json {
        let text = serde_json::to_string_pretty(&shown).map_err(|error| temporary(&error))?;
        println!("{text}");
        return Ok(());
    }
    for one in shown {
        println!("{:20} made {}", one.name, tai::mbox_date(one.created));
    }
    Ok(())
}
