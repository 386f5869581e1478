//! The key by which a city is known to others: Ed25519, shown as a raw public key (RFC 7250).
//!
//! There is no certificate: nobody signs for anybody, nothing expires, and no X.509 from a peer is ever parsed. What a
//! peer has to show is exactly the key that is pinned for it.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac};
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// SHA-256 of the `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7) of a key: what is published, and pinned by others.
pub type Fingerprint = [u8; 32];

/// What a PKCS #8 Ed25519 key begins with (RFC 8410, 7); its 32 secret bytes follow.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

const PEM_OPENS: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_CLOSES: &str = "-----END PRIVATE KEY-----";

/// A city's secret key for its links. Its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    /// The public key as `SubjectPublicKeyInfo`, and the signer.
    certified: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
}

/// Why there is no [`Identity`].
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a key")]
    Random,
    /// The text is no PEM with a section `PRIVATE KEY`.
    #[error("not a PEM file with a private key: make one with `causeway city init`")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// The key is of another kind.
    #[error("the private key is not Ed25519 in PKCS #8: make one with `causeway city init`")]
    Kind,
    /// The cryptography refuses the key.
    #[error("the private key is refused")]
    Key(#[source] rustls::Error),
}

impl Identity {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut secret = Zeroizing::new([0; 32]);
        SystemRandom::new()
            .fill(secret.as_mut_slice())
            .map_err(|_unspecified| IdentityError::Random)?;
        Self::from_secret(secret)
    }

    /// Reads what [`to_pem`](Self::to_pem) wrote.
    ///
    /// # Errors
    /// When the text holds no Ed25519 key in PKCS #8.
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(IdentityError::Pem)?;
        let der = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        let secret = der
            .strip_prefix(&PKCS8_HEAD)
            .and_then(|secret| <[u8; 32]>::try_from(secret).ok())
            .ok_or(IdentityError::Kind)?;
        Self::from_secret(Zeroizing::new(secret))
    }

    /// The secret key as PKCS #8 in PEM, for a file that only its owner may read.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let line = Zeroizing::new(STANDARD.encode(self.pkcs8().as_slice()));
        Zeroizing::new(format!("{PEM_OPENS}\n{}\n{PEM_CLOSES}\n", *line))
    }

    /// What others pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// A secret that is the same after a restart, and tells nothing about the key.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_slice());
        let tag = hmac::sign(&key, purpose.as_bytes());
        let mut derived = [0; 32];
        derived.copy_from_slice(tag.as_ref());
        derived
    }

    fn from_secret(secret: Zeroizing<[u8; 32]>) -> Result<Self, IdentityError> {
        let pkcs8 = pkcs8(&secret);
        let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))
            .map_err(IdentityError::Key)?;
        let public = signer.public_key().ok_or(IdentityError::Kind)?;
        let shown = CertificateDer::from(public.as_ref().to_vec());
        Ok(Self {
            secret,
            fingerprint: fingerprint(&shown),
            certified: Arc::new(CertifiedKey::new(vec![shown], signer)),
        })
    }

    fn pkcs8(&self) -> Zeroizing<[u8; 48]> {
        pkcs8(&self.secret)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Of the key as a peer shows it.
pub(crate) fn fingerprint(shown: &CertificateDer<'_>) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, shown);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hash.as_ref());
    fingerprint
}

fn pkcs8(secret: &[u8; 32]) -> Zeroizing<[u8; 48]> {
    let mut der = Zeroizing::new([0; 48]);
    der[..16].copy_from_slice(&PKCS8_HEAD);
    der[16..].copy_from_slice(secret);
    der
}

#[cfg(test)]
mod tests {
    use super::{Identity, IdentityError};

    /// RFC 8410, 10.3 (the key without attributes).
    const PUBLISHED: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn a_published_key_is_read_and_written_back() {
        let identity = Identity::from_pem(PUBLISHED).unwrap();
        assert_eq!(identity.to_pem().as_str(), PUBLISHED);
        // RFC 8410, 10.1: the public key of it.
        let public = identity.certified.cert[0].as_ref();
        let published = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x19, 0xbf,
            0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe,
        ];
        assert_eq!(public[..20], published);
        assert_eq!(public.len(), 44);
    }

    #[test]
    fn a_new_key_is_new_and_survives_its_file() {
        let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint());
        let again = Identity::from_pem(&one.to_pem()).unwrap();
        assert_eq!(again.fingerprint(), one.fingerprint());
        assert_eq!(again.derive("a"), one.derive("a"));
        assert_ne!(one.derive("a"), one.derive("b"));
        assert_ne!(one.derive("a"), other.derive("a"));
    }

    #[test]
    fn no_key_is_no_identity_and_none_is_shown() {
        assert!(matches!(
            Identity::from_pem("no"),
            Err(IdentityError::Pem(_))
        ));
        let elliptic = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp\
            +K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        assert!(matches!(
            Identity::from_pem(elliptic),
            Err(IdentityError::Kind)
        ));
        let identity = Identity::from_pem(PUBLISHED).unwrap();
        assert_eq!(format!("{identity:?}"), "Identity { .. }");
    }
}
