//! Signed transfers, made before anything is measured.
//!
//! The program and anvil fund the same accounts of the same public mnemonic on the same chain id, so one load serves both.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Signature, TxKind, U256, b256, hex, keccak256};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

/// Chain id of both programs.
pub(crate) const CHAIN_ID: u64 = 31_337;

/// Keys of the first accounts of the mnemonic "test test test test test test test test test test test junk", which every
/// development tool funds and everybody knows.
pub(crate) const KEYS: [B256; 8] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
];

/// Accounts that are sent to: enough that no block touches but a few.
const RECIPIENTS: u64 = 1_000;

/// What one account sends, in the order of its nonces from zero.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) address: Address,
    /// `eth_sendRawTransaction` requests, each numbered by its nonce.
    pub(crate) requests: Vec<String>,
    /// The same transactions alone, in hex.
    pub(crate) raw: Vec<String>,
}

impl Sender {
    pub(crate) fn new(address: Address, raw: Vec<String>) -> Self {
        let requests = raw
            .iter()
            .zip(0_u64..)
            .map(|(raw, nonce)| {
                format!(r#"{{"jsonrpc":"2.0","id":{nonce},"method":"eth_sendRawTransaction","params":["{raw}"]}}"#)
            })
            .collect();
        Self {
            address,
            requests,
            raw,
        }
    }
}

/// `count` transfers from each of eight accounts, signed by two threads.
pub(crate) fn sign(count: u64) -> Vec<Sender> {
    std::thread::scope(|scope| {
        let halves: Vec<_> = KEYS
            .chunks(KEYS.len() / 2)
            .map(|keys| {
                scope.spawn(move || {
                    keys.iter()
                        .map(|key| sender(key, count))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        halves
            .into_iter()
            .flat_map(|half| half.join().expect("signing does not panic"))
            .collect()
    })
}

fn sender(key: &B256, count: u64) -> Sender {
    let secret = SecretKey::from_byte_array(key.0).expect("a constant that is a key");
    let public = PublicKey::from_secret_key(SECP256K1, &secret).serialize_uncompressed();
    let raw: Vec<String> = (0..count)
        .map(|nonce| hex::encode_prefixed(transfer(&secret, nonce)))
        .collect();
    Sender::new(Address::from_slice(&keccak256(&public[1..])[12..]), raw)
}

/// One wei, with fees that anvil takes at any load: it begins at 1 gwei.
fn transfer(secret: &SecretKey, nonce: u64) -> Vec<u8> {
    let to = keccak256((nonce % RECIPIENTS).to_be_bytes());
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 0,
        to: TxKind::Call(Address::from_slice(&to[12..])),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    let message = Message::from_digest(transaction.signature_hash().0);
    let (parity, bytes) = SECP256K1
        .sign_ecdsa_recoverable(message, secret)
        .serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(parity) == 1);
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
}
