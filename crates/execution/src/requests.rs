//! Ethereum's requests (EIP-7685): deposits from logs (EIP-6110), then the queues of two system contracts
//! (EIP-7002, EIP-7251). Our own chains have none of them.

use alloy_eips::eip6110::DEPOSIT_REQUEST_TYPE;
use alloy_eips::eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_TYPE};
use alloy_eips::eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_TYPE};
use alloy_primitives::{Address, B256, Log, U256, b256};

/// The queues that are emptied at the end of a block: request type and contract, in this order.
pub(crate) const QUEUES: [(u8, Address); 2] = [
    (
        WITHDRAWAL_REQUEST_TYPE,
        WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    ),
    (
        CONSOLIDATION_REQUEST_TYPE,
        CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ),
];

/// The type of the requests that come from logs.
pub(crate) const DEPOSITS: u8 = DEPOSIT_REQUEST_TYPE;

/// `DepositEvent(bytes,bytes,bytes,bytes,bytes)` (EIP-6110).
const DEPOSIT_EVENT: B256 =
    b256!("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// Where each of the event's five fields lies: offset of its length and the length it must have (EIP-6110,
/// `is_valid_deposit_event_data`): public key, withdrawal credentials, amount, signature, index.
const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
/// The event's data: five offsets, then five lengths with padded fields.
const DATA_LENGTH: usize = 576;

/// A log of the deposit contract that has the event but not its form: the block is invalid (EIP-6110).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedDeposit;

/// Appends the deposits in `logs` to `requests`, in order.
pub(crate) fn deposits<'a>(
    contract: Address,
    logs: impl Iterator<Item = &'a Log>,
    requests: &mut Vec<u8>,
) -> Result<(), MalformedDeposit> {
    for log in logs {
        if log.address == contract && log.topics().first() == Some(&DEPOSIT_EVENT) {
            deposit(&log.data.data, requests).ok_or(MalformedDeposit)?;
        }
    }
    Ok(())
}

fn deposit(data: &[u8], requests: &mut Vec<u8>) -> Option<()> {
    if data.len() != DATA_LENGTH {
        return None;
    }
    for (number, (offset, length)) in FIELDS.into_iter().enumerate() {
        if word(data, number * 32)? != offset || word(data, offset)? != length {
            return None;
        }
        requests.extend_from_slice(data.get(offset + 32..offset + 32 + length)?);
    }
    Some(())
}

fn word(data: &[u8], at: usize) -> Option<usize> {
    usize::try_from(U256::from_be_slice(data.get(at..at + 32)?)).ok()
}
