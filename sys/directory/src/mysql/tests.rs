//! What only a server can do to us.

use mysql::Conn;
use mysql::prelude::Queryable;
use testkit::Mariadb;

use crate::{Directory, Error, Location, Placement, Server, Tls, User, tests::user};

/// The tables an installation from before 2023 has, in its character set,
/// with users that were written by others.
const OLD_SITE: &str = "
CREATE TABLE indimail (
    pw_name char(40) NOT NULL, pw_domain char(67) NOT NULL, pw_passwd char(128) NOT NULL,
    pw_uid int, pw_gid int, pw_gecos char(48) NOT NULL, pw_dir char(156), pw_shell char(30),
    timestamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    site_note char(9) NOT NULL DEFAULT 'ours',
    PRIMARY KEY (pw_name, pw_domain), INDEX pw_gecos (pw_gecos(25)), INDEX pw_uid (pw_uid)
) CHARSET=latin1;
CREATE TABLE indibak LIKE indimail;
CREATE TABLE valias (
    alias char(40) NOT NULL, domain char(67) NOT NULL, valias_line char(254) NOT NULL,
    timestamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    UNIQUE KEY (alias, domain, valias_line), KEY (alias, domain)
) CHARSET=latin1;
CREATE TABLE ischema (id int AUTO_INCREMENT PRIMARY KEY, comment text NOT NULL);
INSERT INTO ischema VALUES (8, 'of another program');
INSERT INTO indimail VALUES ('Joe', 'example.com', '$1$salt$hash', 1, NULL, 'J\u{fc}rgen',
    '/home/mail/F2K/example.com/joe', '5242880', '2020-01-01', 'ours');
INSERT INTO indibak VALUES ('ann', 'example.com', 'x', NULL, 16, 'ann',
    '/home/mail/A2E/example.com/ann', 'NOQUOTA', '2020-01-01', 'ours');
INSERT INTO valias VALUES ('sales', 'example.com', '&joe@example.com', '2020-01-01')";

fn root_of(server: &Mariadb) -> Server {
    let mut root = Server::from_url("mysql://root@localhost/").unwrap();
    root.socket = Some(server.socket());
    root
}

fn administer(server: &Mariadb, database: Option<&str>, statements: &str) {
    let mut connection = Conn::new(root_of(server).options(database)).unwrap();
    for statement in statements.split(';').filter(|s| !s.trim().is_empty()) {
        connection.query_drop(statement).unwrap();
    }
}

/// A database that another program made.
fn old_site() -> Server {
    let shared = Mariadb::shared();
    let name = Mariadb::new_name();
    administer(shared, None, &format!("CREATE DATABASE {name}"));
    administer(shared, Some(&name), OLD_SITE);
    Server {
        database: name,
        ..root_of(shared)
    }
}

fn open(server: Server) -> Directory {
    Directory::open_at(&Location::Server(server)).unwrap()
}

fn at() -> Placement {
    Placement::At("/mail/x".into())
}

#[test]
fn an_existing_database_is_taken_over_as_it_is() {
    let server = old_site();
    let directory = open(server.clone());
    let joe = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!(joe.gecos, "J\u{fc}rgen");
    assert_eq!((joe.gid_flags, joe.scram.as_deref()), (0, None));
    assert!(joe.active);
    let ann = directory.find_user("ann", "example.com").unwrap().unwrap();
    assert_eq!((ann.active, ann.uid_state, ann.gid_flags), (false, 1, 16));
    assert!(
        directory
            .replace_hash(&joe, "new", Some("{CRAM}x"))
            .unwrap()
    );
    assert!(!directory.mechanisms().unwrap().cram);
    directory.record_auth(&joe, "imap", "192.0.2.1", 1).unwrap();
    let activated = User {
        active: true,
        ..ann
    };
    assert!(directory.update_user(&activated).unwrap());
    assert_eq!(directory.users("example.com").unwrap().len(), 2);
    assert_eq!(directory.aliases_to("joe@example.com").unwrap().len(), 1);
    directory.add_user(&user("new"), &at()).unwrap();
    // The columns of the others are as they were.
    let mut connection = Conn::new(server.options(Some(&server.database))).unwrap();
    let notes: Vec<String> = connection.query("SELECT site_note FROM indimail").unwrap();
    assert_eq!(notes, ["ours", "ours", "ours"]);
    let columns: Vec<String> = connection
        .query("SHOW COLUMNS FROM indimail")
        .map(|rows: Vec<mysql::Row>| rows.iter().map(|row| row.get(0).unwrap()).collect())
        .unwrap();
    assert_eq!(columns.len(), 10);
    let steps: Option<i64> = connection
        .query_first("SELECT MAX(id) FROM ischema")
        .unwrap();
    assert_eq!(steps, Some(8));
}

#[test]
fn an_account_that_only_reads_is_enough_to_read() {
    let server = old_site();
    let name = &server.database;
    administer(
        Mariadb::shared(),
        None,
        &format!("CREATE USER r_{name}@localhost; GRANT SELECT ON {name}.* TO r_{name}@localhost"),
    );
    let directory = open(Server {
        user: format!("r_{name}"),
        ..server.clone()
    });
    let joe = directory.find_user("joe", "example.com").unwrap().unwrap();
    assert_eq!(directory.aliases("sales", "example.com").unwrap().len(), 1);
    assert!(!directory.mechanisms().unwrap().scram_sha_256);
    let error = directory.change_flags(&joe, 1, 0).unwrap_err();
    assert!(error.is_temporary(), "{error}");
}

