//! The real program and a name server that knows what a test says.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use run::Link;
use testkit::{Background, Dns};
use wire::verify::{
    Dmarc, Existence, Grey, Greylist, Message, Reply, Request, Sender, SpfResult, VERSION,
};

const SOON: Duration = Duration::from_secs(60);

struct World {
    _verifier: Background,
    _dns: Option<Dns>,
    directory: tempfile::TempDir,
}

impl World {
    fn new(records: &[&str]) -> Self {
        let dns = Dns::start(records);
        let port = dns.port;
        Self::with_server(port, Some(dns))
    }

    fn with_server(port: u16, dns: Option<Dns>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The verifier becomes another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        for name in ["control", "run", "run/verifier"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let resolver = format!("127.0.0.1:{port}\n");
        std::fs::write(directory.path().join("control/dnsresolver"), resolver).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_verifier"))
            .env_clear()
            .env("QMAILDIR", directory.path())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let world = Self {
            _verifier: Background(child),
            _dns: dns,
            directory,
        };
        testkit::wait_for("the verifier", SOON, || {
            Link::connect(&world.socket(), VERSION, SOON).is_ok()
        });
        world
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("run/verifier/socket")
    }

    fn link(&self) -> Link {
        Link::connect(&self.socket(), VERSION, SOON).unwrap()
    }

    fn ask(&self, request: &Request) -> Reply {
        self.link().ask(request).unwrap()
    }

    fn spf(&self, sender: &Sender) -> (SpfResult, Option<String>) {
        match self.ask(&Request::Sender(sender.clone())) {
            Reply::Sender(spf) => (spf.result, spf.explanation),
            other => panic!("{other:?}"),
        }
    }
}

fn sender(address: &str) -> Sender {
    Sender {
        ip: "192.0.2.1".parse().unwrap(),
        helo: "client.test".into(),
        sender: address.into(),
        host: "mx.test".into(),
        rules: None,
        guess: None,
        explanation: None,
    }
}

#[test]
fn domains_exist_or_not_or_nobody_knows() {
    let world = World::new(&[
        "mx-host=mail.test,mx.mail.test,10",
        "host-record=plain.test,192.0.2.7",
        "mx-host=null.test,.,0",
    ]);
    for (name, existence) in [
        ("mail.test", Existence::Exists),
        ("plain.test", Existence::Exists),
        ("gone.test", Existence::Absent),
        ("no such name", Existence::Absent),
        ("[192.0.2.1]", Existence::Exists),
        ("[nonsense]", Existence::Absent),
    ] {
        let reply = world.ask(&Request::Domain(name.into()));
        assert_eq!(reply, Reply::Domain(existence), "{name}");
    }
    let world = World::with_server(1, None);
    let reply = world.ask(&Request::Domain("mail.test".into()));
    assert_eq!(reply, Reply::Domain(Existence::Unknown));
}

#[test]
fn a_name_counts_when_it_leads_back() {
    let world = World::new(&[
        "host-record=real.test,192.0.2.1",
        "ptr-record=2.2.0.192.in-addr.arpa,liar.test",
        "address=/liar.test/192.0.2.99",
    ]);
    let name = |ip: &str| world.ask(&Request::Name(ip.parse().unwrap()));
    assert_eq!(name("192.0.2.1"), Reply::Name(Some("real.test".into())));
    assert_eq!(name("192.0.2.2"), Reply::Name(None));
    assert_eq!(name("192.0.2.3"), Reply::Name(None));
}

// Acceptance 32.
#[test]
fn spf_has_all_its_results() {
    let mut records: Vec<String> = (0..12)
        .map(|n| format!("txt-record=i{n}.test,v=spf1 include:i{}.test -all", n + 1))
        .collect();
    records.extend(
        [
            "txt-record=pass.test,v=spf1 ip4:192.0.2.0/24 -all",
            "txt-record=fail.test,v=spf1 -all exp=why.test",
            "txt-record=why.test,ask %{d} about %{i}",
            "txt-record=soft.test,v=spf1 ~all",
            "txt-record=neutral.test,v=spf1 ?all",
            "txt-record=broken.test,v=spf1 nonsense:x -all",
            "txt-record=twice.test,v=spf1 -all",
            "txt-record=twice.test,v=spf1 +all",
            "txt-record=client.test,v=spf1 ip4:192.0.2.1 -all",
        ]
        .map(str::to_owned),
    );
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let world = World::new(&records);
    for (address, result) in [
        ("a@pass.test", SpfResult::Pass),
        ("a@soft.test", SpfResult::SoftFail),
        ("a@neutral.test", SpfResult::Neutral),
        ("a@none.test", SpfResult::None),
        ("a@broken.test", SpfResult::Unknown),
        ("a@twice.test", SpfResult::Unknown),
        // Eleven nested includes are too many.
        ("a@i0.test", SpfResult::Unknown),
        // A notification is its client's own.
        ("", SpfResult::Pass),
    ] {
        assert_eq!(world.spf(&sender(address)).0, result, "{address}");
    }
    let (result, explanation) = world.spf(&sender("a@fail.test"));
    assert_eq!(result, SpfResult::Fail);
    assert_eq!(
        explanation.as_deref(),
        Some("ask fail.test about 192.0.2.1")
    );
    let local = Sender {
        rules: Some("ip4:192.0.2.1".into()),
        ..sender("a@fail.test")
    };
    assert_eq!(world.spf(&local).0, SpfResult::Pass);
    let guessed = Sender {
        guess: Some("-all".into()),
        explanation: Some("%{s} is not yours".into()),
        ..sender("a@none.test")
    };
    let (result, explanation) = world.spf(&guessed);
    assert_eq!(result, SpfResult::Fail);
    assert_eq!(explanation.as_deref(), Some("a@none.test is not yours"));
    let world = World::with_server(1, None);
    assert_eq!(world.spf(&sender("a@pass.test")).0, SpfResult::Error);
}

// RFC 7208 §4.6.4.
#[test]
fn spf_ends_where_questions_lead_nowhere() {
    let world = World::new(&[
        "txt-record=two.test,v=spf1 a:n1.test mx:n2.test ip4:192.0.2.1 -all",
        "txt-record=three.test,v=spf1 a:n1.test mx:n2.test a:n3.test ip4:192.0.2.1 -all",
        "txt-record=found.test,v=spf1 a:h1.test mx:m.test a:h2.test mx:m.test exists:h1.test -all",
        "txt-record=many.test,v=spf1 mx:m.test ip4:192.0.2.1 -all",
        "address=/h1.test/192.0.2.81",
        "address=/h2.test/192.0.2.82",
        "mx-host=m.test,e1.test,10",
        "mx-host=m.test,e2.test,20",
        "mx-host=m.test,e3.test,30",
    ]);
    for (address, result) in [
        ("a@two.test", SpfResult::Pass),
        ("a@three.test", SpfResult::Unknown),
        ("a@found.test", SpfResult::Pass),
        // Exchangers without addresses are their domain's own mistake.
        ("a@many.test", SpfResult::Pass),
    ] {
        assert_eq!(world.spf(&sender(address)).0, result, "{address}");
    }
}

/// A message of example.test, signed by its key; and the key's record.
fn signed_message() -> (String, String) {
    use mailauth::{Signed, Signer};
    struct Key(rsa::RsaPrivateKey);
    impl Signer for Key {
        fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
            use rsa::signature::{SignatureEncoding, Signer as _};
            let key = rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new(self.0.clone());
            Ok(key.sign(bytes).to_vec())
        }
    }
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let public = rsa::pkcs8::EncodePublicKey::to_public_key_der(&key.to_public_key()).unwrap();
    let text = "From: Ann <ann@example.test>\r\nTo: bob@local.test\r\nSubject: hi\r\n\
                Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\nhello\r\n";
    let mut rest = Some(text);
    let field = Signed::new(Key(key), "example.test", "sel")
        .sign(|piece| {
            piece.extend_from_slice(rest.take().unwrap_or_default().as_bytes());
            Ok::<_, ()>(!piece.is_empty())
        })
        .unwrap()
        .unwrap();
    let message = String::from_utf8(field).unwrap() + text;
    let record = format!("v=DKIM1; k=rsa; p={}", base64(public.as_bytes()));
    (message.replace("\r\n", "\n"), record)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A TXT record as dnsmasq takes it: strings of at most 255 bytes.
fn txt(name: &str, value: &str) -> String {
    let strings: Vec<String> = value
        .as_bytes()
        .chunks(200)
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
        .collect();
    format!("txt-record={name},{}", strings.join(","))
}

fn examine(world: &World, message: &str) -> (Dmarc, String) {
    let mut link = world.link();
    let about = Message {
        sender: sender("bounce@elsewhere.test"),
        spf: None,
        client: None,
    };
    link.send(&Request::Message(about)).unwrap();
    // Small pieces for small messages, so that cuts are everywhere.
    let piece_bytes = if message.len() < 100_000 { 50 } else { 200_000 };
    for piece in message.as_bytes().chunks(piece_bytes) {
        link.send(&Request::Data(piece.to_vec())).unwrap();
    }
    match link.ask(&Request::End).unwrap() {
        Reply::Message(verdict) => (verdict.dmarc, String::from_utf8(verdict.results).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn signatures_and_policies_of_messages() {
    let (message, key) = signed_message();
    let key = txt("sel._domainkey.example.test", &key);
    let world = World::new(&[
        &key,
        "txt-record=_dmarc.example.test,v=DMARC1; p=reject",
        "address=/example.test/192.0.2.7",
    ]);
    let (dmarc, results) = examine(&world, &message);
    assert_eq!(dmarc, Dmarc::Pass, "{results}");
    assert!(
        results.starts_with("Authentication-Results: mx.test;\n\tspf="),
        "{results}"
    );
    assert!(
        results.contains("dkim=pass header.d=example.test"),
        "{results}"
    );
    assert!(results.contains("dmarc=pass"), "{results}");
    let forged = message.replace("hello", "pay me");
    let (dmarc, results) = examine(&world, &forged);
    assert_eq!(dmarc, Dmarc::Reject, "{results}");
    assert!(
        results.contains("dkim=") && !results.contains("dkim=pass"),
        "{results}"
    );
    // Nothing at all is a message, too.
    assert_eq!(examine(&world, "").0, Dmarc::Nobody);
    assert_eq!(examine(&world, "no header\n").0, Dmarc::Nobody);
    assert_eq!(
        examine(&world, "From: a@no-policy.test\n\nx\n").0,
        Dmarc::None
    );
}

// Attack 15: other headers than the one a reader sees.
#[test]
fn neither_size_nor_a_crowd_of_authors_hides_a_forgery() {
    let world = World::new(&[
        "txt-record=_dmarc.example.test,v=DMARC1; p=reject",
        "address=/example.test/192.0.2.7",
    ]);
    let forged = "From: ann@example.test\nSubject: x\n\n";
    let large = forged.to_owned() + &"0123456789\n".repeat(4 << 20);
    assert_eq!(examine(&world, &large).0, Dmarc::Reject);
    for from in [
        "From: me@free.test\nFrom: ann@example.test\n",
        "From: ann@example.test\nFrom: me@free.test\n",
        "From: me@free.test, Ann <ann@example.test>\n",
        "From: us: me@free.test, Ann <ann@example.test>;\n",
    ] {
        let message = from.to_owned() + "\nhello\n";
        assert_eq!(examine(&world, &message).0, Dmarc::Reject, "{from}");
    }
    let crowd: Vec<String> = (0..20).map(|n| format!("a@d{n}.test")).collect();
    let crowd = format!("From: {}\n\nhello\n", crowd.join(", "));
    assert_eq!(examine(&world, &crowd).0, Dmarc::Nobody);
    let long = "X: y\n".repeat(400_000) + forged;
    assert_eq!(examine(&world, &long).0, Dmarc::Nobody);
}

#[test]
fn a_greylisting_server_is_asked() {
    let world = World::new(&[]);
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let question = Request::Greylist(Greylist {
        server: address,
        ip: "192.0.2.1".parse().unwrap(),
        sender: b"a@b".to_vec(),
        recipients: vec![b"c@local.test".to_vec()],
    });
    let answers = std::thread::spawn(move || {
        for reply in [Some([0, 1]), Some([1, 2]), None] {
            let mut buffer = [0; 2000];
            let (length, peer) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"I192.0.2.1\0Fa@b\0Tc@local.test\0\0");
            if let Some(reply) = reply {
                server.send_to(&reply, peer).unwrap();
            }
        }
        server
    });
    assert_eq!(world.ask(&question), Reply::Greylist(Grey::Defer));
    assert_eq!(world.ask(&question), Reply::Greylist(Grey::Accept));
    assert_eq!(world.ask(&question), Reply::Greylist(Grey::Silent));
    drop(answers.join().unwrap());
}

#[test]
fn usage_is_told() {
    let run = |words: &[&str]| {
        testkit::run(
            Command::new(env!("CARGO_BIN_EXE_verifier")).args(words),
            b"",
        )
    };
    assert_eq!(run(&["--help"]).code, 0);
    assert_eq!(run(&["x"]).code, 100);
}
