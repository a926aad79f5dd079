//! The least that starting a program costs here: fork and exec of a static
//! program that does nothing, as many at once as there are processors.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Programs started for a measurement.
const STARTS: usize = 4000;
/// Where the program is loaded.
const ADDRESS: u64 = 0x40_0000;
const HEADERS_BYTES: u64 = 64 + 56;

/// `exit(0)` in the machine's language, and what ELF calls the machine.
const EXIT: Option<(&[u8], u16)> = if cfg!(target_arch = "x86_64") {
    // xor edi, edi; mov eax, 60; syscall
    Some((&[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05], 62))
} else if cfg!(target_arch = "aarch64") {
    // mov x0, 0; mov x8, 93; svc 0
    Some((
        &[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4],
        183,
    ))
} else {
    None
};

/// Puts the program into a directory; `None` where its machine code is not
/// known.
pub fn nothing(directory: &Path) -> Option<PathBuf> {
    let (code, machine) = EXIT?;
    let bytes = HEADERS_BYTES + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |elf: &mut Vec<u8>, numbers: &[u16]| {
        elf.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    };
    let long = |elf: &mut Vec<u8>, numbers: &[u64]| {
        elf.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    };
    // An executable, version 1; entry, one program header, no sections.
    half(&mut elf, &[2, machine, 1, 0]);
    long(&mut elf, &[ADDRESS + HEADERS_BYTES, 64, 0]);
    half(&mut elf, &[0, 0, 64, 56, 1, 0, 0, 0]);
    // Load all of it, to be read and executed.
    half(&mut elf, &[1, 0, 5, 0]);
    long(&mut elf, &[0, ADDRESS, ADDRESS, bytes, bytes, 0x1000]);
    elf.extend_from_slice(code);
    let (written, path) = (directory.join("nothing.elf"), directory.join("nothing"));
    std::fs::write(&written, elf).expect("a file");
    testkit::copy_program(&written, &path);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, everybody).expect("its mode");
    Some(path)
}

/// Starts a second, of this program.
pub fn starts_per_second(program: &Path) -> f64 {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < STARTS {
                    let status = Command::new(program).status().expect("it starts");
                    assert!(status.success(), "{status}");
                }
            });
        }
    });
    STARTS as f64 / started.elapsed().as_secs_f64()
}
