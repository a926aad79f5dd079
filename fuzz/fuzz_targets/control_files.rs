//! Control files of any content, and what is decided by them.
#![no_main]

use address::{Routing, VirtualDomains};
use libfuzzer_sys::fuzz_target;
use policy::{AccessList, AddressList, EnvRules, HostAccess, Hosts, Mode};
use text::control;

fuzz_target!(|input: &[u8]| {
    // The first line is what is asked about, the rest the file.
    let end = input.iter().position(|&b| b == b'\n').unwrap_or(0);
    let (asked, file) = input.split_at(end);
    let _ = (control::line(file), control::integer(file));
    let _ = control::lookup(file, asked);
    let lines: Vec<Vec<u8>> = control::list(file).map(<[u8]>::to_vec).collect();
    assert!(
        lines
            .iter()
            .all(|line| !line.is_empty() && !line.contains(&b'\n'))
    );
    Routing::new(b"here.test", &lines, &lines, &lines).route(asked);
    VirtualDomains::new(&lines).without_prepend(asked);
    Hosts::new(lines.clone(), None).allow(asked);
    let text = String::from_utf8_lossy(asked);
    HostAccess::new(&lines).allows(asked, &text);
    let _ = policy::relay::by_ip(&lines, &text);
    let _ = policy::relay::by_name(&lines, asked);
    for mode in [Mode::Wildcard, Mode::Regex] {
        if let Ok(list) = AddressList::new(lines.clone(), lines.clone(), None, mode) {
            list.matching(asked);
        }
        if let Ok(list) = AccessList::new(&lines, mode) {
            list.allows(asked, asked);
        }
        if let Ok(rules) = EnvRules::new(&lines, mode) {
            rules.changes(asked);
        }
    }
    let _ = text::wildmat::matches(asked, file);
    let decoded = text::xtext::decode(&text::xtext::encode(file));
    assert_eq!(decoded.as_deref(), Some(file));
    let _ = text::xtext::decode(file);
});
