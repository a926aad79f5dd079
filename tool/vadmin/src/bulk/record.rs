//! One user in a file: a line of CSV with a title line, or an object of JSON.

use std::io::Read;

use directory::User;
use serde::{Deserialize, Serialize};

/// How users are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a title line.
    Csv,
    /// One JSON object a line.
    Json,
}

/// A user as files have it. Only the address is needed; a user without
/// password and hash cannot log in until it gets one.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Address.
    pub address: String,
    /// Password in the clear; never written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// Password hash.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// Secrets for SCRAM and CRAM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scram: String,
    /// Full name.
    pub gecos: String,
    /// Quota text.
    pub quota: String,
    /// Account flags, as a number.
    pub flags: Option<u32>,
    /// Takes mail; true when left out.
    pub active: Option<bool>,
}

impl Record {
    /// A user, with secrets or without.
    pub fn of(user: &User, with_secrets: bool) -> Self {
        let secret = |text: &str| match with_secrets {
            true => text.to_owned(),
            false => String::new(),
        };
        Self {
            address: user.address(),
            password: String::new(),
            hash: secret(&user.password_hash),
            scram: secret(user.scram.as_deref().unwrap_or_default()),
            gecos: user.gecos.clone(),
            quota: user.quota.clone(),
            flags: Some(user.gid_flags),
            active: Some(user.active),
        }
    }
}

/// Looks at each record of a file, with its number; what cannot be understood
/// is an error of that record, and the rest goes on where it can.
pub fn each<E>(
    input: impl Read,
    format: Format,
    mut look: impl FnMut(u64, Result<Record, String>) -> Result<(), E>,
) -> Result<(), E> {
    match format {
        Format::Csv => {
            let mut reader = csv::ReaderBuilder::new()
                .trim(csv::Trim::Fields)
                .flexible(false)
                .from_reader(input);
            for (number, record) in (1..).zip(reader.deserialize::<Record>()) {
                look(number, record.map_err(|error| error.to_string()))?;
            }
        }
        Format::Json => {
            let records = serde_json::Deserializer::from_reader(std::io::BufReader::new(input));
            for (number, record) in (1..).zip(records.into_iter::<Record>()) {
                let broken = record.is_err();
                look(number, record.map_err(|error| error.to_string()))?;
                if broken {
                    // Nobody knows where the next one begins.
                    break;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format) -> Vec<Result<Record, String>> {
        let mut records = Vec::new();
        let done: Result<(), ()> = each(text.as_bytes(), format, |_, record| {
            records.push(record);
            Ok(())
        });
        done.unwrap();
        records
    }

    #[test]
    fn columns_may_come_in_any_order_and_be_left_out() {
        let records = read(
            "quota,address,gecos\n10M,joe@example.com,\"Joe, the \"\"first\"\"\"\n,ann@x,\n",
            Format::Csv,
        );
        let joe = records[0].as_ref().unwrap();
        assert_eq!(joe.gecos, "Joe, the \"first\"");
        assert_eq!((joe.quota.as_str(), joe.active), ("10M", None));
        assert_eq!(records[1].as_ref().unwrap().address, "ann@x");
    }

    #[test]
    fn a_bad_line_is_one_error_and_an_unknown_column_is_one_too() {
        let records = read("address,flags\na@x,1\nb@x,many\nc@x,3\n", Format::Csv);
        let fine: Vec<bool> = records.iter().map(Result::is_ok).collect();
        assert_eq!(fine, [true, false, true]);
        assert!(read("address,pasword\na@x,b\n", Format::Csv)[0].is_err());
        let records = read("{\"address\":\"a@x\"} {\"adress\":1}", Format::Json);
        assert!(records[0].is_ok() && records[1].is_err());
    }

    #[test]
    fn foreign_bytes_never_panic() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            for format in [Format::Csv, Format::Json] {
                let _: Result<(), ()> = each(bytes.as_slice(), format, |_, _| Ok(()));
            }
            Ok(())
        });
    }
}
