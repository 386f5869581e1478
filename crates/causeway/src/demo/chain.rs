//! A chain of an application as a client has it that trusts no city: it sends through one, and believes another only what
//! the chain's own certificates and the state's proofs show.

use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256, hex};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, ensure};
use hub::abi::Application;
use serde::Deserialize;
use serde_json::{Value, json};
use types::{BlockProof, Certificate, ChainId, Domain, NetworkId, ValidatorSet};

use super::token;
use crate::hub_client::JsonRpc;

/// How long a receipt is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for a receipt.
const PAUSE: Duration = Duration::from_millis(5);
/// Tokens made, in the token's smallest unit.
const SUPPLY: u64 = 1_000_000;
/// Tokens that one transfer sends.
pub(super) const SENT: u64 = 2_500;

/// One application's chain, up to the last block that was checked.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) n: u64,
    pub(super) chain_id: u64,
    /// Of an account that nobody funded: gas is free.
    key: PrivateKeySigner,
    nonce: u64,
    /// Its last transaction.
    last: Option<B256>,
    pub(super) token: Address,
    friend: Address,
    /// What the friend has.
    sent: u64,
    domain: Domain,
    /// Who certifies the next block.
    set: ValidatorSet,
    height: u64,
    hash: B256,
}

/// A block that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) number: u64,
    pub(super) signers: usize,
    pub(super) cities: usize,
}

/// What became of a transaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    transaction_hash: B256,
    block_hash: B256,
    block_number: U64,
    status: U64,
    contract_address: Option<Address>,
}

impl Chain {
    /// The chain from its first block, which has to name the cities that the hub names.
    pub(super) async fn from_genesis(
        application: &Application,
        network: NetworkId,
        city: &JsonRpc,
    ) -> anyhow::Result<Self> {
        let chain_id = application.chainId;
        let proof = block_proof(&city.chain(chain_id), 0).await?;
        let first = proof.read()?;
        let set = proof.next_set()?.context("a first block names no cities")?;
        ensure!(
            set.hash() == application.setHash && first.requests.set_hash == application.setHash,
            "the chain begins with other cities than the hub names"
        );
        Ok(Self {
            name: application.name.clone(),
            n: application.n,
            chain_id,
            key: PrivateKeySigner::random(),
            nonce: 0,
            last: None,
            token: Address::ZERO,
            friend: Address::repeat_byte(0x42),
            sent: 0,
            domain: Domain::new(ChainId::new(chain_id)?, network),
            set,
            height: 0,
            hash: first.hash,
        })
    }

    /// Makes the token through `city`; the number of the block in which it is final.
    pub(super) async fn deploy(&mut self, city: &JsonRpc) -> anyhow::Result<u64> {
        let input = token::creation(U256::from(SUPPLY))?;
        let receipt = self.send(city, TxKind::Create, input).await?;
        let made = receipt.contract_address;
        self.token = made.context("the transaction made no contract")?;
        Ok(receipt.block_number.to())
    }

    /// Sends tokens through `writer`, and checks block and balance as `reader` shows them.
    pub(super) async fn transfer(
        &mut self,
        writer: &JsonRpc,
        reader: &JsonRpc,
    ) -> anyhow::Result<Checked> {
        let input = token::transfer(self.friend, U256::from(SENT));
        let sent = self.send(writer, TxKind::Call(self.token), input).await?;
        self.sent += SENT;
        let reader = reader.chain(self.chain_id);
        let read = receipt(&reader, sent.transaction_hash).await?;
        ensure!(
            read.block_hash == sent.block_hash,
            "{} has the transaction in another block",
            reader.url()
        );
        let number = sent.block_number.to();
        let (checked, state_root) = self.follow(&reader, number).await?;
        ensure!(
            self.hash == sent.block_hash,
            "the certified block {number} is another one"
        );
        let slot = token::balance_slot(self.friend);
        let proof: Value = reader
            .ask(
                "eth_getProof",
                json!([self.token, [slot], U64::from(number)]),
            )
            .await?;
        let balance = token::check_balance(&proof, self.token, slot, state_root)?;
        ensure!(
            balance == U256::from(self.sent),
            "the proof shows {balance}, not {}",
            self.sent
        );
        Ok(checked)
    }

