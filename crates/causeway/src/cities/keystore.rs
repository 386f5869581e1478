//! A node key under a password: keystore version 3, which every Ethereum wallet reads.
//!
//! The key is encrypted with AES-128 in counter mode; its key, and that of the checksum, are derived from the password by
//! scrypt. Format: <https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/>. What others
//! wrote with PBKDF2 is not read.

use aes::Aes128;
use alloy_primitives::{Address, B256, hex, keccak256};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use rand::TryRngCore as _;
use rand::rand_core::OsError;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use types::NodeKey;
use zeroize::Zeroizing;

use super::password::Password;

/// The version of the format.
const VERSION: u64 = 3;
/// Work of scrypt for a new keystore: 2^17 blocks of 8 × 128 bytes, 128 MiB and some tenths of a second
/// (OWASP, Password Storage Cheat Sheet).
const WORK: ScryptParams = ScryptParams {
    dklen: DERIVED,
    n: 1 << 17,
    r: 8,
    p: 1,
    salt: Vec::new(),
};
/// Bytes that are derived: 16 for the cipher, 16 for the checksum.
const DERIVED: usize = 32;
/// Most memory that a keystore may make scrypt take, in bytes.
const MAX_MEMORY: u64 = 1 << 30;
/// Most lanes of scrypt, each of which costs the time of one.
const MAX_LANES: u32 = 16;
/// Most bytes of salt.
const MAX_SALT: usize = 64;

/// A keystore as it is written; nothing of it is checked but its form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Keystore {
    /// Of the key inside; 40 hexadecimal digits. Others may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    /// A random UUID, which nobody needs.
    id: String,
    version: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    #[serde(with = "digits")]
    ciphertext: Vec<u8>,
    kdf: String,
    kdfparams: ScryptParams,
    #[serde(with = "digits")]
    mac: Vec<u8>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct CipherParams {
    #[serde(with = "digits")]
    iv: Vec<u8>,
}

/// Bytes as hexadecimal digits without prefix, as the format has them.
mod digits {
    use alloy_primitives::hex;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ScryptParams {
    dklen: usize,
    n: u64,
    r: u32,
    p: u32,
    #[serde(with = "digits")]
    salt: Vec<u8>,
}

/// Why a keystore gives no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeystoreError {
    /// Another version.
    #[error("version: {found} is not known, this program knows {VERSION}")]
    Version {
        /// What was found.
        found: u64,
    },
    /// A method that this program does not know, or a length that it cannot have.
    #[error("{key}: it is not {wanted}")]
    Unknown {
        /// Where.
        key: &'static str,
        /// What is known.
        wanted: &'static str,
    },
    /// More work than a start should cost.
    #[error(
        "crypto.kdfparams: n, r and p are no parameters of scrypt, or cost more than 1 GiB or 16 lanes"
    )]
    Work,
    /// The checksum differs.
    #[error("the password is wrong, or the file is damaged")]
    Password,
    /// What was encrypted is no key.
    #[error("what it holds is no key")]
    NoKey,
    /// The key is of another address than the keystore says.
    #[error("address: it holds the key of {found}")]
    Address {
        /// The key's.
        found: Address,
    },
    /// The system gives no randomness.
    #[error("the system gives no random bytes")]
    Random(#[source] OsError),
}

impl Keystore {
    /// Encrypts `key` under `password`. Takes 128 MiB and some tenths of a second.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::Random`].
    pub(crate) fn encrypt(key: &NodeKey, password: &Password) -> Result<Self, KeystoreError> {
        Self::encrypt_with(key, password, &WORK)
    }

    fn encrypt_with(
        key: &NodeKey,
        password: &Password,
        work: &ScryptParams,
    ) -> Result<Self, KeystoreError> {
        let kdfparams = ScryptParams {
            salt: random::<32>()?.to_vec(),
            ..*work
        };
        let iv = random::<16>()?;
        let derived = derive(password, &kdfparams)?;
        let mut ciphertext = Zeroizing::new(key.to_bytes()).to_vec();
        apply(&derived, &iv, &mut ciphertext);
        let mac = checksum(&derived, &ciphertext);
        Ok(Self {
            address: Some(hex::encode(key.address())),
            crypto: Crypto {
                cipher: String::from("aes-128-ctr"),
                cipherparams: CipherParams { iv: iv.to_vec() },
                ciphertext,
                kdf: String::from("scrypt"),
                kdfparams,
                mac: mac.to_vec(),
            },
            id: uuid(random()?),
            version: VERSION,
        })
    }

