//! Administration from afar: indisrvr with adminclient, and the same over
//! HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use directory::administrator::Token;
use directory::list::{OPERATORS, PRIVILEGES};
use directory::password::{self, Method};
use directory::{Cell, Directory};
use testkit::{Background, Installation, Ran, run, wait_for};

const PASSWORD: &str = "very long winter 7";
const START_MAX: Duration = Duration::from_secs(60);

/// An installation that can be administered from afar.
struct Afar {
    // Before what they work on.
    _daemons: Vec<Background>,
    server: Installation,
}

impl Afar {
    fn start() -> Self {
        let server = Installation::start("example.org");
        let mut admind = server.tool("admind");
        let mut indisrvr = server.tool("indisrvr");
        indisrvr.args(["-i", "127.0.0.1", "-b", "50", "-n", "servercert.pem"]);
        indisrvr.args(["-p", &server.port(4000).to_string()]);
        let mut plain = server.tool("indisrvr");
        plain.args(["-i", "127.0.0.1", "--tls", "none"]);
        plain.args(["-p", &server.port(4001).to_string()]);
        let mut indiapi = server.tool("indiapi");
        indiapi.args(["--listen", &format!("127.0.0.1:{}", server.port(4080))]);
        let start = |command: &mut Command| {
            let started = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
            Background(started.unwrap())
        };
        let mut daemons = vec![start(&mut admind)];
        let socket = server.root().join("run/admin/socket");
        wait_for("admind", START_MAX, || socket.exists());
        daemons.extend([&mut indisrvr, &mut plain, &mut indiapi].map(start));
        for port in [4000, 4001, 4080] {
            let port = server.port(port);
            wait_for("a port", START_MAX, || {
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
        }
        Self {
            server,
            _daemons: daemons,
        }
    }

    fn directory(&self) -> Directory {
        Directory::open(&self.server.root().join("db/indimail.db")).unwrap()
    }

    /// An operator who may run these programs with these arguments.
    fn operator(&self, name: &str, rights: &[(&str, &str)]) {
        let hash = password::hash(PASSWORD.as_bytes(), Method::default()).unwrap();
        let row: [Cell; 9] = [
            name.into(),
            hash.into(),
            0.into(),
            0.into(),
            0.into(),
            0.into(),
            "".into(),
            0.into(),
            "0".into(),
        ];
        assert!(self.directory().add_row(&OPERATORS, &row).unwrap());
        for (program, switches) in rights {
            let row: [Cell; 3] = [name.into(), (*program).into(), (*switches).into()];
            assert!(self.directory().add_row(&PRIVILEGES, &row).unwrap());
        }
    }

    fn client(&self, user: &str, password: &str, command: &[&str]) -> Ran {
        let mut client = self.server.tool("adminclient");
        client
            .env("ADMIN_HOST", "127.0.0.1")
            .env("ADMIN_PORT", self.server.port(4000).to_string())
            .env("ADMIN_USER", user)
            .env("ADMIN_PASS", password)
            .arg("-c")
            .arg(self.server.root().join("certs/servercert.pem"))
            .args(["-m", "mx.example.org"])
            .args(command);
        run(&mut client, b"")
    }

    /// Everything that comes back for these lines.
    fn dialogue(&self, lines: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.port(4001))).unwrap();
        stream.set_read_timeout(Some(START_MAX)).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Status and body of a request.
    fn request(&self, token: &str, method: &str, path: &str, body: &str) -> (String, String) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--request", method])
            .args(["--write-out", "\n%{http_code}"])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .arg(format!("http://127.0.0.1:{}{path}", self.server.port(4080)));
        if !body.is_empty() {
            curl.args(["--data-binary", "@-"]);
        }
        let out = run(&mut curl, body.as_bytes()).good().out;
        let (body, status) = out.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }

    fn token(&self, user: &str) -> String {
        let mut make = self.server.tool("mgmttoken");
        let out = run(make.args(["-u", user, "-a", "test"]), b"").good().out;
        out.trim().strip_prefix("Token is ").unwrap().to_owned()
    }
}

