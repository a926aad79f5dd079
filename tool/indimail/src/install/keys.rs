//! The certificate of the TLS ports and the DKIM key of the domain. Only the
//! signer's user can read them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use os::beneath::{Access, Directory};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::{RsaPrivateKey, RsaPublicKey};

use super::{InstallError, accounts, file_error};
use crate::site::{Mode, Site};

/// The certificate with its key.
const CERTIFICATE: &str = "servercert.pem";
/// Longest key that is read.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// The DKIM selector of the keys made here.
pub const SELECTOR: &str = "indimail";

/// RFC 8301 §3.2: signers use at least 2048 bits.
const DKIM_BITS: usize = 2048;

/// What the rest of the world has to know of our keys.
#[derive(Debug)]
pub struct PublicKeys {
    /// The `p=` value of the DKIM record.
    pub dkim: String,
}

/// Makes the keys that are missing.
pub fn create(site: &Site) -> Result<PublicKeys, InstallError> {
    certificate(site)?;
    Ok(PublicKeys { dkim: dkim(site)? })
}

/// Where the DKIM key of a domain is.
pub fn dkim_path(certs: &Path, domain: &str) -> PathBuf {
    certs.join(dkim_name(domain))
}

fn dkim_name(domain: &str) -> String {
    format!("dkim.{domain}.{SELECTOR}.pem")
}

/// The directory of the keys is their owner's, who could put a link there.
fn open(site: &Site) -> Result<Directory, InstallError> {
    let certs = site.home.certs();
    Directory::open(&certs).map_err(file_error("open", certs))
}

fn certificate(site: &Site) -> Result<(), InstallError> {
    let certs = open(site)?;
    let found = certs.find(CERTIFICATE);
    let path = certs.path().join(CERTIFICATE);
    if found.map_err(file_error("find", path))?.is_some() {
        return give(site, &certs, CERTIFICATE);
    }
    let names = [
        site.hostname.to_string(),
        site.domain.to_string(),
        "localhost".to_owned(),
    ];
    let pem = tls::self_signed(&names).map_err(|error| InstallError::Keys(error.to_string()))?;
    secret(site, &certs, CERTIFICATE, pem.as_bytes())
}

fn dkim(site: &Site) -> Result<String, InstallError> {
    let keys = |error: &dyn std::fmt::Display| InstallError::Keys(error.to_string());
    let (certs, name) = (open(site)?, dkim_name(site.domain.as_str()));
    let path = dkim_path(&site.home.certs(), site.domain.as_str());
    let key = match read(&certs, &name) {
        Ok(pem) => {
            give(site, &certs, &name)?;
            RsaPrivateKey::from_pkcs8_pem(&pem).map_err(|error| {
                let path = path.display();
                keys(&format_args!("{path} is no PKCS#8 RSA key in PEM: {error}"))
            })?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, DKIM_BITS)
                .map_err(|error| keys(&error))?;
            let pem = key
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(|error| keys(&error))?;
            secret(site, &certs, &name, pem.as_bytes())?;
            key
        }
        Err(error) => return Err(file_error("read", &path)(error)),
    };
    let public = RsaPublicKey::from(&key)
        .to_public_key_der()
        .map_err(|error| keys(&error))?;
    Ok(STANDARD.encode(public.as_bytes()))
}

fn read(certs: &Directory, name: &str) -> io::Result<String> {
    let file = certs.file(name, Access::Read)?;
    io::read_to_string(file.take(KEY_BYTES_MAX))
}

/// Writes a file that only the signer's user may read.
fn secret(site: &Site, certs: &Directory, name: &str, content: &[u8]) -> Result<(), InstallError> {
    let owner = match site.mode {
        Mode::SingleUser => None,
        Mode::Separated => Some(accounts::identity(site.mode, "qcerts", "qcerts")?),
    };
    certs
        .replace(name, content, 0o600, owner)
        .map_err(file_error("write", certs.path().join(name)))
}

/// Gives a file to the signer's user; again, because an administrator may
/// have put it there and not given it away.
fn give(site: &Site, certs: &Directory, name: &str) -> Result<(), InstallError> {
    let given = match site.mode {
        Mode::SingleUser => Ok(()),
        Mode::Separated => {
            let owner = accounts::identity(site.mode, "qcerts", "qcerts")?;
            certs
                .entry(name)
                .and_then(|found| match found.metadata().is_symlink() {
                    // An administrator's; the signer says when it cannot read it.
                    true => Ok(()),
                    false => found.give(owner),
                })
        }
    };
    given.map_err(file_error("give away", certs.path().join(name)))
}
