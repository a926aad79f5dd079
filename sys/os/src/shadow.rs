//! The system's password hashes (shadow(5)).

use std::ffi::{CStr, CString};
use std::io;

/// What is stored for one account, and when it ends.
pub struct Shadow {
    /// The crypt string; nothing matches one that begins with `!` or `*`.
    pub hash: String,
    /// Day on which the account ends, counted from 1970.
    pub expires: Option<i64>,
}

/// Looks an account up; `None` when there is none. Whoever may not read the
/// hashes gets an error. Not for programs with threads: the library keeps its
/// answer in one place.
pub fn find(name: &str) -> io::Result<Option<Shadow>> {
    let name = CString::new(name)?;
    nix::errno::Errno::clear();
    // SAFETY: the name ends with NUL; the answer is read before anybody else
    // can ask, since callers have one thread.
    let entry = unsafe { nix::libc::getspnam(name.as_ptr()).as_ref() };
    let Some(entry) = entry else {
        return match nix::errno::Errno::last() {
            error @ (nix::errno::Errno::EACCES | nix::errno::Errno::EPERM) => Err(error.into()),
            _ => Ok(None),
        };
    };
    if entry.sp_pwdp.is_null() {
        return Ok(None);
    }
    // SAFETY: the library's strings end with NUL and stay until the next call.
    let hash = unsafe { CStr::from_ptr(entry.sp_pwdp) };
    Ok(Some(Shadow {
        hash: hash.to_string_lossy().into_owned(),
        expires: Some(entry.sp_expire).filter(|day| 0 <= *day),
    }))
}
