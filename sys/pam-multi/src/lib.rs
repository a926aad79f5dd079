//! pam-multi: lets any program that knows PAM check passwords of virtual
//! users (virtual-domains.md §11.4).
//!
//! `auth required …/libpam_multi.so [root=DIR] [service=imap|pop3|smtp]`, and
//! the same for `account`. It asks inlookup, which answers root, the owner of
//! mail and qmaild; so no hash and no database is seen by the program that
//! loads it.
//!
//! The functions a module must have are all the unsafe code there is: this is
//! a shared library for a C interface, which no crate of ours can be.
#![allow(unsafe_code)]

mod ask;

use std::ffi::{CStr, c_char, c_int, c_void};

/// What the calling program holds; only the library looks into it.
type Handle = c_void;

// Return values and items of security/_pam_types.h, which are its interface.
const PAM_SUCCESS: c_int = 0;
const PAM_AUTH_ERR: c_int = 7;
const PAM_AUTHINFO_UNAVAIL: c_int = 9;
const PAM_USER_UNKNOWN: c_int = 10;
const PAM_ACCT_EXPIRED: c_int = 13;
const PAM_IGNORE: c_int = 25;
const PAM_RHOST: c_int = 4;
const PAM_AUTHTOK: c_int = 6;

/// Most arguments that are read.
const ARGUMENTS_MAX: usize = 16;

unsafe extern "C" {
    fn pam_get_user(handle: *mut Handle, user: *mut *const c_char, prompt: *const c_char) -> c_int;
    fn pam_get_authtok(
        handle: *mut Handle,
        item: c_int,
        token: *mut *const c_char,
        prompt: *const c_char,
    ) -> c_int;
    fn pam_get_item(handle: *const Handle, item: c_int, value: *mut *const c_void) -> c_int;
}

/// Is this the user's password?
///
/// # Safety
/// Called by libpam with a handle and arguments that are its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_authenticate(
    handle: *mut Handle,
    _flags: c_int,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    // A panic must not cross into C.
    let answer = std::panic::catch_unwind(|| {
        // SAFETY: as libpam promises.
        let arguments = unsafe { texts(count, arguments) };
        let options = ask::Options::parse(&arguments)?;
        let (mut user, mut password) = (std::ptr::null(), std::ptr::null());
        // SAFETY: the handle is libpam's; it writes one pointer each.
        let got = unsafe {
            pam_get_user(handle, &raw mut user, std::ptr::null()) == PAM_SUCCESS
                && pam_get_authtok(handle, PAM_AUTHTOK, &raw mut password, std::ptr::null())
                    == PAM_SUCCESS
        };
        if !got {
            return Some(ask::Verdict::Wrong);
        }
        // SAFETY: strings that end with NUL and are libpam's until it ends.
        let (user, password) = unsafe { (bytes(user)?, bytes(password)?) };
        // SAFETY: as above; an item that is not set is a null pointer.
        let remote_ip = unsafe {
            let mut value = std::ptr::null();
            match pam_get_item(handle, PAM_RHOST, &raw mut value) {
                PAM_SUCCESS => bytes(value.cast()),
                _ => None,
            }
        };
        Some(ask::password(
            &options,
            user,
            password,
            remote_ip.unwrap_or_default(),
        ))
    });
    match answer {
        Ok(Some(ask::Verdict::Right)) => PAM_SUCCESS,
        Ok(Some(ask::Verdict::Wrong)) => PAM_AUTH_ERR,
        Ok(Some(ask::Verdict::Forbidden)) => PAM_ACCT_EXPIRED,
        Ok(Some(ask::Verdict::Unknown)) => PAM_USER_UNKNOWN,
        Ok(Some(ask::Verdict::Later) | None) | Err(_) => PAM_AUTHINFO_UNAVAIL,
    }
}

/// Nothing has to be set for a user.
///
/// # Safety
/// Called by libpam; nothing is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_setcred(
    _handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    PAM_SUCCESS
}

/// Whether an account may be used was decided with its password.
///
/// # Safety
/// Called by libpam; nothing is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_acct_mgmt(
    _handle: *mut Handle,
    _flags: c_int,
    _count: c_int,
    _arguments: *const *const c_char,
) -> c_int {
    PAM_IGNORE
}

/// The arguments of the line that names this module.
///
/// # Safety
/// `arguments` points to `count` strings that end with NUL.
unsafe fn texts(count: c_int, arguments: *const *const c_char) -> Vec<String> {
    let count = usize::try_from(count).unwrap_or(0).min(ARGUMENTS_MAX);
    let text = |at| {
        // SAFETY: `at` is below the count.
        let bytes = unsafe { bytes(*arguments.add(at)) };
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    };
    (0..count).map(text).collect()
}

/// A string without its end; `None` for a null pointer.
///
/// # Safety
/// `text` is null, or ends with NUL and outlives what is made of it.
unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}
