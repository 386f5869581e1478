//! An account as the trie and the flat rows hold it.

use alloy_primitives::{B256, KECCAK256_EMPTY, U256, b256};

use crate::{Info, StateError};

/// Root of a trie without leaves: keccak256(RLP "").
pub const EMPTY_ROOT: B256 =
    b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");

/// Keccak-256 of no code.
pub const EMPTY_CODE_HASH: B256 = KECCAK256_EMPTY;

/// Version of the flat row; other first bytes are refused.
const VERSION: u8 = 1;

/// An account: what the yellow paper calls its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent, or contracts made.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    /// Keccak-256 of the code.
    pub code_hash: B256,
    /// Root of the account's storage trie.
    pub storage_root: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self::new(Info::default(), EMPTY_ROOT)
    }
}

impl Account {
    pub(crate) const fn new(info: Info, storage_root: B256) -> Self {
        let Info {
            nonce,
            balance,
            code_hash,
        } = info;
        Self {
            nonce,
            balance,
            code_hash,
            storage_root,
        }
    }

    /// The flat row: version, lengths of nonce and balance, a bit each for code and storage, then what is there.
    pub(crate) fn to_row(self) -> Vec<u8> {
        let nonce = self.nonce.to_be_bytes();
        let nonce = trimmed(&nonce);
        let balance = self.balance.to_be_bytes::<32>();
        let balance = trimmed(&balance);
        let (code, storage) = (
            self.code_hash != EMPTY_CODE_HASH,
            self.storage_root != EMPTY_ROOT,
        );
        let mut row = Vec::with_capacity(4 + nonce.len() + balance.len() + 64);
        row.push(VERSION);
        row.push(u8::from(code) | u8::from(storage) << 1);
        row.extend([byte(nonce.len()), byte(balance.len())]);
        row.extend_from_slice(nonce);
        row.extend_from_slice(balance);
        if code {
            row.extend_from_slice(self.code_hash.as_slice());
        }
        if storage {
            row.extend_from_slice(self.storage_root.as_slice());
        }
        row
    }

    /// Reads what [`Account::to_row`] wrote.
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, StateError> {
        Self::read(row).ok_or(StateError::Damaged {
            what: "an account's row has a form that nothing writes",
        })
    }

    fn read(row: &[u8]) -> Option<Self> {
        let (&[VERSION, flags @ 0..=3, nonce_length, balance_length], rest) =
            row.split_first_chunk()?
        else {
            return None;
        };
        let (nonce, rest) = rest.split_at_checked(nonce_length.into())?;
        let (balance, mut rest) = rest.split_at_checked(balance_length.into())?;
        if nonce.len() > 8 || balance.len() > 32 {
            return None;
        }
        let mut hash = |there: bool, otherwise| {
            if !there {
                return Some(otherwise);
            }
            let (hash, after) = rest.split_first_chunk::<32>()?;
            rest = after;
            Some(B256::from(hash))
        };
        let code_hash = hash(flags & 1 != 0, EMPTY_CODE_HASH)?;
        let storage_root = hash(flags & 2 != 0, EMPTY_ROOT)?;
        let nonce = nonce
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let balance = U256::from_be_slice(balance);
        rest.is_empty().then_some(Self {
            nonce,
            balance,
            code_hash,
            storage_root,
        })
    }

    /// The value of the account trie's leaf: RLP `[nonce, balance, storage root, code hash]`.
    pub(crate) fn encode_leaf(&self, out: &mut Vec<u8>) {
        let nonce = self.nonce.to_be_bytes();
        let balance = self.balance.to_be_bytes::<32>();
        let mut head = [0_u8; 2];
        let start = out.len();
        // At most 9 + 33 + 33 + 33 bytes, and never fewer than 56: a list header of two bytes.
        out.extend_from_slice(&head);
        encode_bytes(trimmed(&nonce), out);
        encode_bytes(trimmed(&balance), out);
        encode_bytes(self.storage_root.as_slice(), out);
        encode_bytes(self.code_hash.as_slice(), out);
        head = [0xf8, byte(out.len() - start - 2)];
        out[start..start + 2].copy_from_slice(&head);
    }
}

/// The value of a storage trie's leaf: RLP of the number.
pub(crate) fn encode_slot_leaf(value: U256, out: &mut Vec<u8>) {
    encode_bytes(trimmed(&value.to_be_bytes::<32>()), out);
}

/// The flat row of a slot: the number without leading zeros.
pub(crate) fn slot_row(value: U256) -> Vec<u8> {
    trimmed(&value.to_be_bytes::<32>()).to_vec()
}

/// Reads what [`slot_row`] wrote.
pub(crate) fn slot_from_row(row: &[u8]) -> Result<U256, StateError> {
    U256::try_from_be_slice(row).ok_or(StateError::Damaged {
        what: "a slot's row is longer than 32 bytes",
    })
}

/// RLP of a string of at most 55 bytes.
pub(crate) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    if let [byte @ 0..=0x7f] = bytes {
        out.push(*byte);
    } else {
        out.push(0x80 + byte(bytes.len()));
        out.extend_from_slice(bytes);
    }
}

/// A length that has to fit a byte.
pub(crate) fn byte(length: usize) -> u8 {
    u8::try_from(length).expect("what is written with a length of one byte is shorter than 256")
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
