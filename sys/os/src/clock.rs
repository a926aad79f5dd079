//! The clock and randomness of the machine, asked at the edge only.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds and nanoseconds since 1970; zero when the clock stands before.
pub fn now() -> (i64, u32) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    (
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        since.subsec_nanos(),
    )
}

/// Whole seconds since 1970.
pub fn unix_seconds() -> i64 {
    now().0
}

/// Seconds that local time is ahead of UTC at a point in time (`TZ`, else the
/// system's zone); 0 when that cannot be told.
pub fn local_offset(unix_seconds: i64) -> i64 {
    // SAFETY: all bytes of a `tm` may be zero; `localtime_r` fills it and
    // keeps no pointer. Its zone name is not used.
    unsafe {
        let mut local: nix::libc::tm = std::mem::zeroed();
        if nix::libc::localtime_r(&unix_seconds, &mut local).is_null() {
            return 0;
        }
        local.tm_gmtoff
    }
}

/// Reads a time as strptime(3) does. Without a numeric zone in it, or the
/// words `GMT` or `UTC`, it is local time; `None` when the text is not all of
/// the form.
pub fn parse(text: &str, format: &str) -> Option<i64> {
    let is_utc = text.split(|c: char| !c.is_ascii_alphabetic());
    let is_utc = is_utc.into_iter().any(|word| matches!(word, "GMT" | "UTC"));
    let text = std::ffi::CString::new(text).ok()?;
    let format = std::ffi::CString::new(format).ok()?;
    // SAFETY: both strings end in NUL and live through the call; all bytes of
    // a `tm` may be zero. What is returned points into `text`.
    unsafe {
        let mut time: nix::libc::tm = std::mem::zeroed();
        time.tm_isdst = -1;
        let rest = nix::libc::strptime(text.as_ptr(), format.as_ptr(), &mut time);
        if rest.is_null() || *rest != 0 {
            return None;
        }
        let offset = time.tm_gmtoff;
        let seconds = match is_utc || offset != 0 {
            true => nix::libc::timegm(&mut time) - offset,
            false => nix::libc::mktime(&mut time),
        };
        Some(seconds)
    }
}

/// 64 random bits from the kernel.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    fill_random(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// Bytes asked of the kernel at once.
const POOL_BYTES: usize = 512;

thread_local! {
    /// Bytes that nobody has had yet, at the end.
    static POOL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Fills a buffer from the kernel's generator. Small buffers share a call;
/// a program that forks must not go on in both halves, which ours do not:
/// they fork to run another program.
///
/// # Panics
/// When the kernel has no randomness at all: going on would make secrets
/// guessable.
pub fn fill_random(bytes: &mut [u8]) {
    if POOL_BYTES < bytes.len() {
        return fill_from_kernel(bytes);
    }
    POOL.with_borrow_mut(|pool| {
        if pool.len() < bytes.len() {
            pool.resize(POOL_BYTES, 0);
            fill_from_kernel(pool);
        }
        let rest = pool.len() - bytes.len();
        bytes.copy_from_slice(&pool[rest..]);
        // Nothing that was given away stays behind.
        pool[rest..].fill(0);
        pool.truncate(rest);
    });
}

fn fill_from_kernel(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        // SAFETY: the pointer and length describe the rest of `bytes`, which
        // the kernel fills with plain bytes.
        let got = unsafe {
            nix::libc::getrandom(bytes[filled..].as_mut_ptr().cast(), bytes.len() - filled, 0)
        };
        match usize::try_from(got) {
            Ok(got) => filled += got,
            Err(_) => assert_eq!(
                nix::errno::Errno::last(),
                nix::errno::Errno::EINTR,
                "getrandom"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_are_never_given_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2 * POOL_BYTES {
            let mut bytes = [0; 16];
            fill_random(&mut bytes);
            assert!(seen.insert(bytes));
        }
        let mut many = vec![0; 2 * POOL_BYTES];
        fill_random(&mut many);
        assert!(many.iter().any(|&b| b != 0));
    }
}
