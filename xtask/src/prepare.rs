//! The foreign programs the tests drive: real clients and servers.

use std::process::{Command, Stdio};

use crate::{Outcome, run};

/// What a program is needed for, and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("swaks", "swaks"),
    ("msmtp", "msmtp"),
    ("curl", "curl"),
    ("mutt", "mutt"),
    ("mbsync", "isync"),
    ("fetchmail", "fetchmail"),
    ("postfix", "postfix"),
    ("dnsmasq", "dnsmasq-base"),
    ("python3", "python3"),
    ("openssl", "openssl"),
    ("sqlite3", "sqlite3"),
    ("ps", "procps"),
    // The server alone: the package around it would start a service.
    ("mariadbd", "mariadb-server-core"),
    ("pamtester", "pamtester"),
    ("bogofilter", "bogofilter-sqlite"),
    // Without a database: the tests write one.
    ("clamscan", "clamav"),
];

/// Packages without a program of their own: TLS for swaks, another DKIM,
/// accounts and PAM of a test's own. `ARCH` is the machine's.
const LIBRARIES: &[(&str, &str)] = &[
    ("/usr/share/perl5/IO/Socket/SSL.pm", "libio-socket-ssl-perl"),
    (
        "/usr/lib/python3/dist-packages/dkim/__init__.py",
        "python3-dkim",
    ),
    (
        "/usr/lib/ARCH-linux-gnu/libnss_wrapper.so",
        "libnss-wrapper",
    ),
    (
        "/usr/lib/ARCH-linux-gnu/libpam_wrapper.so",
        "libpam-wrapper",
    ),
];

/// Installs the packages that are missing; as an ordinary user says which.
pub fn install_packages() -> Outcome {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() {
        return Err(format!(
            "xtask: the tests need Debian packages; as root: apt-get install {names}"
        ));
    }
    run(&mut apt(&["update"]))?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    run(&mut apt(&install))?;
    match self::missing() {
        still if still.is_empty() => Ok(()),
        still => Err(format!("xtask: not installed: {}", still.join(" "))),
    }
}

fn missing() -> Vec<&'static str> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = |program: &str| {
        path.split(':')
            .any(|dir| std::path::Path::new(dir).join(program).exists())
    };
    let programs = PROGRAMS.iter().filter(|(program, _)| !found(program));
    let libraries = LIBRARIES.iter().filter(|(file, _)| {
        let file = file.replace("ARCH", std::env::consts::ARCH);
        !std::path::Path::new(&file).exists()
    });
    programs
        .chain(libraries)
        .map(|(_, package)| *package)
        .collect()
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
