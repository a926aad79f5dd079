//! Root installs and starts in directories of other users, who have put links
//! to other files there: root neither follows nor changes them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use testkit::Builder;

fn facts(path: &Path) -> (u32, u32, u32, Vec<u8>) {
    let found = path.metadata().unwrap();
    let content = fs::read(path).unwrap();
    (found.uid(), found.gid(), found.mode(), content)
}

#[test]
fn quickstart_leaves_what_links_in_directories_of_services_lead_to() {
    let setup = Builder::new("example.org");
    let root = setup.root();
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let before = facts(&victim);
    // As qcerts, alias, qmails and the users of sockets could.
    let links = [
        ("certs/servercert.pem.tmp", victim.clone()),
        ("alias/.qmail-root", elsewhere.path().join("new")),
        ("alias/.qmail-abuse.tmp", victim.clone()),
        ("run/signer/socket", victim.clone()),
        ("run/queue/socket", victim.clone()),
        ("run/trace/socket", victim.clone()),
        ("queue/queue1/hold", elsewhere.path().to_owned()),
    ];
    fs::remove_file(root.join("alias/.qmail-abuse")).unwrap();
    fs::remove_file(root.join("certs/servercert.pem")).unwrap();
    for (name, target) in links {
        let path = root.join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            let _ = fs::remove_file(&path);
        }
        symlink(target, path).unwrap();
    }
    let server = setup.start();
    assert_eq!(facts(&victim), before);
    let names = fs::read_dir(elsewhere.path()).unwrap();
    assert_eq!(names.count(), 1, "nothing is made there");
    let aliases = fs::read_to_string(root.join("alias/.qmail-abuse")).unwrap();
    assert_eq!(aliases, "&postmaster@example.org\n");
    drop(server);
}

#[test]
fn quickstart_gives_no_foreign_file_to_the_signer() {
    let setup = Builder::new("example.org");
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let before = facts(&victim);
    let certificate = setup.root().join("certs/servercert.pem");
    for plant in [symlink::<&Path, &Path>, |from: &Path, to: &Path| {
        fs::hard_link(from, to)
    }] {
        fs::remove_file(&certificate).unwrap();
        plant(&victim, &certificate).unwrap();
        let mut again = setup.tool("indimail");
        again
            .args(["quickstart", "example.org", "--no-start", "--root"])
            .arg(setup.root());
        testkit::run(&mut again, b"");
        assert_eq!(facts(&victim), before);
    }
}
