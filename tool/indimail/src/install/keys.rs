//! The certificate of the TLS ports and the DKIM key of the domain. Only the
//! signer's user can read them.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::{RsaPrivateKey, RsaPublicKey};

use super::{InstallError, accounts, file_error};
use crate::site::{Mode, Site};

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
    certs.join(format!("dkim.{domain}.{SELECTOR}.pem"))
}

fn certificate(site: &Site) -> Result<(), InstallError> {
    let path = site.home.certs().join("servercert.pem");
    if path.exists() {
        return give(site, &path);
    }
    let names = [
        site.hostname.to_string(),
        site.domain.to_string(),
        "localhost".to_owned(),
    ];
    let pem = tls::self_signed(&names).map_err(|error| InstallError::Keys(error.to_string()))?;
    secret(site, &path, pem.as_bytes())
}

fn dkim(site: &Site) -> Result<String, InstallError> {
    let keys = |error: &dyn std::fmt::Display| InstallError::Keys(error.to_string());
    let path = dkim_path(&site.home.certs(), site.domain.as_str());
    let key = match fs::read_to_string(&path) {
        Ok(pem) => {
            give(site, &path)?;
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
            secret(site, &path, pem.as_bytes())?;
            key
        }
        Err(error) => return Err(file_error("read", &path)(error)),
    };
    let public = RsaPublicKey::from(&key)
        .to_public_key_der()
        .map_err(|error| keys(&error))?;
    Ok(STANDARD.encode(public.as_bytes()))
}

/// Writes a file that only the signer's user may read.
fn secret(site: &Site, path: &Path, content: &[u8]) -> Result<(), InstallError> {
    os::file::replace(path, content, 0o600).map_err(file_error("write", path))?;
    give(site, path)
}

/// Gives a file to the signer's user; again, because an interrupted
/// quickstart may have made it and not given it away.
fn give(site: &Site, path: &Path) -> Result<(), InstallError> {
    if site.mode == Mode::SingleUser {
        return Ok(());
    }
    let owner = accounts::identity(site.mode, "qcerts", "qcerts")?;
    std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid))
        .map_err(file_error("give away", path))
}
