//! ipmeprint: which addresses are ours (queue-and-delivery.md §9.6).

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use run::{Exit, Home, Settings};
use settings::Setting;
use settings::remote::{MOREIPME, NOTIPME};

use crate::output;

pub const USAGE: &str = "usage: ipmeprint [--json]
Lists the addresses that lead to this host: those of its interfaces and of
moreipme, without those of notipme.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let is_json = crate::options::is_json(&arguments, USAGE)?;
    let settings = Settings::of_process(home);
    let interfaces = getifaddrs().map_err(|error| {
        Exit::new(
            run::TEMPORARY,
            format!("unable to list interfaces: {error}"),
        )
    })?;
    let mut ours: BTreeSet<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let four = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            four.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .collect();
    ours.extend(list(&settings, &MOREIPME)?);
    let not_ours = list(&settings, &NOTIPME)?;
    ours.retain(|ip| !not_ours.contains(ip));
    if is_json {
        return output::print_json(&ours);
    }
    let text: String = ours.iter().map(line).collect();
    output::print(text.as_bytes())
}

fn line(ip: &IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("ipv4 -> {ip}\n"),
        IpAddr::V6(ip) => format!("ipv6 -> {ip}\n"),
    }
}

fn list(settings: &Settings, setting: &Setting) -> Result<BTreeSet<IpAddr>, Exit> {
    let fatal = |text: String| Exit::new(run::TEMPORARY, text);
    let lines = settings
        .list(setting)
        .map_err(|error| fatal(error.to_string()))?;
    let parse = |line: Vec<u8>| {
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        text.parse::<IpAddr>()
            .map_err(|_| fatal(format!("control/{}: {text:?} is no address", setting.file)))
    };
    lines.unwrap_or_default().into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_called_by_its_name() {
        assert_eq!(line(&"192.0.2.1".parse().unwrap()), "ipv4 -> 192.0.2.1\n");
        assert_eq!(line(&"::1".parse().unwrap()), "ipv6 -> ::1\n");
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir(home.control()).unwrap();
        std::fs::write(home.control().join("moreipme"), "192.0.2.7\n#x\n").unwrap();
        std::fs::write(home.control().join("notipme"), "nonsense\n").unwrap();
        let settings = Settings::of_files(&home);
        assert_eq!(list(&settings, &MOREIPME).unwrap().len(), 1);
        assert!(list(&settings, &NOTIPME).is_err());
    }
}
