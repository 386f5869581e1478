//! Node keys and recoverable signatures (secp256k1, the C library).

use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

use crate::signers;

/// Half the order of secp256k1: `s` of a signature is not above it (EIP-2).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// r ‖ s ‖ v with low s and v 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 65]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({})", alloy_primitives::hex::encode(self.0))
    }
}

impl Encodable for Signature {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        self.0.encode(out);
    }

    fn length(&self) -> usize {
        self.0.length()
    }
}

impl Decodable for Signature {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        <[u8; 65]>::decode(buf).map(Self)
    }
}

/// The secret key of a city's node. Its address names the city as a validator.
pub struct NodeKey {
    secret: SecretKey,
    address: Address,
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey({})", self.address)
    }
}

impl NodeKey {
    /// A key from its 32 bytes. `None` for zero and for what is not below the group's order.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let secret = SecretKey::from_byte_array(*bytes).ok()?;
        let address = address_of(&PublicKey::from_secret_key(SECP256K1, &secret));
        Some(Self { secret, address })
    }

    /// The 32 bytes, for the file that keeps them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.secret.secret_bytes()
    }

    /// The address that its signatures recover to.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a digest; deterministic (RFC 6979), low s.
    #[must_use]
    pub fn sign(&self, digest: B256) -> Signature {
        let signed = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(digest.0), &self.secret);
        let (id, compact) = signed.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = if i32::from(id) & 1 == 1 { 28 } else { 27 };
        Signature(bytes)
    }
}

/// Why a signature says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// v is neither 27 nor 28.
    #[error("v is {v}, allowed are 27 and 28")]
    RecoveryId {
        /// What was found.
        v: u8,
    },
    /// s is in the upper half: the same signature has a second form.
    #[error("s is above half the order of the curve")]
    HighS,
    /// No public key makes this signature.
    #[error("no key makes this signature")]
    NoKey,
}

/// The address whose key signed `digest`.
///
/// # Errors
///
/// [`SignatureError`] for v other than 27 or 28, high s, and values that no key makes.
pub fn recover(digest: B256, signature: &Signature) -> Result<Address, SignatureError> {
    let (compact, &[v]) = signature
        .0
        .split_first_chunk::<64>()
        .ok_or(SignatureError::NoKey)
        .and_then(|(compact, rest)| {
            Ok((
                compact,
                <&[u8; 1]>::try_from(rest).map_err(|_length| SignatureError::NoKey)?,
            ))
        })?;
    let id = match v {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        v => return Err(SignatureError::RecoveryId { v }),
    };
    if compact[32..] > HALF_ORDER[..] {
        return Err(SignatureError::HighS);
    }
    signers::remembered(digest, *signature, || {
        let signature = RecoverableSignature::from_compact(compact, id)
            .map_err(|_bad| SignatureError::NoKey)?;
        let key = SECP256K1
            .recover_ecdsa(Message::from_digest(digest.0), &signature)
            .map_err(|_bad| SignatureError::NoKey)?;
        Ok(address_of(&key))
    })
}

fn address_of(key: &PublicKey) -> Address {
    let hash = keccak256(&key.serialize_uncompressed()[1..]);
    Address::from_slice(&hash[12..])
}

#[cfg(test)]
mod tests {
    use super::{NodeKey, SignatureError, recover};
    use alloy_primitives::B256;

    #[test]
    fn a_signature_recovers_to_its_key_and_a_changed_one_does_not() {
        let key = NodeKey::from_bytes(&[7; 32]).expect("a key");
        for byte in 0..32 {
            let digest = B256::repeat_byte(byte);
            let signature = key.sign(digest);
            assert_eq!(recover(digest, &signature), Ok(key.address()));
            // The same r and s with the other v is another address, and plain verification would not notice.
            let mut flipped = signature;
            flipped.0[64] ^= 27 ^ 28;
            assert_ne!(recover(digest, &flipped), Ok(key.address()));
            let mut raw = signature;
            raw.0[64] -= 27;
            assert!(matches!(
                recover(digest, &raw),
                Err(SignatureError::RecoveryId { .. })
            ));
        }
    }

    #[test]
    fn the_second_form_of_a_signature_is_refused() {
        let key = NodeKey::from_bytes(&[7; 32]).expect("a key");
        let digest = B256::repeat_byte(9);
        let mut high = key.sign(digest);
        let order = alloy_primitives::U256::from_be_bytes([
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c,
            0xd0, 0x36, 0x41, 0x41,
        ]);
        let s = alloy_primitives::U256::from_be_slice(&high.0[32..64]);
        high.0[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
        high.0[64] ^= 27 ^ 28;
        assert_eq!(recover(digest, &high), Err(SignatureError::HighS));
    }
}
