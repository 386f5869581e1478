//! What the state says of one account: balance, nonce, code, storage.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256, hex};

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::tags::Place;

/// `eth_getBalance`, in wei.
pub(crate) fn balance(api: &Api, arguments: &mut Arguments<'_>) -> Result<U256, Failure> {
    let address: Address = arguments.required()?;
    let block: Option<BlockId> = arguments.optional()?;
    arguments.end()?;
    let moment = api.moment()?;
    let view = Place::of(&moment, block, BlockNumberOrTag::Latest)?.view(&moment)?;
    Ok(view
        .account(address)?
        .map_or(U256::ZERO, |account| account.balance))
}

/// `eth_getTransactionCount`: the next nonce; for `pending` that after the gapless transactions in the pool.
pub(crate) fn nonce(api: &Api, arguments: &mut Arguments<'_>) -> Result<U64, Failure> {
    let address: Address = arguments.required()?;
    let block: Option<BlockId> = arguments.optional()?;
    arguments.end()?;
    if block.is_some_and(|id| id.is_pending()) {
        return Ok(U64::from(next_nonce(api, address)?));
    }
    let moment = api.moment()?;
    let view = Place::of(&moment, block, BlockNumberOrTag::Latest)?.view(&moment)?;
    Ok(U64::from(
        view.account(address)?.map_or(0, |account| account.nonce),
    ))
}

/// The nonce after the gapless transactions of `address` in the pool, or that of the state where there are none.
pub(crate) fn next_nonce(api: &Api, address: Address) -> Result<u64, Failure> {
    // The pool first: what leaves it meanwhile is counted in the state read after.
    let pooled = api.chain.pool(|pool| pool.next_nonce(address));
    let moment = api.moment()?;
    let view = moment.view(moment.head().header.number)?;
    let mined = view.account(address)?.map_or(0, |account| account.nonce);
    Ok(pooled.map_or(mined, |pooled| pooled.max(mined)))
}

/// `eth_getCode`
pub(crate) fn code(api: &Api, arguments: &mut Arguments<'_>) -> Result<Bytes, Failure> {
    let address: Address = arguments.required()?;
    let block: Option<BlockId> = arguments.optional()?;
    arguments.end()?;
    let moment = api.moment()?;
    let view = Place::of(&moment, block, BlockNumberOrTag::Latest)?.view(&moment)?;
    let Some(account) = view.account(address)? else {
        return Ok(Bytes::new());
    };
    Ok(view.code(account.code_hash)?)
}

/// `eth_getStorageAt`, as 32 bytes.
pub(crate) fn storage(api: &Api, arguments: &mut Arguments<'_>) -> Result<B256, Failure> {
    let address: Address = arguments.required()?;
    let slot = StorageKey::read(arguments.required()?)?;
    let block: Option<BlockId> = arguments.optional()?;
    arguments.end()?;
    let moment = api.moment()?;
    let view = Place::of(&moment, block, BlockNumberOrTag::Latest)?.view(&moment)?;
    Ok(view
        .storage(address, U256::from_be_bytes(slot.hash.0))?
        .into())
}

/// A slot, as it was asked for: as a number or as 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StorageKey {
    /// The slot.
    pub(crate) hash: B256,
    /// Whether all 32 bytes were written out; answers repeat the form.
    whole: bool,
}

impl StorageKey {
    /// Reads hexadecimal of up to 32 bytes, with an odd digit too.
    pub(crate) fn read(key: String) -> Result<Self, Failure> {
        let digits = key
            .strip_prefix("0x")
            .or_else(|| key.strip_prefix("0X"))
            .unwrap_or(&key);
        if digits.len() > 64 {
            return Err(Failure::StorageKeyTooLong { key });
        }
        let mut hash = B256::ZERO;
        let whole = digits.len() == 64;
        let padded = format!("{digits:0>64}");
        match hex::decode_to_slice(padded, hash.as_mut_slice()) {
            Ok(()) => Ok(Self { hash, whole }),
            Err(_digit) => Err(Failure::StorageKey { key }),
        }
    }

    /// In the form in which it was asked for.
    pub(crate) fn answer(&self) -> String {
        if self.whole {
            self.hash.to_string()
        } else {
            format!("{:#x}", U256::from_be_bytes(self.hash.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StorageKey;
    use crate::error::Failure;

    #[test]
    fn a_slot_is_a_number_or_32_bytes_and_is_repeated_as_asked() {
        let whole = format!("0x{:0>64}", "1f");
        for (asked, answered) in [
            ("0x0", "0x0"),
            ("0x00", "0x0"),
            ("0x1f", "0x1f"),
            ("0x", "0x0"),
            (&whole, &whole),
        ] {
            assert_eq!(
                StorageKey::read(asked.to_owned()).unwrap().answer(),
                *answered
            );
        }
        assert!(matches!(
            StorageKey::read(String::from("0xasdf")),
            Err(Failure::StorageKey { .. })
        ));
        assert!(matches!(
            StorageKey::read("0".repeat(65)),
            Err(Failure::StorageKeyTooLong { .. })
        ));
        assert!(matches!(
            StorageKey::read("é".repeat(32)),
            Err(Failure::StorageKey { .. })
        ));
    }
}
