//! Commit certificates: proof that more than two thirds of a set agreed on a block.

use alloy_primitives::{Address, B256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};

use crate::validators::MAX_VALIDATORS;
use crate::vote::MAX_ROUND;
use crate::{Domain, Signature, SignatureError, ValidatorSet, recover};

/// Version of the encoding.
const VERSION: u8 = 1;

/// Most bytes that an encoded certificate has: 100 signatures of 91 bytes, and the head.
pub const MAX_CERTIFICATE_BYTES: usize = MAX_VALIDATORS * 91 + 64;

/// Signatures of [`Domain::commit_hash`] over one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The block's number.
    pub height: u64,
    /// The round in which it was decided.
    pub round: u32,
    /// The block's hash, never zero.
    pub block_hash: B256,
    /// Who signed, strictly ascending by address.
    pub signatures: Vec<CommitSignature>,
}

/// One validator's signature in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct CommitSignature {
    /// Who signed.
    pub address: Address,
    /// The signature of the commit.
    pub signature: Signature,
}

#[derive(Debug, RlpEncodable, RlpDecodable)]
struct Wire {
    version: u8,
    height: u64,
    round: u32,
    block_hash: B256,
    signatures: Vec<CommitSignature>,
}

impl Certificate {
    /// RLP `[1, height, round, block hash, [[address, signature], …]]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            version: VERSION,
            height: self.height,
            round: self.round,
            block_hash: self.block_hash,
            signatures: self.signatures.clone(),
        };
        let mut out = Vec::with_capacity(wire.length());
        wire.encode(&mut out);
        out
    }

    /// Reads one certificate; [`Certificate::verify`] says whether it proves anything.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Malformed`] and [`CertificateError::TooLarge`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge { bytes: bytes.len() });
        }
        let mut rest = bytes;
        let wire = Wire::decode(&mut rest).map_err(CertificateError::Malformed)?;
        if !rest.is_empty() || wire.version != VERSION {
            return Err(CertificateError::Malformed(alloy_rlp::Error::Custom(
                "not one certificate",
            )));
        }
        Ok(Self {
            height: wire.height,
            round: wire.round,
            block_hash: wire.block_hash,
            signatures: wire.signatures,
        })
    }

    /// The same with no more signatures than more than two thirds of `set` take, those of the lowest addresses. It proves as
    /// much in fewer bytes.
    #[must_use]
    pub fn of_quorum(mut self, set: &ValidatorSet) -> Self {
        let mut power = 0;
        let enough = self.signatures.iter().position(|signed| {
            let own = set
                .get(signed.address)
                .map_or(0, |validator| validator.power);
            power = u64::saturating_add(power, own);
            set.is_quorum(power)
        });
        if let Some(last) = enough {
            self.signatures.truncate(last + 1);
        }
        self
    }

    /// Checks that more than two thirds of `set` signed this block in `domain`.
    ///
    /// # Errors
    ///
    /// [`CertificateError`], the first rule that does not hold.
    pub fn verify(&self, domain: &Domain, set: &ValidatorSet) -> Result<(), CertificateError> {
        if self.block_hash.is_zero() {
            return Err(CertificateError::Nil);
        }
        if self.round > MAX_ROUND {
            return Err(CertificateError::Round { round: self.round });
        }
        if !self.signatures.is_sorted_by(|a, b| a.address < b.address) {
            return Err(CertificateError::NotAscending);
        }
        let digest = domain.commit_hash(self.height, self.round, self.block_hash);
        let mut power = 0;
        for CommitSignature { address, signature } in &self.signatures {
            let validator = set
                .get(*address)
                .ok_or(CertificateError::Stranger { address: *address })?;
            let signer =
                recover(digest, signature).map_err(|source| CertificateError::Signature {
                    address: *address,
                    source,
                })?;
            if signer != *address {
                return Err(CertificateError::OtherSigner {
                    address: *address,
                    signer,
                });
            }
            power += validator.power;
        }
        if set.is_quorum(power) {
            Ok(())
        } else {
            Err(CertificateError::NoQuorum {
                power,
                total: set.total_power(),
            })
        }
    }
}

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not the encoding of a certificate.
    #[error("the certificate is not well-formed")]
    Malformed(#[source] alloy_rlp::Error),
    /// Over [`MAX_CERTIFICATE_BYTES`].
    #[error("a certificate of {bytes} bytes is over the limit of {MAX_CERTIFICATE_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It names no block.
    #[error("the certificate is for no block")]
    Nil,
    /// Above [`MAX_ROUND`].
    #[error("round {round} is above {MAX_ROUND}")]
    Round {
        /// What was found.
        round: u32,
    },
    /// Signers out of order, or one twice.
    #[error("the signers are not strictly ascending")]
    NotAscending,
    /// A signer outside the set.
    #[error("{address} is not a validator of this height")]
    Stranger {
        /// Who.
        address: Address,
    },
    /// A signature that no key makes, or in a form that is not allowed.
    #[error("the signature of {address} is not one")]
    Signature {
        /// Whose it should be.
        address: Address,
        /// What is wrong with it.
        source: SignatureError,
    },
    /// Somebody else signed.
    #[error("the signature of {address} was made by {signer}")]
    OtherSigner {
        /// Whose it should be.
        address: Address,
        /// Whose it is.
        signer: Address,
    },
    /// Not more than two thirds.
    #[error("power {power} of {total} is not more than two thirds")]
    NoQuorum {
        /// Power that signed.
        power: u64,
        /// Power of the whole set.
        total: u64,
    },
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;
    use crate::{ChainId, NetworkId, NodeKey, Validator};

    #[test]
    fn fewer_signatures_prove_as_much_and_no_fewer_than_a_quorum_are_left() {
        let domain = Domain::new(ChainId::DEVELOPMENT, NetworkId(B256::repeat_byte(3)));
        let keys = (1..=7).map(|byte| NodeKey::from_bytes(&[byte; 32]).unwrap());
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by_key(NodeKey::address);
        for powers in [
            [1, 1, 1, 1, 1, 1, 1],
            [3, 1, 1, 1, 1, 1, 1],
            [1, 1, 1, 1, 1, 1, 30],
        ] {
            let validators = keys.iter().zip(powers).map(|(key, power)| Validator {
                address: key.address(),
                power,
            });
            let set = ValidatorSet::new(validators.collect()).unwrap();
            let block_hash = B256::repeat_byte(7);
            let digest = domain.commit_hash(5, 1, block_hash);
            let signed = keys.iter().map(|key| CommitSignature {
                address: key.address(),
                signature: key.sign(digest),
            });
            let whole = Certificate {
                height: 5,
                round: 1,
                block_hash,
                signatures: signed.collect(),
            };
            let least = whole.clone().of_quorum(&set);
            least.verify(&domain, &set).unwrap();
            let mut fewer = least.clone();
            fewer.signatures.pop();
            fewer.verify(&domain, &set).unwrap_err();
            assert!(whole.signatures.starts_with(&least.signatures));
            // What proves nothing is left as it is.
            assert_eq!(fewer.clone().of_quorum(&set), fewer);
        }
    }
}