#[test]
fn an_empty_database_is_trouble_and_not_an_empty_site() {
    let shared = Mariadb::shared();
    let name = Mariadb::new_name();
    administer(shared, None, &format!("CREATE DATABASE {name}"));
    let server = Server {
        database: name.clone(),
        ..root_of(shared)
    };
    for directory in [
        open(server.clone()),
        open(Server {
            database: format!("{name}missing"),
            ..server.clone()
        }),
    ] {
        let error = directory.find_user("joe", "example.com").unwrap_err();
        assert!(error.is_temporary(), "{error}");
    }
    // A table of users that was lost does not come back empty.
    let directory = Directory::create_at(&Location::Server(server)).unwrap();
    assert_eq!(directory.find_user("joe", "example.com").unwrap(), None);
    administer(shared, Some(&name), "DROP TABLE indimail");
    assert!(directory.find_user("joe", "example.com").is_err());
    assert!(directory.find_user("joe", "example.com").is_err());
}

#[test]
fn a_table_that_somebody_dropped_is_made_again() {
    let shared = Mariadb::shared();
    let server = Server {
        database: Mariadb::new_name(),
        ..root_of(shared)
    };
    let directory = Directory::create_at(&Location::Server(server.clone())).unwrap();
    let joe = directory.add_user(&user("joe"), &at()).unwrap();
    administer(shared, Some(&server.database), "DROP TABLE lastauth");
    directory.record_auth(&joe, "imap", "192.0.2.1", 1).unwrap();
    assert_eq!(directory.last_auth(&joe).unwrap().len(), 1);
}

#[test]
fn a_newer_database_is_left_alone() {
    let server = Server {
        database: Mariadb::new_name(),
        ..root_of(Mariadb::shared())
    };
    Directory::create_at(&Location::Server(server.clone())).unwrap();
    administer(
        Mariadb::shared(),
        Some(&server.database),
        "INSERT INTO indimail_schema (id, comment) VALUES (999, 'future')",
    );
    let error = open(server).find_user("joe", "example.com").unwrap_err();
    assert!(matches!(error, Error::Newer { found: 999, .. }), "{error}");
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    // What was committed outlives its process.
    let mut server = Mariadb::start(&["innodb-flush-log-at-trx-commit=2"]);
    let location = Location::Server(root_of(&server));
    let directory = Directory::create_at(&location).unwrap();
    directory.add_user(&user("joe"), &at()).unwrap();
    for _ in 0..2 {
        server.kill();
        let error = directory.find_user("joe", "example.com").unwrap_err();
        assert!(error.is_temporary() && !error.to_string().is_empty());
        assert!(directory.change_flags(&user("joe"), 1, 0).is_err());
        server.begin();
        testkit::wait_for("an answer", std::time::Duration::from_secs(90), || {
            directory.find_user("joe", "example.com").is_ok()
        });
        assert!(directory.change_flags(&user("joe"), 1, 0).unwrap());
    }
}

#[test]
fn a_connection_the_server_closed_is_replaced_unseen() {
    let shared = Mariadb::shared();
    let name = Mariadb::new_name();
    let directory = Directory::create_at(&Location::Server(Server {
        database: name.clone(),
        ..root_of(shared)
    }))
    .unwrap();
    directory.add_user(&user("joe"), &at()).unwrap();
    for _ in 0..3 {
        let mut connection = Conn::new(root_of(shared).options(None)).unwrap();
        let ours: Vec<u64> = connection
            .exec(
                "SELECT id FROM information_schema.processlist WHERE db = ?",
                (&name,),
            )
            .unwrap();
        assert!(!ours.is_empty());
        for id in ours {
            // One of the round before may be ending still.
            let _ = connection.query_drop(format!("KILL {id}"));
        }
        assert!(directory.change_flags(&user("joe"), 1, 0).unwrap());
    }
}

#[test]
fn a_remote_server_is_used_over_tls_it_can_prove() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = parameters.self_signed(&authority).unwrap();
    let issuer = rcgen::Issuer::new(parameters, authority);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = rcgen::CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    std::fs::write(path("root.pem"), root.pem()).unwrap();
    std::fs::write(path("cert.pem"), leaf.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let port = testkit::free_port();
    let server = Mariadb::start(&[
        &format!("port={port}"),
        "bind-address=127.0.0.1",
        &format!("ssl-cert={}", path("cert.pem").display()),
        &format!("ssl-key={}", path("key.pem").display()),
    ]);
    administer(
        &server,
        None,
        "CREATE USER joe@'127.0.0.1' IDENTIFIED BY 'secret' REQUIRE SSL;
         GRANT ALL ON *.* TO joe@'127.0.0.1'",
    );
    let encrypted = Server {
        tls: Tls::Always,
        authorities: Some(path("root.pem")),
        ..Server::from_url(&format!("mysql://joe:secret@127.0.0.1:{port}/mail")).unwrap()
    };
    let directory = Directory::create_at(&Location::Server(encrypted.clone())).unwrap();
    assert_eq!(directory.count_users("example.com").unwrap(), 0);
    let stranger = Server {
        authorities: None,
        ..encrypted.clone()
    };
    assert!(open(stranger).count_users("example.com").is_err());
    let plain = Server {
        tls: Tls::Never,
        ..encrypted
    };
    assert!(open(plain).count_users("example.com").is_err());
}

#[test]
fn one_migration_of_a_database_runs_at_a_time() {
    let connect = |server: &Server| Conn::new(server.options(Some(&server.database))).unwrap();
    let (one, other) = (old_site(), old_site());
    let mut first = connect(&one);
    assert!(super::lock_schema(&mut first, 0).unwrap());
    assert!(!super::lock_schema(&mut connect(&one), 0).unwrap());
    assert!(super::lock_schema(&mut connect(&other), 0).unwrap());
    drop(first);
    let mut second = connect(&one);
    assert!(super::lock_schema(&mut second, 60).unwrap());
}
