//! ERC-20 transfers of the repository's own token. On chains whose gas is free, and on anvil at a base fee of zero, they
//! come from accounts that own nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use serde_json::{Value, json};

use crate::Failed;
use crate::client::{Client, ClientError};
use crate::load::{KEYS, Sender};
use crate::program::MAX_START;

/// Accounts that are sent to.
const RECIPIENTS: u64 = 1_000;
/// Of a transfer: more than one to a new owner takes.
const TRANSFER_GAS: u64 = 60_000;
/// Of the deployment.
const DEPLOY_GAS: u64 = 2_000_000;

/// Of a unit of gas, on a chain where it has a price: more than that rises to.
const FEE: u128 = 10_000_000_000;
/// What an owner gets for fees.
const COINS: u64 = 1_000_000_000_000_000_000;

/// Whether gas has a price.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fees {
    /// None: the owners need nothing.
    Free,
    /// That of EIP-1559: the deployer is an account that every development chain funds, and funds the owners.
    Burnt,
}

/// One account, made from its number, and what it sends next.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    secret: SecretKey,
    address: Address,
    chain_id: u64,
    nonce: u64,
    /// At most, of a unit of gas.
    fee: u128,
    token: Address,
}

/// Owners of a token that has yet to be deployed.
#[derive(Debug)]
pub(crate) struct Token {
    /// Transactions that deploy it and give each owner some, in order, and who sends them.
    setup: Vec<String>,
    deployer: Address,
    pub(crate) owners: Vec<Owner>,
}

impl Token {
    pub(crate) fn new(
        repository: &Path,
        chain_id: u64,
        owners: u64,
        fees: Fees,
    ) -> Result<Self, Failed> {
        let path = repository.join("contracts/artifacts/Token.json");
        let artifact = std::fs::read(&path).map_err(|source| Failed::File {
            path: path.clone(),
            source,
        })?;
        let artifact: Value =
            serde_json::from_slice(&artifact).map_err(|source| Failed::Report { path, source })?;
        let code = artifact["bytecode"].as_str().unwrap_or_default();
        let mut code = hex::decode(code).map_err(|_| Failed::Missing {
            what: "the token's code".into(),
            hint: "contracts/build.mjs makes it",
        })?;
        for word in [96_u64, 160, u64::MAX, 4, 0, 3, 0] {
            code.extend(U256::from(word).to_be_bytes::<32>());
        }
        let end = code.len();
        code[end - 96..end - 92].copy_from_slice(b"Coin");
        code[end - 32..end - 29].copy_from_slice(b"CWY");

        let deployer = match fees {
            Fees::Free => Owner::of(0, chain_id),
            Fees::Burnt => Owner::new(KEYS[0], chain_id),
        };
        let fee = match fees {
            Fees::Free => 0,
            Fees::Burnt => FEE,
        };
        let token = deployer.address.create(0);
        let mut deployer = Owner { fee, ..deployer };
        let owners: Vec<_> = (1..=owners)
            .map(|number| Owner {
                token,
                fee,
                ..Owner::of(number, chain_id)
            })
            .collect();
        deployer.token = token;
        let mut setup = vec![deployer.sign(TxKind::Create, code.into(), DEPLOY_GAS, 0)];
        for owner in &owners {
            setup.push(deployer.transfer(owner.address, 1 << 40));
        }
        if fees == Fees::Burnt {
            for owner in &owners {
                let to = TxKind::Call(owner.address);
                setup.push(deployer.sign(to, Bytes::new(), TRANSFER_GAS, COINS));
            }
        }
        Ok(Self {
            setup,
            deployer: deployer.address,
            owners,
        })
    }

    /// Deploys it through the first of `servers` and waits until all of them have it and the owners' tokens.
    pub(crate) fn deploy(&self, servers: &[SocketAddr]) -> Result<(), Failed> {
        let mut first = Client::connect(servers[0])?;
        // The deployment alone in its block: nobody estimates.
        for part in [&self.setup[..1], &self.setup[1..]] {
            for raw in part {
                first.call("eth_sendRawTransaction", &json!([raw]))?;
            }
            let sent = if part.len() == 1 {
                1
            } else {
                self.setup.len() as u64
            };
            for server in servers {
                self.wait(*server, sent)?;
            }
        }
        Ok(())
    }

