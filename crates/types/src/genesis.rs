//! Genesis: a pure function of record, validators and the hub block that created the chain.

use alloy_consensus::Header;
use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_RECEIPTS, EMPTY_TRANSACTIONS};
use alloy_eips::{eip2935, eip4788};
use alloy_primitives::{Address, B64, B256, Bytes, U256, address};

use crate::header::{INITIAL_BASE_FEE, extra_data};
use crate::{BlockRequests, FeeRule, Record, ValidatorSet};

/// The ten accounts of `test test test test test test test test test test test junk`, m/44'/60'/0'/0/0 to 9: what
/// development tools expect to be funded. Anybody knows their keys.
pub const DEVELOPMENT_ACCOUNTS: [Address; 10] = [
    address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
    address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
    address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
    address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
    address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
    address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
];

/// What each development account owns at genesis: 10,000 ether, in wei.
pub const DEVELOPMENT_BALANCE: U256 = U256::from_limbs([0x19e0_c9ba_b240_0000, 0x21e, 0, 0]);

/// One account of a genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Where.
    pub address: Address,
    /// Its nonce.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
    /// Its code; empty for none.
    pub code: Bytes,
}

/// The accounts of a genesis: the system contracts of EIP-4788 (not on a hub) and EIP-2935, and on a development
/// chain ten funded accounts.
#[must_use]
pub fn accounts(record: &Record) -> Vec<GenesisAccount> {
    let system = |address, code: &Bytes| GenesisAccount {
        address,
        nonce: 1,
        balance: U256::ZERO,
        code: code.clone(),
    };
    let mut accounts = vec![
        system(eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
        system(
            eip2935::HISTORY_STORAGE_ADDRESS,
            &eip2935::HISTORY_STORAGE_CODE,
        ),
    ];
    if record.development {
        accounts.extend(DEVELOPMENT_ACCOUNTS.map(|address| GenesisAccount {
            address,
            nonce: 0,
            balance: DEVELOPMENT_BALANCE,
            code: Bytes::new(),
        }));
    }
    accounts
}

/// A block of the hub, as far as the chains that cite it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubBlock {
    /// Its hash.
    pub hash: B256,
    /// Its time in Unix milliseconds.
    pub ms: u64,
}

/// The header of a genesis whose state has `state_root`. `creator` is the hub block that created the chain; `None` for a
/// hub and for a chain without one.
#[must_use]
pub fn header(
    record: &Record,
    set: &ValidatorSet,
    creator: Option<HubBlock>,
    state_root: B256,
) -> Header {
    let requests = BlockRequests::genesis(record, set);
    let ms = creator.map_or(record.genesis_ms, |block| block.ms);
    Header {
        parent_hash: B256::ZERO,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: Address::ZERO,
        state_root,
        transactions_root: EMPTY_TRANSACTIONS,
        receipts_root: EMPTY_RECEIPTS,
        logs_bloom: alloy_primitives::Bloom::ZERO,
        difficulty: U256::ZERO,
        number: 0,
        gas_limit: record.gas_limit,
        gas_used: 0,
        timestamp: ms / 1000,
        extra_data: extra_data(ms),
        mix_hash: B256::ZERO,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(match record.fee_rule {
            FeeRule::Free => 0,
            FeeRule::Eip1559 => INITIAL_BASE_FEE,
        }),
        withdrawals_root: Some(alloy_trie::EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(creator.map_or(B256::ZERO, |block| block.hash)),
        requests_hash: Some(requests.hash()),
        ..Header::default()
    }
}

#[cfg(test)]
mod tests {
    use super::DEVELOPMENT_BALANCE;
    use alloy_primitives::U256;

    #[test]
    fn a_development_account_owns_ten_thousand_ether() {
        assert_eq!(
            DEVELOPMENT_BALANCE,
            U256::from(10_000) * U256::from(10).pow(U256::from(18))
        );
    }
}