// Acceptance 48.
#[test]
fn commands_run_from_afar_for_who_may_run_them() {
    let afar = Afar::start();
    afar.operator("admin", &[]);
    afar.operator("joe", &[("vuserinfo", "*@example.org"), ("vadduser", "*")]);
    let shown = afar
        .client("admin", PASSWORD, &["vuserinfo", "ann@example.org"])
        .good();
    assert!(
        shown.out.contains("name          : ann@example.org"),
        "{}",
        shown.out
    );
    let added = [
        "vadduser",
        "-c",
        "It's `me` $HOME",
        "bob@example.org",
        "another word 8",
    ];
    afar.client("joe", PASSWORD, &added).good();
    let shown = afar
        .client("joe", PASSWORD, &["vuserinfo", "bob@example.org"])
        .good();
    assert!(
        shown.out.contains("gecos         : It's `me` $HOME\n"),
        "{}",
        shown.out
    );
    // What the command says and how it ends comes through.
    let again = afar.client("joe", PASSWORD, &added);
    assert_eq!(again.code, 100);
    assert!(
        again.out.contains("username bob@example.org exists"),
        "{}",
        again.out
    );
    let absent = afar.client("joe", PASSWORD, &["vuserinfo", "nobody@example.org"]);
    assert_eq!(absent.code, 1);
    assert!(absent.out.contains("No such user"), "{}", absent.out);
    // Not these arguments, not this program, not this password.
    for command in [
        &["vuserinfo", "-a", "ann@example.org"][..],
        &["vdeluser", "ann@example.org"],
    ] {
        let refused = afar.client("joe", PASSWORD, command);
        assert_eq!(
            (refused.code, refused.out.trim()),
            (100, "permission denied")
        );
    }
    let wrong = afar.client("joe", "guess", &["vuserinfo", "ann@example.org"]);
    assert!(wrong.err.contains("Password incorrect"), "{}", wrong.err);
    assert_eq!(wrong.code, 100);
    // Domains are added by root, whoever asks; no option leads elsewhere.
    let domain = ["vadddomain", "second.example", "another word 8"];
    afar.client("admin", PASSWORD, &domain).good();
    let elsewhere = [
        "vadddomain",
        "-d",
        "/etc",
        "third.example",
        "another word 8",
    ];
    assert_eq!(afar.client("admin", PASSWORD, &elsewhere).code, 100);
}

#[test]
fn the_dialogue_is_that_of_the_original() {
    let afar = Afar::start();
    afar.operator("admin", &[]);
    let login = format!("admin\n{PASSWORD}\n");
    let said = afar.dialogue(&format!("{login}7 vuserinfo -n ann@example.org\n\n"));
    let start = "Login: Password: OK\nname          : ann@example.org\n";
    assert!(said.starts_with(start), "{said}");
    assert!(said.ends_with("\nRETURNSTATUS0"), "{said}");
    for wrong in ["0 vuserinfo x", "-1 vuserinfo x", "44 x", "7 sh -c id"] {
        let said = afar.dialogue(&format!("{login}{wrong}\n"));
        assert_eq!(
            said, "Login: Password: OK\ncommand mismatch\nRETURNSTATUS100",
            "{wrong}"
        );
    }
    // Seven wrong passwords, and it is over for today.
    for _ in 0..7 {
        let said = afar.dialogue("admin\nguess\n");
        assert_eq!(said, "Login: Password: Password incorrect");
    }
    let said = afar.dialogue(&login);
    assert_eq!(said, "Login: Password: You are disabled");
    // Nobody is told whether a name exists, and no line is endless.
    assert_eq!(
        afar.dialogue("nobody\nguess\n"),
        "Login: Password: Password incorrect"
    );
    assert_eq!(afar.dialogue(&"x".repeat(300)), "Login: ");
}