    /// Number of the last block that `city` has.
    pub(super) async fn latest(&self, city: &JsonRpc) -> anyhow::Result<u64> {
        let city = city.chain(self.chain_id);
        let latest: U64 = city.ask("eth_blockNumber", json!([])).await?;
        Ok(latest.to())
    }

    /// Checks all blocks up to `number`, which `city` has.
    pub(super) async fn catch_up(&mut self, city: &JsonRpc, number: u64) -> anyhow::Result<()> {
        if number > self.height {
            self.follow(&city.chain(self.chain_id), number).await?;
        }
        Ok(())
    }

    /// Node keys of those who certify the next block, as the blocks checked so far name them.
    pub(super) fn cities(&self) -> Vec<Address> {
        let validators = self.set.validators().iter();
        validators.map(|validator| validator.address).collect()
    }

    /// Checks every block up to `number`, each by the set that the one before names; what is said of the last, and its
    /// state's root.
    async fn follow(&mut self, city: &JsonRpc, number: u64) -> anyhow::Result<(Checked, B256)> {
        ensure!(
            number > self.height,
            "block {number} was checked before, and another was expected"
        );
        let mut last = None;
        while self.height < number {
            let proof = block_proof(city, self.height + 1).await?;
            let proven = proof.verify(&self.domain, &self.set)?;
            ensure!(
                proven.header.parent_hash == self.hash && proven.header.number == self.height + 1,
                "block {} does not follow the one before",
                proven.header.number
            );
            let signers = Certificate::decode(&proof.certificate)?.signatures.len();
            let checked = Checked {
                number: proven.header.number,
                signers,
                cities: self.set.validators().len(),
            };
            if let Some(set) = proof.next_set()? {
                self.set = set;
            }
            ensure!(
                proven.requests.set_hash == self.set.hash(),
                "block {} names cities that it does not show",
                proven.header.number
            );
            self.height = proven.header.number;
            self.hash = proven.hash;
            last = Some((checked, proven.header.state_root));
        }
        last.context("there was no block to check")
    }

    /// Signs and sends a transaction and waits for its receipt.
    async fn send(&mut self, city: &JsonRpc, to: TxKind, input: Bytes) -> anyhow::Result<Receipt> {
        let city = city.chain(self.chain_id);
        if let Some(last) = self.last {
            // What is final in one city is a moment later in another.
            receipt(&city, last).await?;
        }
        let mut call = json!({ "from": self.key.address(), "data": input });
        if let TxKind::Call(to) = to {
            call["to"] = json!(to);
        }
        let gas: U64 = city.ask("eth_estimateGas", json!([call])).await?;
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: gas.to(),
            to,
            input,
            ..TxEip1559::default()
        };
        let signature = self.key.sign_hash_sync(&transaction.signature_hash())?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        let raw = json!([hex::encode_prefixed(signed.encoded_2718())]);
        let hash: B256 = city.ask("eth_sendRawTransaction", raw).await?;
        let receipt = receipt(&city, hash).await?;
        ensure!(!receipt.status.is_zero(), "the transaction {hash} failed");
        self.nonce += 1;
        self.last = Some(hash);
        Ok(receipt)
    }
}

async fn block_proof(city: &JsonRpc, number: u64) -> anyhow::Result<BlockProof> {
    let asked = json!([U64::from(number)]);
    Ok(city.ask("causeway_getBlockProof", asked).await?)
}

/// Waits until a city shows that a transaction is final.
async fn receipt(city: &JsonRpc, hash: B256) -> anyhow::Result<Receipt> {
    let wait = async {
        loop {
            let asked = city.ask("eth_getTransactionReceipt", json!([hash])).await;
            let found: Option<Receipt> = asked?;
            if let Some(receipt) = found {
                return Ok(receipt);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("no receipt of {hash} from {}", city.url()))?
}
