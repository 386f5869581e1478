//! From a caller's JSON to what `execution` runs.

use std::collections::BTreeMap;

use alloy_primitives::{B256, TxKind, U256};
use alloy_rpc_types_eth::state::{AccountOverride as AskedAccount, StateOverride};
use alloy_rpc_types_eth::{BlockOverrides as AskedBlock, TransactionRequest};
use execution::{AccountOverride, BlockOverrides, Call, CallFees, Overrides, StorageOverride};

use crate::error::Failure;

/// The call that `request` describes.
pub(super) fn call(request: TransactionRequest, chain_id: u64) -> Result<Call, Failure> {
    if let Some(asked) = request.chain_id
        && asked != chain_id
    {
        return Err(Failure::ChainId {
            asked,
            chain: chain_id,
        });
    }
    let to = match request.to {
        Some(TxKind::Call(to)) => Some(to),
        Some(TxKind::Create) | None => None,
    };
    let fees = fees(&request)?;
    Ok(Call {
        from: request.from.unwrap_or_default(),
        to,
        value: request.value.unwrap_or_default(),
        gas: request.gas,
        data: data(request.input)?,
        access_list: request.access_list.unwrap_or_default(),
        authorizations: request.authorization_list.unwrap_or_default(),
        fees,
        nonce: request.nonce,
    })
}

/// Calldata, which callers write as `input` or, from of old, as `data`.
pub(crate) fn data(
    input: alloy_rpc_types_eth::TransactionInput,
) -> Result<alloy_primitives::Bytes, Failure> {
    match (input.input, input.data) {
        (Some(input), Some(data)) if input != data => Err(Failure::Invalid(
            "both \"data\" and \"input\" are set and not equal; use \"input\" alone",
        )),
        (input, data) => Ok(input.or(data).unwrap_or_default()),
    }
}

fn fees(request: &TransactionRequest) -> Result<CallFees, Failure> {
    match (
        request.gas_price,
        request.max_fee_per_gas,
        request.max_priority_fee_per_gas,
    ) {
        (None, None, None) => Ok(CallFees::None),
        (Some(price), None, None) => Ok(CallFees::Legacy(price)),
        (None, max_fee, priority) => {
            let priority = priority.unwrap_or_default();
            Ok(CallFees::Dynamic {
                max_fee: max_fee.unwrap_or(priority),
                priority,
            })
        }
        (Some(_), _, _) => Err(Failure::Invalid(
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        )),
    }
}

/// What the question replaces.
pub(super) fn overrides(
    accounts: Option<StateOverride>,
    block: Option<AskedBlock>,
) -> Result<Overrides, Failure> {
    let accounts = accounts.unwrap_or_default().into_iter();
    let accounts = accounts.map(|(address, asked)| Ok((address, account(asked)?)));
    let accounts = accounts.collect::<Result<BTreeMap<_, _>, Failure>>()?;
    Ok(Overrides::new(
        accounts,
        block.map(block_overrides).transpose()?.unwrap_or_default(),
    ))
}

fn account(asked: AskedAccount) -> Result<AccountOverride, Failure> {
    if asked.move_precompile_to.is_some() {
        return Err(Failure::Invalid("movePrecompileToAddress is not supported"));
    }
    let slots = |map: alloy_primitives::map::B256HashMap<B256>| -> BTreeMap<U256, U256> {
        map.into_iter()
            .map(|(slot, value)| (slot.into(), value.into()))
            .collect()
    };
    let storage = match (asked.state, asked.state_diff) {
        (None, None) => StorageOverride::Keep,
        (Some(all), None) => StorageOverride::Replace(slots(all)),
        (None, Some(some)) => StorageOverride::Patch(slots(some)),
        (Some(_), Some(_)) => {
            return Err(Failure::Invalid(
                "an account override has both state and stateDiff",
            ));
        }
    };
    Ok(AccountOverride {
        balance: asked.balance,
        nonce: asked.nonce,
        code: asked.code,
        storage,
    })
}

fn block_overrides(asked: AskedBlock) -> Result<BlockOverrides, Failure> {
    let narrow = |value: Option<U256>| {
        let value = value.map(u64::try_from).transpose();
        value.map_err(|_large| Failure::Invalid("a block override does not fit in 64 bits"))
    };
    let blob_base_fee = asked.blob_base_fee.map(u128::try_from).transpose();
    Ok(BlockOverrides {
        number: narrow(asked.number)?,
        timestamp: asked.time,
        gas_limit: asked.gas_limit,
        beneficiary: asked.coinbase,
        prev_randao: asked.random,
        base_fee: narrow(asked.base_fee)?,
        blob_base_fee: blob_base_fee
            .map_err(|_large| Failure::Invalid("a block override does not fit in 128 bits"))?,
        block_hashes: asked.block_hash.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, address};
    use execution::CallFees;
    use serde_json::json;

    use super::{call, overrides};
    use crate::error::Failure;

    #[test]
    fn a_request_becomes_a_call_with_defaults_where_nothing_is_said() {
        let request = json!({"to": "0x00000000000000000000000000000000000000aa", "data": "0x01", "value": "0x2"});
        let call_ = call(serde_json::from_value(request).unwrap(), 7).unwrap();
        assert_eq!(
            call_.to,
            Some(address!("00000000000000000000000000000000000000aa"))
        );
        assert_eq!(call_.data, Bytes::from_static(&[1]));
        assert_eq!(
            (call_.fees, call_.gas, call_.nonce),
            (CallFees::None, None, None)
        );
        let create = call(
            serde_json::from_value(json!({"input": "0x60", "chainId": "0x7"})).unwrap(),
            7,
        )
        .unwrap();
        assert_eq!(create.to, None);
        let null = call(
            serde_json::from_value(json!({"to": null, "input": "0x60"})).unwrap(),
            7,
        )
        .unwrap();
        assert_eq!(null.to, None);
    }

    #[test]
    fn contradictions_are_refused() {
        for request in [
            json!({"input": "0x01", "data": "0x02"}),
            json!({"gasPrice": "0x1", "maxFeePerGas": "0x1"}),
        ] {
            let refused = call(serde_json::from_value(request).unwrap(), 7);
            assert!(matches!(refused, Err(Failure::Invalid(_))), "{refused:?}");
        }
        let foreign = call(
            serde_json::from_value(json!({"chainId": "0x8"})).unwrap(),
            7,
        );
        assert!(matches!(
            foreign,
            Err(Failure::ChainId { asked: 8, chain: 7 })
        ));
        let both =
            json!({"0x00000000000000000000000000000000000000aa": {"state": {}, "stateDiff": {}}});
        assert!(overrides(Some(serde_json::from_value(both).unwrap()), None).is_err());
    }
}
