//! How much must be free before a message is taken (`MIN_FREE`).

use std::path::Path;

use run::{SettingError, Settings};
use settings::queue::MIN_FREE;

use crate::Error;

/// The bytes that `MIN_FREE` demands; `K`, `M` and `G` behind the number are
/// units of 1024, its square and its cube.
pub fn bytes_free_min(settings: &Settings) -> Result<u64, SettingError> {
    Ok(settings.line(&MIN_FREE)?.map_or(0, |value| bytes(&value)))
}

/// Refuses when less than `wanted` bytes are free for ordinary users on the
/// file system of `queue`.
pub fn check_free(queue: &Path, wanted: u64) -> Result<(), Error> {
    if wanted == 0 {
        return Ok(());
    }
    match os::file::bytes_available(queue) {
        Ok(free) if free < wanted => Err(Error::Space {
            queue: queue.to_owned(),
            free,
            wanted,
        }),
        Ok(_) => Ok(()),
        Err(source) => Err(Error::SpaceUnknown {
            queue: queue.to_owned(),
            source,
        }),
    }
}

fn bytes(value: &[u8]) -> u64 {
    let value = value.trim_ascii();
    let end = value.iter().position(|b| !b.is_ascii_digit());
    let (digits, unit) = value.split_at(end.unwrap_or(value.len()));
    let Some(number) = text::control::integer(digits) else {
        return 0;
    };
    let unit = match unit.first() {
        Some(b'K' | b'k') => 1 << 10,
        Some(b'M' | b'm') => 1 << 20,
        Some(b'G' | b'g') => 1 << 30,
        _ => 1,
    };
    number.unsigned_abs().saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        assert_eq!(bytes(b"52428800"), 50 << 20);
        assert_eq!(bytes(b"50M\n"), 50 << 20);
        assert_eq!((bytes(b"1k"), bytes(b"2G")), (1024, 2 << 30));
        assert_eq!((bytes(b""), bytes(b"many"), bytes(b"-1")), (0, 0, 0));
        assert_eq!(bytes(b"9000000000000000000G"), u64::MAX);
    }

    #[test]
    fn too_little_space_is_53_and_unknown_space_55() {
        let here = tempfile::tempdir().unwrap();
        assert!(check_free(here.path(), 1).is_ok());
        let code = |path: &Path| check_free(path, u64::MAX).unwrap_err().exit_code();
        assert_eq!(code(here.path()), 53);
        assert_eq!(code(&here.path().join("missing")), 55);
    }
}