    fn wait(&self, server: SocketAddr, sent: u64) -> Result<(), Failed> {
        let mut client = Client::connect(server)?;
        let start = Instant::now();
        while start.elapsed() < MAX_START {
            let count =
                client.call("eth_getTransactionCount", &json!([self.deployer, "latest"]))?;
            if quantity(&count) == Some(sent) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Err(Failed::Unconfirmed {
            confirmed: 0,
            accepted: sent,
        })
    }
}

impl Owner {
    fn of(number: u64, chain_id: u64) -> Self {
        let seed = keccak256([&b"causeway bench "[..], &number.to_be_bytes()].concat());
        Self::new(seed, chain_id)
    }

    fn new(key: B256, chain_id: u64) -> Self {
        let secret =
            SecretKey::from_byte_array(key.0).expect("a hash is a key but for one in 2^128");
        let public = PublicKey::from_secret_key(SECP256K1, &secret).serialize_uncompressed();
        Self {
            address: Address::from_slice(&keccak256(&public[1..])[12..]),
            secret,
            chain_id,
            nonce: 0,
            fee: 0,
            token: Address::ZERO,
        }
    }

    /// Its next transfer, signed, in hex: one unit to one of the recipients.
    pub(crate) fn next(&mut self) -> String {
        let seed =
            keccak256(((self.nonce + u64::from(self.address[0])) % RECIPIENTS).to_be_bytes());
        self.transfer(Address::from_slice(&seed[12..]), 1)
    }

    fn transfer(&mut self, to: Address, value: u64) -> String {
        let mut input = vec![0xa9, 0x05, 0x9c, 0xbb];
        input.extend(to.into_word());
        input.extend(U256::from(value).to_be_bytes::<32>());
        self.sign(TxKind::Call(self.token), input.into(), TRANSFER_GAS, 0)
    }

    fn sign(&mut self, to: TxKind, input: Bytes, gas_limit: u64, value: u64) -> String {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit,
            max_fee_per_gas: self.fee,
            value: U256::from(value),
            to,
            input,
            ..TxEip1559::default()
        };
        self.nonce += 1;
        let message = Message::from_digest(transaction.signature_hash().0);
        let (parity, bytes) = SECP256K1
            .sign_ecdsa_recoverable(message, &self.secret)
            .serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(parity) == 1);
        hex::encode_prefixed(TxEnvelope::from(transaction.into_signed(signature)).encoded_2718())
    }
}

/// `count` transfers from each owner, signed by two threads.
pub(crate) fn sign(owners: &[Owner], count: u64) -> Vec<Sender> {
    std::thread::scope(|scope| {
        let halves: Vec<_> = owners
            .chunks(owners.len().div_ceil(2))
            .map(|owners| {
                scope.spawn(move || {
                    let sender = |owner: &Owner| {
                        let mut owner = owner.clone();
                        let raw = (0..count).map(|_| owner.next()).collect();
                        Sender::new(owner.address, raw)
                    };
                    owners.iter().map(sender).collect::<Vec<_>>()
                })
            })
            .collect();
        halves
            .into_iter()
            .flat_map(|half| half.join().expect("signing does not panic"))
            .collect()
    })
}

/// A number as Ethereum's JSON-RPC writes it.
pub(crate) fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// The number of the newest block.
pub(crate) fn height(server: SocketAddr) -> Result<u64, ClientError> {
    let number = Client::connect(server)?.call("eth_blockNumber", &json!([]))?;
    Ok(quantity(&number).unwrap_or(0))
}

/// The hash of a transaction in hex.
pub(crate) fn hash(raw: &str) -> String {
    keccak256(hex::decode(raw).unwrap_or_default()).to_string()
}
