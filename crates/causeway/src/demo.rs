//! `causeway demo`: the main job, shown from outside, over HTTP like any client.
//!
//! ```text
//!  start four cities ▸ deploy a token through one ▸ transfer through another ▸ check certificate and proof from a third
//!  ▸ stop one city ▸ go on
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

use crate::city::City;
use crate::dev::Ended;
use crate::development::{Development, Plan};
use crate::terminal::{self, Steps};
use client::Client;

/// Starts a chain of four cities, deploys a token through one of them from an account that owns nothing, transfers it
/// through another, checks what a third answers by its proofs, stops one, and goes on. Then it stays up.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// End when everything was shown.
    #[arg(long)]
    exit: bool,
    /// Port for HTTP and WebSocket of the first city, the others at the ports after it; 0 takes free ones.
    #[arg(long, default_value_t = 8545)]
    port: u16,
}

/// Cities: the fewest of which one may fail.
const CITIES: usize = 4;

/// Tokens made, in the token's smallest unit.
const SUPPLY: u64 = 1_000_000;
/// Tokens sent.
const SENT: u64 = 2_500;

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let end = Ended::listen()?;
    let mut steps = Steps::new(7);
    let mut chain = steps.step("start four cities", start(options.port)).await?;
    let token = match show(&mut chain, &mut steps).await {
        Ok(token) => token,
        Err(error) => {
            chain.stop().await;
            return Err(error);
        }
    };
    let urls: Vec<String> = chain.cities.iter().map(City::rpc_url).collect();
    terminal::result(&format!(
        "HTTP       {}\nWebSocket  {}\nChain id   {}\nToken      {token}",
        urls.join(" "),
        chain.cities[0].ws_url(),
        chain.genesis().record.chain_id
    ))?;
    if !options.exit {
        terminal::say(
            "\nThe chain stays up with three of its four cities: try it with your own tools. Ctrl-C ends it.",
        );
        end.wait().await;
    }
    chain.stop().await;
    Ok(())
}

async fn start(port: u16) -> anyhow::Result<(Development, String)> {
    let chain = Development::start(Plan {
        listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        data: None,
        cities: Some(CITIES),
        chain_id: None,
        block_interval_ms: 0,
        cors: Vec::new(),
        hosts: Vec::new(),
        hub: false,
        metrics: None,
    })
    .await?;
    let urls: Vec<String> = chain.cities.iter().map(City::rpc_url).collect();
    let note = format!("serving at {}", urls.join(" "));
    Ok((chain, note))
}

/// A client of one city.
async fn client(chain: &Development, city: usize) -> anyhow::Result<Client> {
    let address = chain.cities[city].address();
    Client::connect(address.context("the city serves no RPC")?).await
}

/// Everything after the start; the token's address.
async fn show(chain: &mut Development, steps: &mut Steps) -> anyhow::Result<Address> {
    let chain_id = chain.genesis().record.chain_id;
    let domain = Domain::new(chain_id, chain.genesis().network_id);
    let validators = chain.genesis().validators.clone();
    // An account that nobody funded: gas is free.
    let sender = Sender {
        key: PrivateKeySigner::random(),
        chain_id: chain_id.get(),
    };
    let friend = Address::repeat_byte(0x42);

    let mut first = client(chain, 0).await?;
    let receipt = steps
        .step(
            "deploy a token through city 1, from an account that owns nothing",
            deploy(&mut first, &sender),
        )
        .await?;
    let deployed = token_of(&receipt)?;
    let mut second = client(chain, 1).await?;
    wait_for(&mut second, &receipt).await?;
    let work = transfer(&mut second, &sender, 1, deployed, friend);
    let block = steps.step("transfer through city 2", work).await?;
    let mut third = client(chain, 2).await?;
    let (state_root, number) = steps
        .step(
            "check the block's certificate, from city 3",
            certified(&mut third, &domain, &validators, &block),
        )
        .await?;
    let sent = U256::from(SENT);
    let work = proven(&mut third, deployed, friend, number, state_root, sent);
    steps
        .step("check the balance by its proof, from city 3", work)
        .await?;

    steps
        .step("stop city 4", async {
            chain.stop_city(3).await;
            Ok(((), String::from("three of four are left")))
        })
        .await?;
    let work = go_on(&mut first, &mut third, &sender, deployed, friend);
    let (block, state_root) = steps.step("transfer again through city 1", work).await?;
    let balance = proven(&mut third, deployed, friend, block, state_root, sent + sent);
    balance.await?;
    Ok(deployed)
}

/// One more transfer, read back from another city with its certificate.
async fn go_on(
    writer: &mut Client,
    reader: &mut Client,
    sender: &Sender,
    token: Address,
    friend: Address,
) -> anyhow::Result<((u64, B256), String)> {
    let (receipt, _note) = transfer(writer, sender, 2, token, friend).await?;
    let number = number_of(&receipt)?;
    let proof = block_proof(reader, &receipt).await?;
    let note = format!("final in block {number}, without city 4");
    Ok(((number, proof.read()?.header.state_root), note))
}

/// Waits until a city has a transaction that is final in another: that may be a moment later.
async fn wait_for(client: &mut Client, receipt: &Value) -> anyhow::Result<()> {
    let hash = serde_json::from_value(receipt["transactionHash"].clone())?;
    client.receipt(hash).await?;
    Ok(())
}

/// The proof of the receipt's block.
async fn block_proof(client: &mut Client, receipt: &Value) -> anyhow::Result<BlockProof> {
    wait_for(client, receipt).await?;
    client
        .ask("causeway_getBlockProof", json!([receipt["blockNumber"]]))
        .await
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

async fn deploy(client: &mut Client, sender: &Sender) -> anyhow::Result<(Value, String)> {
    let receipt = sender
        .send(
            client,
            0,
            TxKind::Create,
            token::creation(U256::from(SUPPLY))?,
        )
        .await?;
    let note = format!(
        "{}, final in block {}",
        token_of(&receipt)?,
        number_of(&receipt)?
    );
    Ok((receipt, note))
}

async fn transfer(
    client: &mut Client,
    sender: &Sender,
    nonce: u64,
    token: Address,
    friend: Address,
) -> anyhow::Result<(Value, String)> {
    let input = token::transfer(friend, U256::from(SENT));
    let receipt = sender
        .send(client, nonce, TxKind::Call(token), input)
        .await?;
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
    let proof = block_proof(client, receipt).await?;
    let signers = types::Certificate::decode(&proof.certificate)?
        .signatures
        .len();
    let proven = proof.verify(domain, validators)?;
    ensure!(
        json!(proven.hash) == receipt["blockHash"],
        "the certificate is for another block"
    );
    let total = validators.validators().len();
    let note = format!(
        "signed by {signers} of {total} cities: block {number} is {}",
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
    expected: U256,
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
        balance == expected,
        "the proof shows {balance}, not {expected}"
    );
    Ok((
        (),
        format!("{balance}, proven from the certified state root to the token's storage"),
    ))
}

fn token_of(receipt: &Value) -> anyhow::Result<Address> {
    Ok(serde_json::from_value(receipt["contractAddress"].clone())?)
}

fn number_of(receipt: &Value) -> anyhow::Result<u64> {
    let number: U256 = serde_json::from_value(receipt["blockNumber"].clone())?;
    number.try_into().context("a block number above 64 bits")
}
