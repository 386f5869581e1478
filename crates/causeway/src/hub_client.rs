//! Asking and telling the hub: its contracts over a city's JSON-RPC.
//!
//! ```text
//!  command ──▶ Hub ──▶ view: eth_call          ──▶ a struct of `hub::abi`, or a refusal in words
//!                 └──▶ send: eth_estimateGas   ──▶ what would be refused is, before anything is signed
//!                            sign with the key of --key, eth_sendRawTransactionSync ──▶ receipt
//! ```
//!
//! Nothing here knows a city's data folder, and nothing but the key's file is read.

pub(crate) mod abi;
mod json_rpc;
mod refusal;
pub(crate) mod registry;
pub(crate) mod words;

use std::path::PathBuf;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Log, LogData, TxKind, U64, U256, hex};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cities::keys::{self, KeyError};
use crate::cities::names::RpcUrl;
use crate::cities::password::PasswordOptions;

pub(crate) use json_rpc::{AskError, JsonRpc};
pub(crate) use refusal::Refusal;

/// Largest gas limit of a transaction (EIP-7825).
const MOST_GAS: u64 = 1 << 24;
/// A node's code for a transaction that has no receipt yet (EIP-7966).
const NOT_YET_MINED: i64 = 4;

/// Which hub.
#[derive(Clone, Debug, Args)]
pub(crate) struct HubOptions {
    /// JSON-RPC of a city that keeps the hub.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) hub: RpcUrl,
}

/// Whose word it is.
#[derive(Debug, Args)]
pub(crate) struct KeyOptions {
    /// The key that signs: a member's authority.key, or a keystore.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: PasswordOptions,
}

impl KeyOptions {
    /// Reads the key.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub(crate) async fn read(&self) -> Result<PrivateKeySigner, KeyError> {
        let source = self.password.source();
        let key = keys::read_key(&self.key, source.as_ref()).await?;
        let bytes = Zeroizing::new(key.to_bytes());
        PrivateKeySigner::from_slice(bytes.as_slice()).map_err(|_refused| KeyError::Plain {
            path: self.key.clone(),
        })
    }
}

/// Why the hub did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// It could not be asked, or its node refused.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The chain has no registry.
    #[error(
        "the contract {contract} does not answer: is this chain a network's hub? --hub names the JSON-RPC of a city"
    )]
    NoHub {
        /// Which.
        contract: Address,
    },
    /// The contract answered something else.
    #[error("the contract {contract} answered in another form")]
    Form {
        /// Which.
        contract: Address,
        /// Why.
        source: alloy_sol_types::Error,
    },
    /// The contract refuses.
    #[error("the hub refuses: {0}")]
    Refused(Refusal),
    /// It changed its mind between the estimate and the block.
    #[error("the transaction {hash} was refused in its block: something changed meanwhile")]
    Reverted {
        /// Of the transaction.
        hash: B256,
    },
    /// No receipt came.
    #[error(
        "the transaction {hash} was sent, and is in no block yet: look for it before you send again"
    )]
    Unfinished {
        /// Of the transaction.
        hash: B256,
    },
    /// The signer refused.
    #[error("cannot sign")]
    Sign(#[from] alloy_signer::Error),
}

/// What came of a transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    /// Of the transaction.
    pub(crate) transaction_hash: B256,
    /// The hub's block.
    pub(crate) block_number: U64,
    status: U64,
    logs: Vec<ReceiptLog>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReceiptLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

impl Receipt {
    /// What the contract told in an event of this kind, the first if there are several.
    pub(crate) fn event<E: SolEvent>(&self, contract: Address) -> Option<E> {
        let logs = self.logs.iter().filter(|log| log.address == contract);
        let mut told = logs.filter_map(|log| {
            let data = LogData::new(log.topics.clone(), log.data.clone())?;
            let log = Log {
                address: log.address,
                data,
            };
            E::decode_log(&log).ok().map(|decoded| decoded.data)
        });
        told.next()
    }

    /// The receipt, for programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "transaction": self.transaction_hash,
            "block": self.block_number.to::<u64>(),
        })
    }
}

