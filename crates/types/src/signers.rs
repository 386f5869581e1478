//! Signers that a thread remembers, for one that meets every signature many times.
//!
//! Several cities in one thread, as in a simulation, each recover the signers of the same votes and transactions. A thread
//! that asked for it ([`remember_signers`]) does that once; every other recovers each time. Nothing else changes: a signer
//! follows from digest and signature alone.

use std::cell::RefCell;
use std::collections::HashMap;

use alloy_primitives::{Address, B256};

use crate::Signature;

thread_local! {
    static REMEMBERED: RefCell<Option<Signers>> = const { RefCell::new(None) };
}

struct Signers {
    most: usize,
    of: HashMap<(B256, Signature), Address>,
}

/// From now on this thread keeps whom signatures recover to: `most` of them, about 200 bytes each, and then anew from none.
pub fn remember_signers(most: usize) {
    let of = HashMap::new();
    REMEMBERED.set(Some(Signers { most, of }));
}

/// Who signed `digest`: as `recover` says, which is not asked if this thread remembers.
///
/// # Errors
///
/// Those of `recover`, which are not remembered.
pub fn remembered<E>(
    digest: B256,
    signature: Signature,
    recover: impl FnOnce() -> Result<Address, E>,
) -> Result<Address, E> {
    let key = (digest, signature);
    let known = REMEMBERED.with_borrow(|signers| Some(signers.as_ref()?.of.get(&key).copied()));
    let Some(known) = known else {
        return recover();
    };
    if let Some(signer) = known {
        return Ok(signer);
    }
    let signer = recover()?;
    REMEMBERED.with_borrow_mut(|signers| {
        if let Some(Signers { most, of }) = signers {
            if of.len() >= *most {
                of.clear();
            }
            of.insert(key, signer);
        }
    });
    Ok(signer)
}

#[cfg(test)]
mod tests {
    use super::{remember_signers, remembered};
    use crate::{NodeKey, SignatureError, recover};
    use alloy_primitives::{Address, B256};

    #[test]
    fn only_a_thread_that_asked_remembers_and_never_more_than_it_may() {
        let key = NodeKey::from_bytes(&[7; 32]).expect("a key");
        let digest = B256::repeat_byte(1);
        let signature = key.sign(digest);
        let wrong = || Ok::<_, SignatureError>(Address::ZERO);
        assert_eq!(recover(digest, &signature), Ok(key.address()));
        assert_eq!(remembered(digest, signature, wrong), Ok(Address::ZERO));
        remember_signers(2);
        assert_eq!(recover(digest, &signature), Ok(key.address()));
        assert_eq!(remembered(digest, signature, wrong), Ok(key.address()));
        // Another digest or another signature is another question.
        let mut flipped = signature;
        flipped.0[64] ^= 27 ^ 28;
        assert_ne!(recover(digest, &flipped), Ok(key.address()));
        let other = B256::repeat_byte(2);
        assert_ne!(recover(other, &signature), Ok(key.address()));
        // The third made room by forgetting the first two.
        assert_eq!(remembered(digest, signature, wrong), Ok(Address::ZERO));
    }
}
