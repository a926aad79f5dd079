//! Certificates: read from PEM, looked into, made.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tai::Civil;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::Error;

/// How long a certificate of our own making lasts.
const SELF_SIGNED_YEARS: i64 = 10;
/// How far before now it starts, for clients whose clock is behind.
const BACKDATED_SECONDS: i64 = 24 * 3600;

/// A chain and the key that belongs to its first certificate.
#[derive(Debug)]
pub struct Certificate {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Never printed.
    pub key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads a PEM text that holds both, in any order.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let chain = chain(pem)?;
        let key =
            PrivateKeyDer::from_pem_slice(pem).map_err(|error| Error::Pem(error.to_string()))?;
        Ok(Self { chain, key })
    }
}

/// The certificates of a PEM text; at least one.
pub(crate) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Pem(error.to_string()))?;
    match chain.is_empty() {
        true => Err(Error::Pem("no certificate in the file".into())),
        false => Ok(chain),
    }
}

/// When the first certificate of a PEM text expires, in Unix time.
pub fn expiry(pem: &[u8]) -> Result<i64, Error> {
    let chain = chain(pem)?;
    Ok(parse(&chain[0])?.validity().not_after.timestamp())
}

/// The host names the first certificate of a PEM text is for.
pub fn names(pem: &[u8]) -> Result<Vec<String>, Error> {
    let chain = chain(pem)?;
    let certificate = parse(&chain[0])?;
    let alternatives = certificate
        .subject_alternative_name()
        .map_err(|error| Error::Pem(error.to_string()))?;
    Ok(alternatives
        .into_iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect())
}

/// Makes a key and a certificate for these names that it signs itself: one
/// PEM text, the certificate first. Anybody can encrypt to it, nobody can
/// verify it; a real one should replace it.
pub fn self_signed(hostnames: &[String]) -> Result<String, Error> {
    let create = |error: rcgen::Error| Error::Create(error.to_string());
    let key = rcgen::KeyPair::generate().map_err(create)?;
    let mut parameters = rcgen::CertificateParams::new(hostnames.to_vec()).map_err(create)?;
    let start = Civil::from_unix(os::clock::unix_seconds() - BACKDATED_SECONDS);
    // The first of a month exists in every year.
    let date = |years: i64| {
        let year = i32::try_from(start.year + years).unwrap_or(i32::MAX);
        rcgen::date_time_ymd(year, start.month, 1)
    };
    parameters.not_before = date(0);
    parameters.not_after = date(SELF_SIGNED_YEARS);
    let mut name = rcgen::DistinguishedName::new();
    if let Some(host) = hostnames.first() {
        name.push(rcgen::DnType::CommonName, host.as_str());
    }
    parameters.distinguished_name = name;
    let certificate = parameters.self_signed(&key).map_err(create)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|error| Error::Pem(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_ours_can_be_read_again() {
        let names_in = ["mx.example.org".to_owned(), "mail.example.org".to_owned()];
        let pem = self_signed(&names_in).unwrap();
        assert_eq!(names(pem.as_bytes()).unwrap(), names_in);
        let years = (expiry(pem.as_bytes()).unwrap() - os::clock::unix_seconds()) / 31_536_000;
        assert!((9..=10).contains(&years));
        assert_eq!(
            Certificate::from_pem(pem.as_bytes()).unwrap().chain.len(),
            1
        );
    }

    #[test]
    fn a_file_without_certificate_or_key_is_refused() {
        assert!(Certificate::from_pem(b"").is_err());
        let pem = self_signed(&["a.example".to_owned()]).unwrap();
        let (certificate, key) = pem.split_at(pem.find("-----BEGIN PRIVATE").unwrap());
        assert!(Certificate::from_pem(certificate.as_bytes()).is_err());
        assert!(Certificate::from_pem(key.as_bytes()).is_err());
    }
}
