//! What senders want to be told (RFC 3461), and what reports say of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schedule::{Action, Fate};
use wire::dsn::{Dsn, EnvelopeId, Notify, Original, Return};

fuzz_target!(|input: &[u8]| {
    // As header lines of an envelope: printed and parsed again it is the same.
    let dsn = Dsn::from_headers(input);
    let lines = dsn.to_headers();
    assert!(lines.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')));
    assert_eq!(Dsn::from_headers(&lines).to_headers(), lines);
    // As parameters of SMTP.
    let _ = (Return::parse(input), EnvelopeId::parse(input));
    if let Some(notify) = Notify::parse(input) {
        assert_eq!(Notify::parse(notify.to_string().as_bytes()), Some(notify));
    }
    let original = Original::parse(input);
    // As the report of a delivery: one block of printable lines.
    for action in [
        Action::Failed,
        Action::Delayed,
        Action::Delivered,
        Action::Relayed,
    ] {
        let fate = Fate {
            recipient: &input[..input.len().min(40)],
            original: original.as_ref(),
            action,
            text: input,
            retry_until: None,
        };
        let fields = fate.fields();
        assert!(fields.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')));
        assert!(fields.ends_with(b"\n\n"));
        assert!(
            !fields[..fields.len() - 1]
                .windows(2)
                .any(|pair| pair == b"\n\n")
        );
    }
});
