//! Keys that sign for whoever asks from this machine: the funded accounts of a development chain.
//!
//! They answer callers on loopback alone, who also named loopback as the host: a page that reaches this server under
//! another name is not one of them.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction as _, TxEnvelope};
use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use execution::Transaction;
use serde::{Deserialize, Serialize};

use crate::account_state::next_nonce;
use crate::api::{Api, Work};
use crate::error::Failure;
use crate::fees::suggested_offer;
use crate::simulate;
use crate::transactions::TransactionAnswer;
use crate::transactions::submit::shown;

/// Who asks, as far as it matters. An extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// From this machine, and by a name of loopback.
    pub(crate) is_local: bool,
}

/// The unlocked keys, in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Vec<Account>);

#[derive(Debug)]
struct Account {
    signer: PrivateKeySigner,
    /// Held from choosing a nonce until the pool has it, so that two transactions at once do not get the same.
    turn: tokio::sync::Mutex<()>,
}

impl Accounts {
    pub(crate) fn new(signers: Vec<PrivateKeySigner>) -> Self {
        Self(
            signers
                .into_iter()
                .map(|signer| Account {
                    signer,
                    turn: tokio::sync::Mutex::default(),
                })
                .collect(),
        )
    }

    /// The addresses that `caller` may use.
    pub(crate) fn addresses(&self, caller: Caller) -> Vec<Address> {
        if caller.is_local {
            self.0
                .iter()
                .map(|account| account.signer.address())
                .collect()
        } else {
            Vec::new()
        }
    }

    fn get(&self, caller: Caller, address: Address) -> Result<&Account, Failure> {
        let found = self
            .0
            .iter()
            .find(|account| account.signer.address() == address);
        match found {
            Some(_) if !caller.is_local => Err(Failure::AccountsLocked),
            Some(account) => Ok(account),
            None => Err(Failure::UnknownAccount { address }),
        }
    }

    /// `eth_sign`, `personal_sign`: over the message with Ethereum's prefix (EIP-191).
    pub(crate) fn sign(
        &self,
        caller: Caller,
        address: Address,
        message: &[u8],
    ) -> Result<Bytes, Failure> {
        let signature = self
            .get(caller, address)?
            .signer
            .sign_message_sync(message)?;
        Ok(signature.as_bytes().into())
    }

    /// `eth_signTypedData_v4` (EIP-712).
    pub(crate) fn sign_typed(
        &self,
        caller: Caller,
        address: Address,
        data: &Typed,
    ) -> Result<Bytes, Failure> {
        let signature = self
            .get(caller, address)?
            .signer
            .sign_dynamic_typed_data_sync(&data.0)?;
        Ok(signature.as_bytes().into())
    }
}

/// Typed data, which callers send as an object or as its text.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "ObjectOrText")]
pub(crate) struct Typed(TypedData);

#[derive(Deserialize)]
#[serde(untagged)]
enum ObjectOrText {
    Text(String),
    Object(Box<TypedData>),
}

impl TryFrom<ObjectOrText> for Typed {
    type Error = serde_json::Error;

    fn try_from(value: ObjectOrText) -> Result<Self, serde_json::Error> {
        match value {
            ObjectOrText::Text(text) => serde_json::from_str(&text).map(Self),
            ObjectOrText::Object(data) => Ok(Self(*data)),
        }
    }
}

/// A transaction as signed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SignedAnswer {
    raw: Bytes,
    tx: TransactionAnswer,
}

/// `eth_sendTransaction`: fills in what is missing, signs, and gives it to the pool.
pub(crate) async fn send(
    api: &Arc<Api>,
    caller: Caller,
    request: TransactionRequest,
) -> Result<B256, Failure> {
    let account = api.accounts.get(caller, from(&request)?)?;
    let turn = account.turn.lock().await;
    let transaction = signed(api, caller, request).await?;
    let heads = api.chain.heads();
    let hash = match api.chain.submit(vec![transaction]).await.pop() {
        Some(verdict) => verdict?,
        None => return Err(Failure::Stopping),
    };
    drop(turn);
    shown(api, heads, hash).await;
    Ok(hash)
}

/// `eth_signTransaction`: the same without giving it to the pool.
pub(crate) async fn sign_transaction(
    api: &Arc<Api>,
    caller: Caller,
    request: TransactionRequest,
) -> Result<SignedAnswer, Failure> {
    let transaction = signed(api, caller, request).await?;
    Ok(SignedAnswer {
        raw: transaction.encoded_2718().into(),
        tx: TransactionAnswer::waiting(transaction.inner(), transaction.signer()),
    })
}

fn from(request: &TransactionRequest) -> Result<Address, Failure> {
    request
        .from
        .ok_or(Failure::Incomplete("\"from\" is missing"))
}

