//! vcfilter: shows and changes filter rules.

mod table;
mod words;

use std::ffi::OsString;

use clap::Parser;
use directory::{Directory, User, home};
use run::Exit;
use settings::local;
use vfilter::{HeaderList, Numbering, Row, Rule};

use crate::notify::{LOOKUP, Notify};
use crate::site::{Site, permanent, refused, set_mark, temporary};

/// Names that stand for the rules of a whole domain.
const OF_DOMAIN: [&str; 2] = ["prefilt", "postfilt"];
/// The file in a Maildir that says that its user has rules.
const MARK: &str = "vfilter";

/// Shows and changes the rules by which vfilter delivers the mail of a user,
/// or of a whole domain: prefilt@DOMAIN comes before the rules of each user,
/// postfilt@DOMAIN after them.
///
/// Exit codes: 0 done, 1 none found, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vcfilter", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// Connect to the server that holds the user; there is one
    #[arg(short = 'C')]
    connect: bool,
    /// Show the rules
    #[arg(short = 's', conflicts_with_all = ["insert", "update", "delete"])]
    show: bool,
    /// Show them for programs: words without blanks
    #[arg(short = 'r')]
    raw: bool,
    /// Show them as JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Add a rule
    #[arg(short = 'i', conflicts_with_all = ["update", "delete"])]
    insert: bool,
    /// Change the rule with this number; what is not given stays
    #[arg(short = 'u', value_name = "NUMBER", conflicts_with = "delete")]
    update: Option<i64>,
    /// Delete the rule with this number
    #[arg(short = 'd', value_name = "NUMBER")]
    delete: Option<i64>,
    /// Name of the rule
    #[arg(short = 't', value_name = "NAME")]
    name: Option<String>,
    /// Header field to look at: its name, or its number in the list
    #[arg(short = 'h', value_name = "HEADER", allow_hyphen_values = true)]
    header: Option<String>,
    /// Comparison: 0 Equals, 1 Contains, 2 "Does not contain", 3 "Starts with",
    /// 4 "Ends with", 5 "My id not in To, CC, Bcc", 6 "Numerical Logical
    /// Expression", 7 RegExp
    #[arg(short = 'c', value_name = "COMPARISON")]
    comparison: Option<String>,
    /// What to look for
    #[arg(short = 'k', value_name = "KEYWORD", allow_hyphen_values = true)]
    keyword: Option<String>,
    /// Where mail goes: a folder, Inbox, or /NoDeliver for nowhere
    #[arg(short = 'f', value_name = "FOLDER")]
    folder: Option<String>,
    /// What else happens: 0 nothing, 1 bounce, 2&ADDRESS or "2|PROGRAM" pass it
    /// on, 3&ADDRESS or "3|PROGRAM" both
    #[arg(short = 'b', value_name = "ACTION")]
    action: Option<String>,
    /// Whose rules
    address: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (name, domain) = site.address(&arguments.address)?;
    site.become_owner()?;
    let editor = Editor {
        directory: site.directory()?,
        headers: headers(&site)?,
        numbering: numbering(&site),
        address: format!("{name}@{domain}"),
        name,
        domain,
    };
    let user = match OF_DOMAIN.contains(&editor.name.as_str()) {
        true => None,
        false => Some(site.user(&editor.directory, &editor.name, &editor.domain)?),
    };
    if !arguments.insert && arguments.update.is_none() && arguments.delete.is_none() {
        return editor.show(&arguments);
    }
    let number = editor.change(&arguments)?;
    if let Some(user) = user {
        editor.mark(&user)?;
    }
    if arguments.verbose {
        println!("{}: rule {number}", editor.address);
    }
    notify.hup();
    Ok(())
}

/// The names of header fields at this site.
fn headers(site: &Site) -> Result<HeaderList, Exit> {
    let listed = site.settings.file(local::HEADERLIST.file);
    let listed = listed.map_err(|error| temporary(&error))?;
    Ok(HeaderList::of_file(listed.as_deref()))
}

fn numbering(site: &Site) -> Numbering {
    Numbering::of_setting(site.settings.variable(local::VFILTER_NUMBERING.variable))
}

/// The rules of one name.
struct Editor {
    directory: Directory,
    headers: HeaderList,
    numbering: Numbering,
    name: String,
    domain: String,
    address: String,
}

