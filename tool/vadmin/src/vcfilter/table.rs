//! How rules are shown.

use serde_json::{Value, json};
use vfilter::{HeaderList, Numbering, Row};

use super::words;

/// Length of the line below the head.
const DASHES: usize = 144;
/// How an empty word is shown.
const NOTHING: &str = "N/A";

/// What the rules of one name are shown with.
pub struct Table<'a> {
    /// Whose they are.
    pub address: &'a str,
    /// The names of header fields.
    pub headers: &'a HeaderList,
    /// What the numbers of comparisons mean.
    pub numbering: Numbering,
}

impl Table<'_> {
    /// The head of the table.
    pub fn head(&self) -> String {
        let names = columns([
            "No",
            "EmailId",
            "FilterName",
            "Header",
            "Comparision",
            "Keyword",
            "Folder",
            "Bounce",
            "Forward",
        ]);
        format!("{names}\n{}", "-".repeat(DASHES))
    }

    /// A rule for people.
    pub fn line(&self, row: &Row) -> String {
        let folder = match row.destination.as_str() {
            "/NoDeliver" => "Void",
            folder => folder,
        };
        let (bounces, target) = self.action(row);
        columns([
            &format!("{:3}", row.number),
            self.address,
            &row.name,
            self.header(row),
            self.comparison(row),
            &row.keyword,
            folder,
            if bounces { "Yes" } else { "No" },
            target.unwrap_or(NOTHING),
        ])
    }

    /// A rule for programs.
    pub fn raw(&self, row: &Row) -> String {
        let word = |text: &str| match text {
            "" => NOTHING.to_owned(),
            text => text.replace(' ', "~"),
        };
        let action = match self.action(row) {
            (_, Some(target)) => target,
            (true, None) => "Bounce",
            (false, None) if row.destination == "/NoDeliver" => "Vapour",
            (false, None) => "Deliver",
        };
        let Row {
            number,
            header,
            comparison,
            destination,
            ..
        } = row;
        format!(
            "{number} {} {} {header} {comparison} {} {destination} {action}",
            self.address,
            word(&row.name),
            word(&row.keyword)
        )
    }

    /// All rules.
    pub fn json(&self, rows: &[Row]) -> Value {
        rows.iter()
            .map(|row| {
                let (bounces, target) = self.action(row);
                json!({
                    "number": row.number,
                    "address": self.address,
                    "name": row.name,
                    "header": self.header(row),
                    "comparison": self.comparison(row),
                    "keyword": row.keyword,
                    "folder": row.destination,
                    "bounce": bounces,
                    "forward": target,
                })
            })
            .collect()
    }

    fn header(&self, row: &Row) -> &str {
        let number = usize::try_from(row.header).ok();
        number
            .and_then(|number| self.headers.name(number))
            .unwrap_or(NOTHING)
    }

    fn comparison(&self, row: &Row) -> &'static str {
        words::name(row.comparison, self.numbering).unwrap_or("?")
    }

    /// Does it bounce, and where does it go on to?
    fn action<'a>(&self, row: &'a Row) -> (bool, Option<&'a str>) {
        let target = row.action.get(1..).filter(|target| !target.is_empty());
        (row.action.starts_with(['1', '3']), target)
    }
}

fn columns(texts: [&str; 9]) -> String {
    let [
        number,
        address,
        name,
        header,
        comparison,
        keyword,
        folder,
        bounce,
        forward,
    ] = texts;
    format!(
        "{number:<3} {address:<29} {name:<20} {header:<15} {comparison:<26} {keyword:<15} \
         {folder:<15} {bounce:<6} {forward}"
    )
}