    /// The text of its file.
    pub(crate) fn to_text(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a keystore has only texts and numbers");
        text.push('\n');
        text
    }

    /// The key inside. Takes as much memory and time as the keystore says, within bounds.
    ///
    /// # Errors
    ///
    /// [`KeystoreError`].
    pub(crate) fn decrypt(&self, password: &Password) -> Result<NodeKey, KeystoreError> {
        if self.version != VERSION {
            return Err(KeystoreError::Version {
                found: self.version,
            });
        }
        let crypto = &self.crypto;
        let unknown = |key, wanted| Err(KeystoreError::Unknown { key, wanted });
        if crypto.cipher != "aes-128-ctr" {
            return unknown("crypto.cipher", "aes-128-ctr");
        }
        if crypto.kdf != "scrypt" {
            return unknown("crypto.kdf", "scrypt");
        }
        if crypto.kdfparams.dklen != DERIVED {
            return unknown("crypto.kdfparams.dklen", "32");
        }
        if crypto.ciphertext.len() != 32 {
            return unknown("crypto.ciphertext", "32 bytes");
        }
        let Ok(iv) = <[u8; 16]>::try_from(crypto.cipherparams.iv.as_slice()) else {
            return unknown("crypto.cipherparams.iv", "16 bytes");
        };
        let derived = derive(password, &crypto.kdfparams)?;
        if checksum(&derived, &crypto.ciphertext) != *crypto.mac {
            return Err(KeystoreError::Password);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&crypto.ciphertext);
        apply(&derived, &iv, bytes.as_mut_slice());
        let key = NodeKey::from_bytes(&bytes).ok_or(KeystoreError::NoKey)?;
        let named = self.address.as_ref();
        if named.is_some_and(|named| {
            hex::decode(named).ok().as_deref() != Some(key.address().as_slice())
        }) {
            return Err(KeystoreError::Address {
                found: key.address(),
            });
        }
        Ok(key)
    }
}

