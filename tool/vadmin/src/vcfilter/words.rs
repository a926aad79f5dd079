//! Words for the numbers of a rule.

use vfilter::{HeaderList, Numbering};

/// Comparisons by their numbers.
const COMPARISONS: [&str; 8] = [
    "Equals",
    "Contains",
    "Does not contain",
    "Starts with",
    "Ends with",
    "My id not in To, CC, Bcc",
    "Numerical Logical Expression",
    "RegExp",
];
/// What older data have at 5.
const ADDRESS_BOOK: &str = "Sender not in Address Book";

/// The number a comparison has in the database, from its number or name.
pub fn comparison(text: &str, numbering: Numbering) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return name(number, numbering).map(|_| number);
    }
    let same = |known: &str| known.eq_ignore_ascii_case(text);
    let found = COMPARISONS.iter().position(|known| same(known))?;
    let number = i64::try_from(found).ok()?;
    Some(match numbering {
        Numbering::Older if 5 <= number => number + 1,
        _ => number,
    })
}

/// What a number means.
pub fn name(number: i64, numbering: Numbering) -> Option<&'static str> {
    let number = match numbering {
        Numbering::Older if number == 5 => return Some(ADDRESS_BOOK),
        Numbering::Older if 5 < number => number - 1,
        _ => number,
    };
    COMPARISONS.get(usize::try_from(number).ok()?).copied()
}

/// The number of a header field, from its number or name; -1 is none.
pub fn header(text: &str, headers: &HeaderList) -> Option<i64> {
    let number = match text.parse() {
        Ok(-1) => return Some(-1),
        Ok(number) => number,
        Err(_) => return headers.number(text)?.try_into().ok(),
    };
    let listed = headers.name(usize::try_from(number).ok()?);
    listed.map(|_| number)
}

/// A folder must stay below the mailbox.
pub fn check_folder(folder: &str) -> Result<(), String> {
    match folder {
        "/NoDeliver" => Ok(()),
        "" => Err("the folder has no name".to_owned()),
        _ if folder.starts_with('.') => Err(format!("{folder}: a folder begins with no dot")),
        _ if folder.contains('/') => Err(format!("{folder}: a folder has no slash in it")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_same() {
        for numbering in [Numbering::Current, Numbering::Older] {
            for number in 0..8 {
                let name = name(number, numbering).unwrap();
                if name != ADDRESS_BOOK {
                    assert_eq!(comparison(name, numbering), Some(number), "{name}");
                }
                assert_eq!(comparison(&number.to_string(), numbering), Some(number));
            }
        }
        assert_eq!(comparison("contains", Numbering::Current), Some(1));
        assert_eq!(comparison("RegExp", Numbering::Older), Some(8));
        assert_eq!(comparison("8", Numbering::Current), None);
        let headers = HeaderList::default();
        assert_eq!(header("subject", &headers), Some(2));
        assert_eq!(header("2", &headers), Some(2));
        assert_eq!(
            (header("-1", &headers), header("47", &headers)),
            (Some(-1), None)
        );
        assert!(check_folder("../x").is_err() && check_folder("a/b").is_err());
        assert!(check_folder("Junk").is_ok() && check_folder("/NoDeliver").is_ok());
    }
}
