//! `causeway demo`: the main job, shown from outside, over HTTP like any client.
//!
//! ```text
//!  start a chain ▸ deploy a token ▸ transfer ▸ read it back with a proof ▸ check certificate and proof
//! ```

mod client;
mod token;

use std::net::{Ipv4Addr, SocketAddr};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};
use types::{BlockProof, Domain, ValidatorSet};

use crate::city::{City, Plan};
use crate::dev::Ended;
use crate::terminal::{self, Steps};
use client::Client;

/// Starts a chain, deploys a token from an account that owns nothing, transfers it, and checks what the chain answers
/// by its proofs. Then it stays up.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// End when everything was shown.
    #[arg(long)]
    exit: bool,
    /// Port for HTTP and WebSocket; 0 takes a free one.
    #[arg(long, default_value_t = 8545)]
    port: u16,
}

/// Tokens made, in the token's smallest unit.
const SUPPLY: u64 = 1_000_000;
/// Tokens sent.
const SENT: u64 = 2_500;

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let end = Ended::listen()?;
    let mut steps = Steps::new(5);
    let city = steps.step("start a chain", start(options.port)).await?;
    let token = match show(&city, &mut steps).await {
        Ok(token) => token,
        Err(error) => {
            city.stop().await;
            return Err(error);
        }
    };
    terminal::result(&format!(
        "HTTP       {}\nWebSocket  {}\nChain id   {}\nToken      {token}",
        city.rpc_url(),
        city.ws_url(),
        city.host.genesis().record.chain_id
    ))?;
    if !options.exit {
        terminal::say("\nThe chain stays up: try it with your own tools. Ctrl-C ends it.");
        end.wait().await;
    }
    city.stop().await;
    Ok(())
}

async fn start(port: u16) -> anyhow::Result<(City, String)> {
    let city = City::start(Plan {
        listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        data: None,
        chain_id: None,
        block_interval_ms: 0,
        cors: Vec::new(),
        hosts: Vec::new(),
        metrics: None,
    })
    .await?;
    let note = format!("serving at {}", city.rpc_url());
    Ok((city, note))
}

/// Everything after the start; the token's address.
async fn show(city: &City, steps: &mut Steps) -> anyhow::Result<Address> {
    let chain_id = city.host.genesis().record.chain_id;
    let domain = Domain::new(chain_id, city.host.genesis().network_id);
    let validators = city.host.genesis().validators.clone();
    let mut client = Client::connect(city.server.local_addr()).await?;
    // An account that nobody funded: gas is free.
    let sender = Sender {
        key: PrivateKeySigner::random(),
        chain_id: chain_id.get(),
    };
    let friend = Address::repeat_byte(0x42);

    let deployed = steps
        .step(
            "deploy a token from an account that owns nothing",
            deploy(&mut client, &sender),
        )
        .await?;
    let block = steps
        .step("transfer", transfer(&mut client, &sender, deployed, friend))
        .await?;
    let (state_root, number) = steps
        .step(
            "check the block's certificate",
            certified(&mut client, &domain, &validators, &block),
        )
        .await?;
    let work = proven(&mut client, deployed, friend, number, state_root);
    steps.step("check the balance by its proof", work).await?;
    Ok(deployed)
}

/// Who signs.
#[derive(Debug)]
struct Sender {
    key: PrivateKeySigner,
    chain_id: u64,
}

impl Sender {
    /// Signs and sends a transaction and waits for its receipt.
    async fn send(
        &self,
        client: &mut Client,
        nonce: u64,
        to: TxKind,
        input: Bytes,
    ) -> anyhow::Result<Value> {
        let mut call = json!({ "from": self.key.address(), "data": input });
        if let TxKind::Call(to) = to {
            call["to"] = json!(to);
        }
        let gas: U256 = client.ask("eth_estimateGas", json!([call])).await?;
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: gas.try_into().context("an estimate above 64 bits")?,
            to,
            input,
            ..TxEip1559::default()
        };
        let signature = self.key.sign_hash_sync(&transaction.signature_hash())?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        let hash: B256 = client
            .ask(
                "eth_sendRawTransaction",
                json!([hex::encode_prefixed(signed.encoded_2718())]),
            )
            .await?;
        let receipt = client.receipt(hash).await?;
        ensure!(
            receipt["status"] == "0x1",
            "the transaction failed: {receipt}"
        );
        Ok(receipt)
    }
}

async fn deploy(client: &mut Client, sender: &Sender) -> anyhow::Result<(Address, String)> {
    let receipt = sender
        .send(
            client,
            0,
            TxKind::Create,
            token::creation(U256::from(SUPPLY))?,
        )
        .await?;
    let address: Address = serde_json::from_value(receipt["contractAddress"].clone())?;
    Ok((
        address,
        format!("{address}, final in block {}", number_of(&receipt)?),
    ))
}

async fn transfer(
    client: &mut Client,
    sender: &Sender,
    token: Address,
    friend: Address,
) -> anyhow::Result<(Value, String)> {
    let input = token::transfer(friend, U256::from(SENT));
    let receipt = sender.send(client, 1, TxKind::Call(token), input).await?;
    let note = format!(
        "{SENT} to {friend}, final in block {}",
        number_of(&receipt)?
    );
    Ok((receipt, note))
}

async fn certified(
    client: &mut Client,
    domain: &Domain,
    validators: &ValidatorSet,
    receipt: &Value,
) -> anyhow::Result<((B256, u64), String)> {
    let number = number_of(receipt)?;
    let proof: BlockProof = client
        .ask("causeway_getBlockProof", json!([receipt["blockNumber"]]))
        .await?;
    let proven = proof.verify(domain, validators)?;
    ensure!(
        json!(proven.hash) == receipt["blockHash"],
        "the certificate is for another block"
    );
    let total = validators.validators().len();
    let note = format!(
        "signed by more than two thirds of {total} validator: block {number} is {}",
        proven.hash
    );
    Ok(((proven.header.state_root, number), note))
}

async fn proven(
    client: &mut Client,
    token: Address,
    friend: Address,
    number: u64,
    state_root: B256,
) -> anyhow::Result<((), String)> {
    let slot = token::balance_slot(friend);
    let proof: Value = client
        .ask(
            "eth_getProof",
            json!([token, [slot], format!("{number:#x}")]),
        )
        .await?;
    let balance = token::check_balance(&proof, token, slot, state_root)?;
    ensure!(
        balance == U256::from(SENT),
        "the proof shows {balance}, not {SENT}"
    );
    Ok((
        (),
        format!("{balance}, proven from the certified state root to the token's storage"),
    ))
}

fn number_of(receipt: &Value) -> anyhow::Result<u64> {
    let number: U256 = serde_json::from_value(receipt["blockNumber"].clone())?;
    number.try_into().context("a block number above 64 bits")
}
