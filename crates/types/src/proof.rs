//! A block with everything that proves it, as `causeway_getBlockProof` serves it.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Decodable;
use serde::{Deserialize, Serialize};

use crate::{BlockRequests, Certificate, CertificateError, Domain, Record, ValidatorSet};

/// Header, requests and certificate of one block; the preimages of set and record when they are new in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockProof {
    /// The header as RLP.
    pub header: Bytes,
    /// The block's requests, each with its type byte.
    pub requests: Vec<Bytes>,
    /// The certificate as RLP; empty for genesis, which has none.
    pub certificate: Bytes,
    /// RLP of the validator set that the requests name, where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validators: Option<Bytes>,
    /// RLP of the record that the requests name, where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Bytes>,
}

/// What a [`BlockProof`] proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// Its requests: set and record of the next height.
    pub requests: BlockRequests,
}

impl BlockProof {
    /// Checks header, requests and certificate against the set that holds at this height, which the header before
    /// it proves.
    ///
    /// # Errors
    ///
    /// [`ProofError`], the first part that does not fit.
    pub fn verify(&self, domain: &Domain, set: &ValidatorSet) -> Result<Proven, ProofError> {
        let proven = self.read()?;
        let certificate = Certificate::decode(&self.certificate)?;
        if certificate.block_hash != proven.hash || certificate.height != proven.header.number {
            return Err(ProofError::OtherBlock);
        }
        certificate.verify(domain, set)?;
        Ok(proven)
    }

    /// Reads header and requests and checks that they belong together: all that a genesis can show.
    ///
    /// # Errors
    ///
    /// [`ProofError`], but for the certificate.
    pub fn read(&self) -> Result<Proven, ProofError> {
        let mut rest = self.header.as_ref();
        let header = Header::decode(&mut rest).map_err(ProofError::Header)?;
        if !rest.is_empty() {
            return Err(ProofError::Header(alloy_rlp::Error::UnexpectedLength));
        }
        let requests = BlockRequests::from_requests(&self.requests).ok_or(ProofError::Requests)?;
        if header.requests_hash != Some(requests.hash()) {
            return Err(ProofError::Requests);
        }
        if let Some(validators) = &self.validators
            && keccak256(validators) != requests.set_hash
        {
            return Err(ProofError::Preimage {
                of: "validator set",
            });
        }
        if let Some(record) = &self.record
            && keccak256(record) != requests.record_hash
        {
            return Err(ProofError::Preimage { of: "record" });
        }
        Ok(Proven {
            hash: keccak256(&self.header),
            header,
            requests,
        })
    }

    /// The validator set that holds from the next height, when the proof carries it.
    ///
    /// # Errors
    ///
    /// [`ProofError::Preimage`] when the bytes are no set.
    pub fn next_set(&self) -> Result<Option<ValidatorSet>, ProofError> {
        let refused = ProofError::Preimage {
            of: "validator set",
        };
        self.validators
            .as_ref()
            .map(|bytes| alloy_rlp::decode_exact(bytes).map_err(|_bad| refused))
            .transpose()
    }

    /// The record that holds from the next height, when the proof carries it.
    ///
    /// # Errors
    ///
    /// [`ProofError::Preimage`] when the bytes are no record.
    pub fn next_record(&self) -> Result<Option<Record>, ProofError> {
        let refused = ProofError::Preimage { of: "record" };
        self.record
            .as_ref()
            .map(|bytes| Record::decode(bytes).map_err(|_bad| refused))
            .transpose()
    }
}

/// Why a block is not proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not one header.
    #[error("the header is not well-formed")]
    Header(#[source] alloy_rlp::Error),
    /// Not the requests that the header commits to.
    #[error("the requests are not those of the header")]
    Requests,
    /// Not the preimage of a hash that the requests name.
    #[error("the {of} is not the one that the requests name")]
    Preimage {
        /// Of what.
        of: &'static str,
    },
    /// The certificate is for another block.
    #[error("the certificate is for another block")]
    OtherBlock,
    /// The certificate proves nothing.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}
