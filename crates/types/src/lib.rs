//! Values that every city agrees on, byte for byte: what is hashed, signed or decided by all alike.
//!
//! ```text
//!  Founding ──▶ NetworkId ─┐
//!                          ├──▶ Domain ──▶ vote hashes ──▶ Certificate
//!  Record ──▶ ChainId ─────┘                                   │
//!     │                                                        ▼
//!     └── ValidatorSet ──▶ Requests (in every header) ──▶ BlockProof
//! ```
//!
//! Nothing here reads a clock, a disk or the network. Golden vectors in `tests/vectors/formats.json` pin the bytes;
//! a change to one of them is a fork.

pub mod certificate;
pub mod citation;
pub mod genesis;
pub mod header;
pub mod identity;
pub mod key;
pub mod proof;
pub mod record;
pub mod requests;
mod signers;
pub mod validators;
pub mod vote;

pub use certificate::{Certificate, CertificateError};
pub use citation::{Citation, CitationError};
pub use identity::{ChainId, Founding, NetworkId};
pub use key::{NodeKey, Signature, SignatureError, recover};
pub use proof::BlockProof;
pub use record::{Admission, FeeRule, Fork, Readers, Record, TimeoutBounds};
pub use requests::BlockRequests;
pub use signers::{remember_signers, remembered};
pub use validators::{Validator, ValidatorSet};
pub use vote::Domain;