#[test]
fn the_same_can_be_done_over_http() {
    let afar = Afar::start();
    afar.operator("admin", &[]);
    afar.operator("joe", &[("vuserinfo", "--json *@example.org")]);
    let (admin, joe) = (afar.token("admin"), afar.token("joe"));
    let ask = |method: &str, path: &str, body: &str| afar.request(&admin, method, path, body);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();

    let (status, body) = ask("GET", "/v1/status", "");
    assert_eq!(
        (&*status, &json(&body)["administrator"]),
        ("200", &"admin".into())
    );
    let second = r#"{"domain": "second.example", "password": "another word 8"}"#;
    assert_eq!(ask("POST", "/v1/domains", second).0, "201");
    let (status, problem) = ask("POST", "/v1/domains", second);
    assert_eq!(status, "409");
    assert_eq!(json(&problem)["detail"], "domain second.example exists");
    let (_, domains) = ask("GET", "/v1/domains", "");
    assert_eq!(json(&domains).as_array().unwrap().len(), 2, "{domains}");

    let bob = r#"{"user": "bob", "password": "another word 8", "quota": "50000"}"#;
    assert_eq!(
        ask("POST", "/v1/domains/second.example/users", bob).0,
        "201"
    );
    let (_, users) = ask("GET", "/v1/domains/second.example/users", "");
    assert_eq!(json(&users).as_array().unwrap().len(), 2, "{users}");
    assert!(!users.contains("hash"), "{users}");
    let bob = "/v1/users/bob@second.example";
    assert_eq!(
        ask("PUT", &format!("{bob}/quota"), r#"{"quota": "70000"}"#).0,
        "204"
    );
    assert_eq!(
        ask(
            "PUT",
            &format!("{bob}/password"),
            r#"{"password": "third word 9"}"#
        )
        .0,
        "204"
    );
    let (_, shown) = ask("GET", bob, "");
    assert_eq!(json(&shown)["quota"], "70000", "{shown}");
    let (status, made) = ask(
        "POST",
        &format!("{bob}/app-passwords"),
        r#"{"name": "phone"}"#,
    );
    assert_eq!(
        (&*status, json(&made)["password"].as_str().unwrap().len()),
        ("201", 24)
    );
    assert_eq!(
        ask("DELETE", &format!("{bob}/app-passwords/phone"), "").0,
        "204"
    );
    assert_eq!(
        ask("DELETE", &format!("{bob}/app-passwords/phone"), "").0,
        "404"
    );

    let line = r#"{"line": "&bob@second.example"}"#;
    assert_eq!(
        ask("POST", "/v1/aliases/sales@second.example", line).0,
        "201"
    );
    let (_, lines) = ask("GET", "/v1/aliases/sales@second.example", "");
    assert_eq!(json(&lines)[0]["line"], "&bob@second.example");
    assert_eq!(
        ask("DELETE", "/v1/aliases/sales@second.example", line).0,
        "204"
    );
    assert_eq!(ask("DELETE", bob, "").0, "204");
    assert_eq!(ask("GET", bob, "").0, "404");
    assert_eq!(ask("DELETE", "/v1/domains/second.example", "").0, "204");

    // Who may not, and who is nobody.
    let ann = "/v1/users/ann@example.org";
    assert_eq!(afar.request(&joe, "GET", ann, "").0, "200");
    assert_eq!(afar.request(&joe, "DELETE", ann, "").0, "403");
    let (_, stranger) = Token::generate("test", 0);
    for token in ["", "x", &stranger] {
        assert_eq!(afar.request(token, "GET", ann, "").0, "401");
    }
    assert_eq!(ask("POST", "/v1/domains", &"x".repeat(70_000)).0, "413");
    assert_eq!(ask("POST", "/v1/domains", "{").0, "400");
    // Taken back, a token opens nothing.
    let mut delete = afar.server.tool("mgmttoken");
    run(delete.args(["-u", "joe", "-d", "test"]), b"").good();
    assert_eq!(afar.request(&joe, "GET", ann, "").0, "401");
}
