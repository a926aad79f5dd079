//! printdir: how far the trees of homes of a domain have grown.

use std::ffi::OsString;

use clap::Parser;
use directory::{TreeState, tree};
use run::Exit;
use serde::Serialize;

use crate::show::json;
use crate::site::{Site, refused};

/// Shows how far the trees of homes of a domain have grown.
///
/// Exit codes: 0 done, 1 no such domain or no tree, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "printdir", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Name of the domain
    domain: String,
}

/// A tree as it is shown.
#[derive(Serialize)]
struct Shown {
    dir_control: String,
    cur_users: i64,
    dir_prefix: String,
    users_per_level: u32,
    level_cur: i64,
    level_max: i64,
    level_start: [i64; 3],
    level_end: [i64; 3],
    level_mod: [i64; 3],
    level_index: [i64; 3],
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (domain, entry) = site.real_domain(&arguments.domain)?;
    let users_per_level = crate::user::users_per_level(&entry.dir).unwrap_or(tree::USERS_PER_LEVEL);
    site.become_owner()?;
    let trees = site
        .directory()?
        .trees(&domain)
        .map_err(|error| refused(&error))?;
    let shown: Vec<Shown> = trees
        .into_iter()
        .map(|tree| show(tree, users_per_level))
        .collect();
    if arguments.json {
        json(&shown)?;
    } else {
        shown.iter().for_each(print);
    }
    if shown.is_empty() {
        Err(Exit::new(1, ""))
    } else {
        Ok(())
    }
}

fn show(tree: TreeState, users_per_level: u32) -> Shown {
    let place = tree.suffix.strip_prefix("root").unwrap_or(&tree.suffix);
    Shown {
        dir_control: place.replace('_', "/"),
        cur_users: tree.cur_users,
        dir_prefix: tree.the_dir,
        users_per_level,
        level_cur: tree.levels[0],
        level_max: tree.levels[1],
        level_start: tree.starts,
        level_end: tree.ends,
        level_mod: tree.places,
        level_index: tree.indexes,
    }
}

fn print(tree: &Shown) {
    println!("Dir Control     = {}", tree.dir_control);
    println!("cur users       = {}", tree.cur_users);
    println!("dir prefix      = {}", tree.dir_prefix);
    println!("Users per level = {}", tree.users_per_level);
    println!("level_cur       = {}", tree.level_cur);
    println!("level_max       = {}", tree.level_max);
    for level in 0..3 {
        println!("level_start{level}    = {}", tree.level_start[level]);
        println!("level_end{level}      = {}", tree.level_end[level]);
        println!("level_mod{level}      = {}", tree.level_mod[level]);
        println!("level_index{level}    = {}", tree.level_index[level]);
    }
}