/// A node key that nobody has had before.
///
/// # Errors
///
/// [`KeystoreError::Random`].
pub(crate) fn fresh_key() -> Result<NodeKey, KeystoreError> {
    loop {
        let bytes = Zeroizing::new(random::<32>()?);
        // All but about one in 2^128 are keys.
        if let Some(key) = NodeKey::from_bytes(&bytes) {
            return Ok(key);
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(KeystoreError::Random)?;
    Ok(bytes)
}

fn derive(
    password: &Password,
    params: &ScryptParams,
) -> Result<Zeroizing<[u8; DERIVED]>, KeystoreError> {
    let memory = u128::from(params.n) * u128::from(params.r) * 128;
    if !params.n.is_power_of_two()
        || params.n < 2
        || memory > u128::from(MAX_MEMORY)
        || params.p > MAX_LANES
        || params.salt.len() > MAX_SALT
    {
        return Err(KeystoreError::Work);
    }
    // n is at most 2^23 here.
    let log_n = u8::try_from(params.n.ilog2()).map_err(|_large| KeystoreError::Work)?;
    let work = scrypt::Params::new(log_n, params.r, params.p, DERIVED)
        .map_err(|_invalid| KeystoreError::Work)?;
    let mut derived = Zeroizing::new([0; DERIVED]);
    scrypt::scrypt(
        password.bytes(),
        &params.salt,
        &work,
        derived.as_mut_slice(),
    )
    .map_err(|_invalid| KeystoreError::Work)?;
    Ok(derived)
}

fn apply(derived: &[u8; DERIVED], iv: &[u8; 16], bytes: &mut [u8]) {
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&derived[..16]);
    let mut cipher = Ctr128BE::<Aes128>::new((&*key).into(), iv.into());
    cipher.apply_keystream(bytes);
}

fn checksum(derived: &[u8; DERIVED], ciphertext: &[u8]) -> B256 {
    let mut bytes = Zeroizing::new(derived[16..].to_vec());
    bytes.extend_from_slice(ciphertext);
    keccak256(&bytes[..])
}

/// A random UUID (RFC 9562, version 4).
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts
        .map(|part| digits.get(part).unwrap_or_default())
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::{Keystore, KeystoreError, ScryptParams, WORK, fresh_key};
    use crate::cities::password::Password;
    use alloy_primitives::hex;
    use serde_json::{Value, json};

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec())
    }

    /// As quick as scrypt can be.
    fn light() -> ScryptParams {
        ScryptParams { n: 2, ..WORK }
    }

    #[test]
    fn a_key_comes_back_under_its_password_alone() {
        let key = fresh_key().expect("a key");
        let keystore = Keystore::encrypt(&key, &password("right")).expect("encrypted");
        let text = serde_json::to_string(&keystore).expect("JSON");
        assert!(!text.contains(&hex::encode(key.to_bytes())));
        let read: Keystore = serde_json::from_str(&text).expect("the same");
        let back = read.decrypt(&password("right")).expect("decrypted");
        assert_eq!(back.to_bytes(), key.to_bytes());
        for wrong in ["wrong", "", "right ", "Right"] {
            assert!(matches!(
                read.decrypt(&password(wrong)),
                Err(KeystoreError::Password)
            ));
        }
    }

    #[test]
    fn what_a_wallet_wrote_is_read() {
        // By ethers 6 for the key of 32 bytes of 7, with less work than its default, and two lanes.
        let text = r#"{"address":"4a62316623ad457f02cdc5d997ded67a383ec569",
            "id":"334cf5c9-ab98-40cd-9d05-715150c5fa95","version":3,"Crypto":{"cipher":"aes-128-ctr",
            "cipherparams":{"iv":"0cff09270fcacfce8cd7d68044132dbc"},
            "ciphertext":"af561ce2688e588b7330d0c3fba226a182a316ed72733859b93a4a219ef1d3e6","kdf":"scrypt",
            "kdfparams":{"salt":"db5bd698bd204f83fb6f3b6ce4ff1ef877b242695a06ef613691ad3074f1bc1c",
            "n":1024,"dklen":32,"p":2,"r":8},
            "mac":"8399c4f8bd10f93b4e8af4cd9dd38a0b680bad10a281fdd9281bfe10ee9ea5b4"}}"#;
        let keystore: Keystore = serde_json::from_str(text).expect("a keystore");
        let key = keystore.decrypt(&password("testpassword"));
        assert_eq!(key.expect("its password").to_bytes(), [7; 32]);
    }

    #[test]
    fn what_is_no_keystore_of_ours_is_refused_without_work() {
        let key = fresh_key().expect("a key");
        let keystore =
            Keystore::encrypt_with(&key, &password("right"), &light()).expect("encrypted");
        let good = serde_json::to_value(&keystore).expect("JSON");
        let huge = "00".repeat(65);
        let table: &[(&str, Value, &str)] = &[
            ("/version", json!(4), "version: 4"),
            ("/crypto/cipher", json!("aes-256-gcm"), "crypto.cipher"),
            ("/crypto/kdf", json!("pbkdf2"), "crypto.kdf"),
            ("/crypto/kdfparams/dklen", json!(16), "dklen"),
            ("/crypto/kdfparams/n", json!(0), "kdfparams"),
            ("/crypto/kdfparams/n", json!(1), "kdfparams"),
            ("/crypto/kdfparams/n", json!(3), "kdfparams"),
            ("/crypto/kdfparams/n", json!(1u64 << 63), "kdfparams"),
            ("/crypto/kdfparams/n", json!(1 << 21), "kdfparams"),
            ("/crypto/kdfparams/r", json!(0), "kdfparams"),
            ("/crypto/kdfparams/r", json!(u32::MAX), "kdfparams"),
            ("/crypto/kdfparams/p", json!(0), "kdfparams"),
            ("/crypto/kdfparams/p", json!(17), "kdfparams"),
            ("/crypto/kdfparams/salt", json!(huge), "kdfparams"),
            ("/crypto/ciphertext", json!("00"), "crypto.ciphertext"),
            (
                "/crypto/cipherparams/iv",
                json!("00"),
                "crypto.cipherparams.iv",
            ),
            ("/crypto/mac", json!("00".repeat(32)), "password is wrong"),
            ("/crypto/mac", json!(""), "password is wrong"),
            ("/address", json!("00".repeat(20)), "address: "),
            ("/address", json!("soup"), "address: "),
        ];
        for (at, value, wanted) in table {
            let mut bad = good.clone();
            *bad.pointer_mut(at).expect("it is there") = value.clone();
            let keystore: Keystore = serde_json::from_value(bad).expect("of the right form");
            let error = keystore.decrypt(&password("right")).expect_err(at);
            assert!(error.to_string().contains(wanted), "{at}: {error}");
        }
        for (at, value) in [
            ("/crypto/mac", json!(1)),
            ("/crypto/kdfparams/p", json!(-1)),
            ("/crypto/kdfparams/salt", json!("soup")),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(at).expect("it is there") = value;
            assert!(serde_json::from_value::<Keystore>(bad).is_err(), "{at}");
        }
    }
}
