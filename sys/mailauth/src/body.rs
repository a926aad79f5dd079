//! Hashes of a body that flows by: what signatures are about, without keeping
//! the body.

use mail_auth::common::crypto::{HashAlgorithm, HashContext, HashImpl, Sha1, Sha256};
use mail_auth::dkim::Canonicalization;
use mail_auth::dkim::canonicalize::BodyHasher;

/// A hash, as the library keeps it: how lines are looked at, the algorithm, how
/// much of the body (0: all), and the bytes.
pub type BodyHash = (Canonicalization, HashAlgorithm, u64, Vec<u8>);

/// One hash for each way in which the signatures of a message look at its
/// body.
pub struct BodyHashes(Vec<(Canonicalization, HashAlgorithm, Hasher)>);

enum Hasher {
    Sha1(BodyHasher<<Sha1 as HashImpl>::Context>),
    Sha256(BodyHasher<<Sha256 as HashImpl>::Context>),
}

impl BodyHashes {
    /// Begins those that are wanted; none is about a part of the body only.
    pub fn new(wanted: impl Iterator<Item = (Canonicalization, HashAlgorithm)>) -> Self {
        let begin = |(canonicalization, algorithm)| {
            let hasher = match algorithm {
                HashAlgorithm::Sha1 => {
                    Hasher::Sha1(BodyHasher::new(Sha1::hasher(), canonicalization, 0))
                }
                HashAlgorithm::Sha256 => {
                    Hasher::Sha256(BodyHasher::new(Sha256::hasher(), canonicalization, 0))
                }
            };
            (canonicalization, algorithm, hasher)
        };
        Self(wanted.map(begin).collect())
    }

    /// Takes bytes of the body; lines may end in LF or CR LF.
    pub fn push(&mut self, bytes: &[u8]) {
        for (_, _, hasher) in &mut self.0 {
            match hasher {
                Hasher::Sha1(hasher) => hasher.write(bytes),
                Hasher::Sha256(hasher) => hasher.write(bytes),
            }
        }
    }

    /// The hashes of the whole body.
    pub fn finish(self) -> Vec<BodyHash> {
        let finished = self
            .0
            .into_iter()
            .map(|(canonicalization, algorithm, hasher)| {
                let hash = match hasher {
                    Hasher::Sha1(hasher) => hasher.finish().0.complete(),
                    Hasher::Sha256(hasher) => hasher.finish().0.complete(),
                };
                (canonicalization, algorithm, 0, hash.as_ref().to_vec())
            });
        finished.collect()
    }
}