/// A hub that answers.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    rpc: JsonRpc,
    chain_id: u64,
}

impl Hub {
    /// Asks the node for its chain.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn open(options: &HubOptions) -> Result<Self, HubError> {
        let rpc = JsonRpc::new(&options.hub)?;
        let chain_id: U64 = rpc.ask("eth_chainId", json!([])).await?;
        Ok(Self {
            rpc,
            chain_id: chain_id.to(),
        })
    }

    /// Reads from a contract, as nobody in particular.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn view<C: SolCall>(
        &self,
        contract: Address,
        question: &C,
    ) -> Result<C::Return, HubError> {
        self.view_as(Address::ZERO, contract, question).await
    }

    /// Reads from a contract, as `caller`.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn view_as<C: SolCall>(
        &self,
        caller: Address,
        contract: Address,
        question: &C,
    ) -> Result<C::Return, HubError> {
        let data = Bytes::from(question.abi_encode());
        let call = json!({ "from": caller, "to": contract, "data": data });
        let answer: Result<Bytes, AskError> =
            self.rpc.ask("eth_call", json!([call, "latest"])).await;
        let answer = answer.map_err(refused)?;
        if answer.is_empty() {
            return Err(HubError::NoHub { contract });
        }
        C::abi_decode_returns(&answer).map_err(|source| HubError::Form { contract, source })
    }

    /// Asks a contract whether it would take a transaction of `caller`'s now; gives the gas that it would use.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn would<C: SolCall>(
        &self,
        caller: Address,
        contract: Address,
        call: &C,
    ) -> Result<u64, HubError> {
        let data = Bytes::from(call.abi_encode());
        let asked = json!({ "from": caller, "to": contract, "data": data });
        let gas: Result<U256, AskError> = self.rpc.ask("eth_estimateGas", json!([asked])).await;
        Ok(gas.map_err(refused)?.saturating_to())
    }

    /// Sends a transaction to a contract, and waits for its block. What the contract would refuse now is refused before
    /// anything is signed.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub(crate) async fn send<C: SolCall>(
        &self,
        signer: &PrivateKeySigner,
        contract: Address,
        call: &C,
    ) -> Result<Receipt, HubError> {
        let input = Bytes::from(call.abi_encode());
        let from = signer.address();
        let gas = self.would(from, contract, call).await?;
        let nonce: U64 = self
            .rpc
            .ask("eth_getTransactionCount", json!([from, "pending"]))
            .await?;
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: nonce.to(),
            // Another's transaction may come before, and make this one's way longer.
            gas_limit: gas.saturating_add(gas / 4).min(MOST_GAS),
            to: TxKind::Call(contract),
            input,
            ..TxEip1559::default()
        };
        let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        self.submit(&signed).await
    }

    async fn submit(&self, signed: &TxEnvelope) -> Result<Receipt, HubError> {
        let hash = *signed.tx_hash();
        let raw = json!([hex::encode_prefixed(signed.encoded_2718())]);
        let sent: Result<Receipt, AskError> = self.rpc.ask("eth_sendRawTransactionSync", raw).await;
        let receipt = match sent {
            Ok(receipt) => receipt,
            Err(AskError::Answer { code, .. }) if code == NOT_YET_MINED => {
                return Err(HubError::Unfinished { hash });
            }
            // It may have arrived.
            Err(AskError::TooSlow { .. } | AskError::Unreachable { .. }) => {
                return Err(HubError::Unfinished { hash });
            }
            Err(error) => return Err(error.into()),
        };
        if receipt.status.is_zero() {
            return Err(HubError::Reverted { hash });
        }
        Ok(receipt)
    }
}

/// A contract's refusal where it is one.
fn refused(error: AskError) -> HubError {
    match error {
        AskError::Answer {
            code: 3,
            data: Some(data),
            ..
        } => HubError::Refused(Refusal::new(data)),
        AskError::Answer { code: 3, .. } => HubError::Refused(Refusal::new(Bytes::new())),
        other => HubError::Ask(other),
    }
}
