//! `users/assign` of any content becomes a table, or is refused; a table of
//! any content is looked up.
#![no_main]
#![allow(dead_code)]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

#[path = "../../proc/root/qmail-lspawn/src/assign.rs"]
mod assign;
#[path = "../../tool/queue/src/newu.rs"]
mod newu;

thread_local! {
    /// Give it `TMPDIR` in memory.
    static PLACE: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

fn look_up(table: &[u8], local: &[u8]) {
    PLACE.with_borrow_mut(|place| {
        let directory = place.get_or_insert_with(|| tempfile::tempdir().expect("a directory"));
        std::fs::write(directory.path().join("cdb"), table).expect("a table");
        let mut users = assign::Users::new(directory.path());
        if let Ok(Some(found)) = users.find(local) {
            assert!(!found.user.is_empty() && found.home.starts_with(b"/"));
        }
    });
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&b| b == b'\n').unwrap_or(0);
    let (local, file) = input.split_at(end);
    if let Ok(table) = newu::build(file.get(1..).unwrap_or_default()) {
        look_up(&table, local);
    }
    look_up(file, local);
    // qmail-getpw's answer.
    let _ = assign::parse(file, local);
});
