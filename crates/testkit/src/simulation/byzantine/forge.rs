//! Things that no honest city makes.

use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, U256};
use chain::PeerMessage;
use chain::peer::{Certified, Outline};
use consensus::{Message, Vote, VoteKind};
use types::Certificate;

use super::{Byzantine, Parcel, Vice, parcels};
use crate::simulation::random::Random;

/// What a Byzantine city knows of the chain when it makes mischief.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulation) struct Known {
    /// The latest height that it knows of.
    pub(in crate::simulation) height: u64,
    pub(in crate::simulation) round: u32,
}

impl Byzantine {
    /// Something of its own accord.
    pub(in crate::simulation) fn mischief(
        &mut self,
        to: &[usize],
        known: Known,
        random: &mut Random,
    ) -> Vec<Parcel> {
        let Some(&vice) = random.pick(&self.vices) else {
            return Vec::new();
        };
        let all = random.chance(1, 2);
        let one = random
            .pick(to)
            .map(std::slice::from_ref)
            .unwrap_or_default();
        let to = if all { to } else { one };
        match vice {
            Vice::Asking => parcels(to, &asks(known, random)),
            Vice::StaleCertificate => match random.pick(&self.certificates).cloned() {
                Some(certificate) => {
                    let certificate = self.spoil_certificate(&certificate, random);
                    parcels(to, &PeerMessage::Certificate(certificate))
                }
                None => Vec::new(),
            },
            Vice::FlippedRecoveryId => self.flip_others(to, random),
            Vice::Garbage => self.garbage(to, known, random),
            Vice::Waking => {
                let block_hash = if random.chance(1, 2) {
                    B256::ZERO
                } else {
                    random.hash()
                };
                let vote = self.new_vote(known.height + 1, 0, block_hash, random);
                parcels(to, &PeerMessage::Consensus(Message::Vote(vote)))
            }
            Vice::TwoVotes => {
                let (height, hash) = (known.height + 1, random.hash());
                let vote = self.new_vote(height, known.round, hash, random);
                parcels(to, &PeerMessage::Consensus(Message::Vote(vote)))
            }
            // The latest are of heights that are not over.
            Vice::Replay => match self.overheard.iter().rev().nth(random.index(24)).cloned() {
                Some(bytes) => to.iter().map(|to| (*to, bytes.clone())).collect(),
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    pub(super) fn signed(&self, vote: Vote) -> Vote {
        let signature = self.key.sign(vote.digest(&self.domain));
        Vote { signature, ..vote }
    }

    fn new_vote(&self, height: u64, round: u32, block_hash: B256, random: &mut Random) -> Vote {
        let kind = if random.chance(1, 2) {
            VoteKind::Prevote
        } else {
            VoteKind::Precommit
        };
        self.signed(Vote {
            kind,
            height,
            round,
            block_hash,
            validator: self.key.address(),
            signature: types::Signature([0; 65]),
        })
    }

    pub(super) fn spoil_certificate(&self, good: &Certificate, random: &mut Random) -> Certificate {
        let mut certificate = good.clone();
        if self.has(Vice::StaleCertificate) {
            match random.below(5) {
                0 => certificate.height += random.between(1, 3),
                1 => certificate.block_hash = random.hash(),
                2 => certificate.round += 1,
                3 => drop(certificate.signatures.pop()),
                _ => {}
            }
        }
        if self.has(Vice::FlippedRecoveryId)
            && let Some(first) = certificate.signatures.first_mut()
        {
            first.signature.0[64] ^= 27 ^ 28;
        }
        certificate
    }

    /// Another's message with the other recovery id: the same r and s, and another address.
    fn flip_others(&self, to: &[usize], random: &mut Random) -> Vec<Parcel> {
        let heard: Vec<_> = self.overheard.iter().collect();
        let Some(Ok(PeerMessage::Consensus(mut message))) =
            random.pick(&heard).map(|bytes| PeerMessage::decode(bytes))
        else {
            return Vec::new();
        };
        match &mut message {
            Message::Vote(vote) => vote.signature.0[64] ^= 27 ^ 28,
            Message::Proposal(proposal) => proposal.signature.0[64] ^= 27 ^ 28,
            Message::Polka(polka) => {
                for signed in &mut polka.signatures {
                    signed.signature.0[64] ^= 27 ^ 28;
                }
            }
            Message::Round(round) => {
                for signed in &mut round.signatures {
                    signed.signature.0[64] ^= 27 ^ 28;
                }
            }
        }
        parcels(to, &PeerMessage::Consensus(message))
    }

    fn garbage(&self, to: &[usize], known: Known, random: &mut Random) -> Vec<Parcel> {
        let heard: Vec<_> = self.overheard.iter().collect();
        let bytes = match (random.below(4), random.pick(&heard)) {
            (0, Some(heard)) => {
                let mut bytes = (*heard).clone();
                let place = random.index(bytes.len());
                bytes[place] ^= 1 << random.below(8);
                bytes
            }
            (1, Some(heard)) => heard[..random.index(heard.len())].to_vec(),
            (2, _) => {
                let height = (known.height + random.below(5)).saturating_sub(2);
                let round = match random.below(3) {
                    0 => types::vote::MAX_ROUND,
                    1 => known.round + 9,
                    _ => u32::MAX,
                };
                let vote = self.new_vote(height, round, random.hash(), random);
                PeerMessage::Consensus(Message::Vote(vote)).encode()
            }
            _ => random.hash()[..random.index(32)].to_vec(),
        };
        to.iter().map(|to| (*to, bytes.clone())).collect()
    }
}

/// A wish that only the chain's own cities may have.
fn asks(known: Known, random: &mut Random) -> PeerMessage {
    let block_hash = random.hash();
    match random.below(5) {
        0 => PeerMessage::GetBlocks { from: 1 },
        1 => PeerMessage::GetCertificate,
        2 => PeerMessage::GetOutline { block_hash },
        3 => PeerMessage::Tip {
            number: known.height.saturating_sub(1),
            hash: block_hash,
        },
        _ => PeerMessage::GetBlocks { from: known.height },
    }
}

/// The same block, as one of other transactions or requests.
pub(super) fn falsify(outline: &mut Outline, random: &mut Random) {
    match random.below(3) {
        0 => outline.transactions.clear(),
        1 => outline.transactions.push(random.hash()),
        _ => outline.requests.clear(),
    }
}

/// Another block than this one: valid, or not, or of another time.
pub(super) fn twin(outline: &Outline, vice: Vice, random: &mut Random) -> Outline {
    let mut twin = outline.clone();
    let header = &mut twin.header;
    let ms = types::header::time_ms(header).unwrap_or_default();
    let set_ms = |header: &mut alloy_consensus::Header, ms: u64| {
        header.extra_data = types::header::extra_data(ms);
        header.timestamp = ms / 1_000;
    };
    match vice {
        // In the same second everything else stays as it is.
        Vice::TwoProposals => set_ms(header, if ms % 1_000 == 999 { ms - 1 } else { ms + 1 }),
        Vice::Untimely => {
            let by = random.between(2_000, 1_000_000_000);
            set_ms(
                header,
                if random.chance(1, 2) {
                    ms + by
                } else {
                    ms.saturating_sub(by)
                },
            );
        }
        _ => match random.below(14) {
            0 | 10 | 11 => header.beneficiary = Address::repeat_byte(0x99),
            1 => header.gas_used += 1,
            2 => header.state_root = random.hash(),
            3 => header.requests_hash = Some(random.hash()),
            4 => header.parent_beacon_block_root = Some(random.hash()),
            5 => header.parent_hash = random.hash(),
            6 | 12 | 13 => {
                // As an honest proposer of another set would say it.
                let mut requests = twin.requests.clone();
                requests.truncate(1);
                let mut next = vec![0xc1];
                next.extend(random.hash());
                next.extend(random.hash());
                next.extend(header.number.saturating_add(1).to_be_bytes());
                requests.push(next.into());
                header.requests_hash = Some(Requests::new(requests.clone()).requests_hash());
                twin.requests = requests;
            }
            7 => header.base_fee_per_gas = Some(7),
            8 => header.difficulty = U256::from(1),
            _ => header.gas_limit += 1,
        },
    }
    twin
}

/// Blocks as they were asked for, with one thing wrong.
pub(super) fn spoil_blocks(blocks: &[Certified], random: &mut Random) -> Vec<Certified> {
    let mut blocks = blocks.to_vec();
    let place = random.index(blocks.len().max(1));
    match random.below(6) {
        0 => blocks.reverse(),
        1 => drop(blocks.drain(..place)),
        2 | 3 => {
            if let Some(block) = blocks.get_mut(place) {
                // Another millisecond: as good a block, and not the one that was agreed on.
                let header = &mut block.block.header;
                let ms = types::header::time_ms(header).unwrap_or_default();
                header.extra_data = types::header::extra_data(ms ^ 1);
            }
        }
        4 => {
            if let [first, .., last] = blocks.as_mut_slice() {
                std::mem::swap(&mut first.certificate, &mut last.certificate);
            }
        }
        _ => {}
    }
    blocks
}
