//! Rules and messages of any bytes: where a message is cut does not matter.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use policy::content::{Content, Hit, Scanner};

fn scan(content: &Arc<Content>, pieces: &[&[u8]]) -> Option<Hit> {
    let mut scanner = Scanner::new(Arc::clone(content));
    pieces.iter().for_each(|piece| scanner.push(piece));
    scanner.finish()
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else {
        return;
    };
    let rules: Vec<Vec<u8>> = rest
        .split(|&b| b == b'\n')
        .take(3)
        .map(<[u8]>::to_vec)
        .collect();
    let Ok(content) = Content::new(&rules, &rules) else {
        return;
    };
    let content = Arc::new(content);
    let (head, tail) = rest.split_at(usize::from(cut).min(rest.len()));
    assert_eq!(scan(&content, &[head, tail]), scan(&content, &[rest]));
});
