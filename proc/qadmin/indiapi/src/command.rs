//! A command that a request stands for, and what its output becomes.

use serde_json::{Map, Value};

use crate::answer::Problem;

/// What a command prints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Prints {
    /// Nothing of interest.
    Nothing,
    /// JSON, passed on.
    Json,
    /// JSON, a list with one element, which is passed on.
    OnlyOne,
    /// A line of JSON for each element of a list.
    Lines,
    /// A secret, in a line that ends with it.
    Secret,
}

/// A command about to run.
#[derive(Debug, Eq, PartialEq)]
pub struct Command {
    /// Its name.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it reads: a password has no place among arguments.
    pub input: String,
    /// What it prints.
    pub prints: Prints,
    /// What the request makes, if it makes something.
    pub creates: bool,
}

impl Command {
    /// One that changes something.
    pub fn change(program: &'static str, arguments: &[&str]) -> Self {
        Self {
            program,
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            input: String::new(),
            prints: Prints::Nothing,
            creates: false,
        }
    }

    /// One that shows something.
    pub fn show(program: &'static str, arguments: &[&str], prints: Prints) -> Self {
        Self {
            prints,
            ..Self::change(program, arguments)
        }
    }

    /// It makes something new.
    pub fn creating(mut self) -> Self {
        self.creates = true;
        self
    }

    /// With a password to read.
    pub fn reading(mut self, password: String) -> Self {
        self.input = password + "\n";
        self
    }
}

/// The object a client sent; every field is taken once and none is left over.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(Problem::bad("the body is not a JSON object")),
        }
    }

    /// A text that has to be there.
    pub fn text(&mut self, name: &str) -> Result<String, Problem> {
        let missing = || Problem::bad(&format!("{name} is missing"));
        self.optional(name)?.ok_or_else(missing)
    }

    /// A text or a number, as text. Nothing that would be an option of a
    /// command, or another line for one that reads.
    pub fn optional(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let text = match self.0.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(Problem::bad(&format!("{name} is not a text"))),
        };
        match text.chars().any(char::is_control) {
            true => Err(Problem::bad(&format!("{name} has a control character"))),
            false => Ok(Some(text)),
        }
    }

    /// Refuses what nobody asked for.
    pub fn end(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            Some(name) => Err(Problem::bad(&format!("{name} is not known here"))),
            None => Ok(()),
        }
    }
}