impl Editor {
    fn rows(&self) -> Result<Vec<Row>, Exit> {
        let rows = self.directory.filters(&self.name, &self.domain);
        rows.map_err(|error| refused(&error))
    }

    fn show(&self, arguments: &Arguments) -> Result<(), Exit> {
        let rows = self.rows()?;
        let lines = table::Table {
            address: &self.address,
            headers: &self.headers,
            numbering: self.numbering,
        };
        if arguments.json {
            println!("{}", lines.json(&rows));
        } else if arguments.raw {
            rows.iter().for_each(|row| println!("{}", lines.raw(row)));
        } else if !rows.is_empty() {
            println!("{}", lines.head());
            rows.iter().for_each(|row| println!("{}", lines.line(row)));
        }
        match rows.is_empty() {
            true => Err(Exit::new(1, "")),
            false => Ok(()),
        }
    }

    /// Changes what is wanted and says the number of the rule.
    fn change(&self, arguments: &Arguments) -> Result<i64, Exit> {
        let missing = |number| Exit::new(1, format!("{} has no rule {number}", self.address));
        if let Some(number) = arguments.delete {
            let deleted = self.directory.delete_filter(&self.address, number);
            return match deleted.map_err(|error| refused(&error))? {
                true => Ok(number),
                false => Err(missing(number)),
            };
        }
        let Some(number) = arguments.update else {
            let row = self.edited(arguments, Row::default())?;
            let added = self.directory.add_filter(&self.address, &row);
            return added.map_err(|error| refused(&error))?.ok_or_else(|| {
                permanent(format!("{} has a rule that does the same", self.address))
            });
        };
        let mut rows = self.rows()?.into_iter();
        let row = rows
            .find(|row| row.number == number)
            .ok_or_else(|| missing(number))?;
        let row = self.edited(arguments, row)?;
        let replaced = self.directory.replace_filter(&self.address, &row);
        match replaced.map_err(|error| refused(&error))? {
            true => Ok(number),
            false => Err(missing(number)),
        }
    }

    /// A rule with what the arguments say, checked.
    fn edited(&self, arguments: &Arguments, mut row: Row) -> Result<Row, Exit> {
        let is_new = arguments.insert;
        let needed = |what: &str| permanent(format!("a new rule needs {what}"));
        if let Some(text) = &arguments.comparison {
            row.comparison = words::comparison(text, self.numbering)
                .ok_or_else(|| permanent(format!("{text} is no comparison")))?;
        } else if is_new {
            return Err(needed("-c COMPARISON"));
        }
        if let Some(text) = &arguments.header {
            row.header = words::header(text, &self.headers)
                .ok_or_else(|| permanent(format!("{text} is no header field of the list")))?;
        } else if is_new {
            row.header = -1;
        }
        match &arguments.folder {
            Some(folder) => {
                words::check_folder(folder).map_err(permanent)?;
                row.destination.clone_from(folder);
            }
            None if is_new => return Err(needed("-f FOLDER")),
            None => {}
        }
        let texts = [
            (&arguments.name, &mut row.name),
            (&arguments.keyword, &mut row.keyword),
            (&arguments.action, &mut row.action),
        ];
        for (given, text) in texts {
            if let Some(given) = given {
                text.clone_from(given);
            }
        }
        if row.name.is_empty() {
            return Err(needed("-t NAME"));
        }
        if row.action.is_empty() {
            "0".clone_into(&mut row.action);
        }
        let rule = Rule::parse(&row, self.numbering);
        rule.map_err(|error| permanent(error.to_string()))?;
        let listed = |number| {
            usize::try_from(number)
                .ok()
                .and_then(|n| self.headers.name(n))
        };
        if row.header != -1 && listed(row.header).is_none() {
            return Err(permanent(format!(
                "{} is no header field of the list",
                row.header
            )));
        }
        Ok(row)
    }

    /// The mark in the mailbox: there while the user has rules.
    fn mark(&self, user: &User) -> Result<(), Exit> {
        let has_rules = !self.rows()?.is_empty();
        if has_rules {
            home::create(user).map_err(|error| refused(&error))?;
        }
        set_mark(&user.maildir().join(MARK), has_rules)
    }
}