async fn signed(
    api: &Arc<Api>,
    caller: Caller,
    request: TransactionRequest,
) -> Result<Transaction, Failure> {
    let shared = Arc::clone(api);
    api.run(Work::Evm, move || {
        let address = from(&request)?;
        let account = shared.accounts.get(caller, address)?;
        let filled = fill(&shared, address, request)?;
        let typed = filled
            .build_typed_tx()
            .map_err(|_fields| Failure::Incomplete("fields of its type are missing"))?;
        let signature = account.signer.sign_hash_sync(&typed.signature_hash())?;
        let envelope: TxEnvelope = typed.into_envelope(signature);
        Ok(Transaction::new_unchecked(envelope, address))
    })
    .await
}

/// Fills in nonce, chain, fees and gas, and brings the data to its one place.
fn fill(
    api: &Api,
    address: Address,
    mut request: TransactionRequest,
) -> Result<TransactionRequest, Failure> {
    let chain = api.chain.reader().profile().chain_id.get();
    if let Some(asked) = request.chain_id
        && asked != chain
    {
        return Err(Failure::ChainId { asked, chain });
    }
    if request.has_eip4844_fields() {
        return Err(Failure::Incomplete(
            "blob transactions are not accepted here",
        ));
    }
    let data = simulate::data(std::mem::take(&mut request.input))?;
    if matches!(request.to, None | Some(TxKind::Create)) {
        if data.is_empty() {
            return Err(Failure::Incomplete(
                "contract creation without any data provided",
            ));
        }
        request.to = Some(TxKind::Create);
    }
    request.input = TransactionInput::new(data);
    request.chain_id = Some(chain);
    request.nonce = Some(match request.nonce {
        Some(nonce) => nonce,
        None => next_nonce(api, address)?,
    });
    if request.gas.is_none() {
        // Before the fees, so that those filled in do not bound it.
        request.gas = Some(simulate::gas_now(api, &request)?);
    }
    fill_fees(api, &mut request)?;
    Ok(request)
}

fn fill_fees(api: &Api, request: &mut TransactionRequest) -> Result<(), Failure> {
    if request.gas_price.is_some() {
        return Ok(());
    }
    let offer = suggested_offer(&api.moment()?)?;
    if matches!(request.transaction_type, Some(0 | 1)) {
        request.gas_price = Some(offer.max_fee);
        return Ok(());
    }
    let priority = request.max_priority_fee_per_gas;
    let priority = priority.unwrap_or_else(|| {
        offer
            .priority
            .min(request.max_fee_per_gas.unwrap_or(u128::MAX))
    });
    request.max_priority_fee_per_gas = Some(priority);
    request.max_fee_per_gas = Some(
        request
            .max_fee_per_gas
            .unwrap_or_else(|| offer.max_fee.max(priority)),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Signature};
    use alloy_signer_local::PrivateKeySigner;
    use serde_json::json;

    use super::{Accounts, Caller, Typed};
    use crate::error::Failure;

    const LOCAL: Caller = Caller { is_local: true };
    const AWAY: Caller = Caller { is_local: false };

    #[test]
    fn keys_sign_for_local_callers_alone() {
        let signer = PrivateKeySigner::random();
        let address = signer.address();
        let accounts = Accounts::new(vec![signer]);
        assert_eq!(accounts.addresses(LOCAL), [address]);
        assert_eq!(accounts.addresses(AWAY), [Address::ZERO; 0]);
        let signature = accounts.sign(LOCAL, address, b"hello").unwrap();
        let signature = Signature::try_from(signature.as_ref()).unwrap();
        assert_eq!(
            signature.recover_address_from_msg(b"hello").unwrap(),
            address
        );
        assert!(matches!(
            accounts.sign(AWAY, address, b"hello"),
            Err(Failure::AccountsLocked)
        ));
        let unknown = accounts.sign(LOCAL, Address::ZERO, b"hello");
        assert!(matches!(
            unknown,
            Err(Failure::UnknownAccount {
                address: Address::ZERO
            })
        ));
    }

    #[test]
    fn typed_data_is_signed_from_an_object_and_from_its_text_alike() {
        let signer = PrivateKeySigner::random();
        let address = signer.address();
        let accounts = Accounts::new(vec![signer]);
        let object = json!({
            "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "Mail": [{"name": "text", "type": "string"}]},
            "primaryType": "Mail",
            "domain": {"name": "Test"},
            "message": {"text": "hello"},
        });
        let text: Typed = serde_json::from_value(json!(object.to_string())).unwrap();
        let object: Typed = serde_json::from_value(object).unwrap();
        let signed = accounts.sign_typed(LOCAL, address, &object).unwrap();
        assert_eq!(signed, accounts.sign_typed(LOCAL, address, &text).unwrap());
        let hash = object.0.eip712_signing_hash().unwrap();
        let signature = Signature::try_from(signed.as_ref()).unwrap();
        assert_eq!(
            signature.recover_address_from_prehash(&hash).unwrap(),
            address
        );
    }
}
