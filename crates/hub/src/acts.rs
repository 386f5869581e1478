//! What a city says to the registry by itself, signed with its node key: that it holds a chain that it joins, that a chain
//! was handed over, that a removed city's chains are to go on without it, and those of a city with a new key under that, and
//! that it is to be a validator of the hub.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall as _;
use chain::{Moment, ReadError};
use execution::Transaction;
use types::{BlockRequests, Certificate, ChainId, NodeKey};

use crate::abi::{Handover, IApplications, IValidators};

/// Most gas of one act: what one transaction may have (EIP-7825), less a little.
const GAS: u64 = 16_000_000;
/// Gas of what one act says of one chain, with so many cities: at least what it takes, by the measured figures in
/// `docs/hub.md`. The first of many costs a fifth more than each of the others.
const fn gas(kind: Kind, cities: usize) -> u64 {
    let cities = cities as u64;
    match kind {
        Kind::Ready => 150_000 + 28_000 * cities,
        Kind::Expel => 180_000 + 12_000 * cities,
        Kind::Rotate => 200_000 + 12_000 * cities,
        Kind::Show => 170_000 + 20_000 * cities,
    }
}

/// What a city says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// That it holds a chain that it joins.
    Ready,
    /// That a removed city is among a chain's.
    Expel,
    /// That a city which goes on under a new key is among a chain's.
    Rotate,
    /// That a chain was handed over.
    Show,
}

/// How many chains one transaction names: as many as its gas allows, and one at least.
#[derive(Debug)]
pub struct Budget {
    kind: Kind,
    left: u64,
    is_empty: bool,
}

impl Budget {
    /// That of one transaction.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            left: GAS,
            is_empty: true,
        }
    }

    /// Whether one more chain with so many cities fits.
    pub const fn fits(&mut self, cities: usize) -> bool {
        let gas = gas(self.kind, cities);
        if gas > self.left && !self.is_empty {
            return false;
        }
        self.left = self.left.saturating_sub(gas);
        self.is_empty = false;
        true
    }
}

/// Calls `ready`.
#[must_use]
pub fn ready(ns: Vec<u64>) -> Bytes {
    IApplications::readyCall { ns }.abi_encode().into()
}

/// Calls `Validators.ready`: the city holds the hub, and is to be one of its validators.
#[must_use]
pub fn serve() -> Bytes {
    IValidators::readyCall {}.abi_encode().into()
}

/// Calls `Validators.renew`.
#[must_use]
pub fn renew() -> Bytes {
    IValidators::renewCall {}.abi_encode().into()
}

/// Calls `expel`.
#[must_use]
pub fn expel(city: u32, ns: Vec<u64>) -> Bytes {
    IApplications::expelCall { city, ns }.abi_encode().into()
}

/// Calls `rotate`.
#[must_use]
pub fn rotate(city: u32, ns: Vec<u64>) -> Bytes {
    IApplications::rotateCall { city, ns }.abi_encode().into()
}

/// Calls `show`.
#[must_use]
pub fn show(handovers: Vec<Handover>) -> Bytes {
    IApplications::showCall { handovers }.abi_encode().into()
}

/// The last handover block of application `n`, whose chain this is, as it is shown; `None` when there was none.
///
/// # Errors
///
/// [`ReadError`].
pub fn handover(moment: &Moment, n: u64) -> Result<Option<Handover>, ReadError> {
    let damaged = |number| ReadError::Damaged {
        what: "seal",
        number,
    };
    let requests_of = |number| {
        let seal = moment.seal(number)?.ok_or(damaged(number))?;
        let requests = BlockRequests::from_requests(&seal.requests).ok_or(damaged(number))?;
        Ok::<_, ReadError>((seal, requests))
    };
    let (_, latest) = requests_of(moment.head().header.number)?;
    let number = latest.from_height.saturating_sub(1);
    if number == 0 {
        return Ok(None);
    }
    let (seal, requests) = requests_of(number)?;
    let header = moment.header(number)?.ok_or(damaged(number))?.header;
    let certificate =
        Certificate::decode(&seal.certificate).map_err(|_malformed| damaged(number))?;
    let (signers, signatures) = certificate
        .signatures
        .iter()
        .map(|signed| (signed.address, Bytes::copy_from_slice(&signed.signature.0)))
        .unzip();
    Ok(Some(Handover {
        n,
        height: number,
        round: certificate.round,
        header: alloy_rlp::encode(&header).into(),
        outboxRoot: requests.outbox_root,
        signers,
        signatures,
    }))
}

/// A transaction of this city on the hub, to one of its contracts. On a hub gas is free.
///
/// `None` when the signature is none, which a key never makes.
#[must_use]
pub fn signed(
    key: &NodeKey,
    hub: ChainId,
    nonce: u64,
    (contract, input): (Address, Bytes),
) -> Option<Transaction> {
    let transaction = TxEip1559 {
        chain_id: hub.get(),
        nonce,
        gas_limit: GAS,
        to: TxKind::Call(contract),
        value: U256::ZERO,
        input,
        ..TxEip1559::default()
    };
    let signature = key.sign(transaction.signature_hash());
    let signature = Signature::from_raw(&signature.0).ok()?;
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    Some(Transaction::new_unchecked(envelope, key.address()))
}
