//! What a Byzantine city does: it runs a real engine, and says something else than what that wants said.
//!
//! ```text
//!  engine ──wants sent──▶ Byzantine ──▶ this to some, that to others, nothing, nonsense
//!     ▲                       │ ▲
//!     └──────what it hears────┘ └── mischief: now and then, of its own accord
//! ```

mod forge;

pub(super) use forge::Known;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use alloy_primitives::B256;
use chain::PeerMessage;
use chain::peer::Outline;
use consensus::{Message, Proposal, Vote};
use types::{Certificate, Domain, NodeKey};

use super::random::Random;

/// One kind of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Vice {
    /// Proposes two blocks at once, one to some, the other to the rest, or both to all.
    TwoProposals,
    /// Votes for something else as well.
    TwoVotes,
    /// Says nothing.
    Silence,
    /// Says nothing to some.
    Favour,
    /// Proposes a block that breaks a rule.
    InvalidBlock,
    /// Proposes a block of another time.
    Untimely,
    /// Names a block and does not show it.
    WithheldBody,
    /// Shows a block as one of other transactions.
    FalseOutline,
    /// Shows certificates of other heights, and tips that are not there.
    StaleCertificate,
    /// Signs with the other recovery id, and flips that of others.
    FlippedRecoveryId,
    /// Sends bytes, and messages that make no sense.
    Garbage,
    /// Begins heights for nothing.
    Waking,
    /// Sends again what others said.
    Replay,
    /// Asks for what it has.
    Asking,
}

impl Vice {
    pub(super) const ALL: &'static [Self] = &[
        Self::TwoProposals,
        Self::TwoVotes,
        Self::Silence,
        Self::Favour,
        Self::InvalidBlock,
        Self::Untimely,
        Self::WithheldBody,
        Self::FalseOutline,
        Self::StaleCertificate,
        Self::FlippedRecoveryId,
        Self::Garbage,
        Self::Waking,
        Self::Replay,
        Self::Asking,
    ];

    /// For the figures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TwoProposals => "Byzantine: two proposals",
            Self::TwoVotes => "Byzantine: two votes",
            Self::Silence => "Byzantine: silence",
            Self::Favour => "Byzantine: silence to some",
            Self::InvalidBlock => "Byzantine: invalid block",
            Self::Untimely => "Byzantine: untimely block",
            Self::WithheldBody => "Byzantine: withheld body",
            Self::FalseOutline => "Byzantine: false outline",
            Self::StaleCertificate => "Byzantine: stale certificate",
            Self::FlippedRecoveryId => "Byzantine: flipped recovery id",
            Self::Garbage => "Byzantine: garbage",
            Self::Waking => "Byzantine: waking",
            Self::Replay => "Byzantine: replay",
            Self::Asking => "Byzantine: asking",
        }
    }
}

/// Most messages that are remembered to be sent again.
const OVERHEARD: usize = 64;

/// A Byzantine city's other half.
#[derive(Debug)]
pub(super) struct Byzantine {
    key: Arc<NodeKey>,
    domain: Domain,
    pub(super) vices: Vec<Vice>,
    /// An own proposal whose outline has not been seen.
    held: Option<Proposal>,
    /// Blocks that the engine did not make, by hash, with the one they were made of.
    twins: BTreeMap<B256, (B256, Outline)>,
    /// Who was promised the bodies of which twin.
    promised: BTreeMap<usize, (B256, B256)>,
    overheard: VecDeque<Vec<u8>>,
    certificates: Vec<Certificate>,
    /// Who is out of favour.
    shunned: u64,
}

/// A message for one city.
pub(super) type Parcel = (usize, Vec<u8>);

impl Byzantine {
    pub(super) fn new(
        key: Arc<NodeKey>,
        domain: Domain,
        vices: Vec<Vice>,
        random: &mut Random,
    ) -> Self {
        Self {
            key,
            domain,
            vices,
            held: None,
            twins: BTreeMap::new(),
            promised: BTreeMap::new(),
            overheard: VecDeque::new(),
            certificates: Vec::new(),
            shunned: random.next(),
        }
    }

    pub(super) fn has(&self, vice: Vice) -> bool {
        self.vices.contains(&vice)
    }

    /// What it sends instead of `message`.
    pub(super) fn send(
        &mut self,
        to: &[usize],
        message: &PeerMessage,
        random: &mut Random,
    ) -> Vec<Parcel> {
        if self.has(Vice::Silence) {
            return Vec::new();
        }
        let mut parcels = match message {
            PeerMessage::Consensus(Message::Proposal(proposal))
                if proposal.proposer == self.key.address() && self.bends_proposals() =>
            {
                self.held = Some(*proposal);
                Vec::new()
            }
            PeerMessage::Outline(outline) if self.bends_proposals() => {
                self.propose(to, outline, random)
            }
            PeerMessage::Consensus(Message::Vote(vote)) if vote.validator == self.key.address() => {
                self.vote(to, *vote, random)
            }
            PeerMessage::Bodies { block_hash, bodies } => {
                if self.has(Vice::WithheldBody) && random.chance(3, 4) {
                    return Vec::new();
                }
                let twin = to.first().and_then(|to| self.promised.remove(to));
                let block_hash = twin
                    .filter(|(of, _)| of == block_hash)
                    .map_or(*block_hash, |(_, twin)| twin);
                let bodies = bodies.clone();
                parcels(to, &PeerMessage::Bodies { block_hash, bodies })
            }
            PeerMessage::Tip { number, .. } if self.has(Vice::StaleCertificate) => {
                let number = number + random.below(4);
                parcels(
                    to,
                    &PeerMessage::Tip {
                        number,
                        hash: random.hash(),
                    },
                )
            }
            PeerMessage::Blocks(blocks) if self.has(Vice::StaleCertificate) => parcels(
                to,
                &PeerMessage::Blocks(forge::spoil_blocks(blocks, random)),
            ),
            PeerMessage::Certificate(certificate) => {
                self.certificates.push(certificate.clone());
                let other = self.spoil_certificate(certificate, random);
                parcels(to, &PeerMessage::Certificate(other))
            }
            message => parcels(to, message),
        };
        if self.has(Vice::Favour) {
            let shunned = self.shunned;
            parcels.retain(|(to, _)| shunned >> to & 1 == 0);
        }
        parcels
    }

    /// Hears a message before its engine does; `None` when that is not to hear it.
    pub(super) fn hear(
        &mut self,
        from: usize,
        message: PeerMessage,
        random: &mut Random,
    ) -> (Option<PeerMessage>, Vec<Parcel>) {
        self.overhear(&message);
        match message {
            PeerMessage::GetOutline { block_hash } => match self.twins.get(&block_hash) {
                Some(_) if self.has(Vice::WithheldBody) && random.chance(3, 4) => {
                    (None, Vec::new())
                }
                Some((_, twin)) => {
                    let outline = PeerMessage::Outline(Box::new(twin.clone()));
                    (None, parcels(&[from], &outline))
                }
                None => (Some(message), Vec::new()),
            },
            PeerMessage::GetBodies {
                block_hash,
                indexes,
            } => {
                let block_hash = match self.twins.get(&block_hash) {
                    Some((of, _)) => {
                        self.promised.insert(from, (*of, block_hash));
                        *of
                    }
                    None => block_hash,
                };
                (
                    Some(PeerMessage::GetBodies {
                        block_hash,
                        indexes,
                    }),
                    Vec::new(),
                )
            }
            // Its own engine is not to find out.
            PeerMessage::Consensus(Message::Vote(vote)) if vote.validator == self.key.address() => {
                (None, Vec::new())
            }
            PeerMessage::Consensus(Message::Proposal(proposal))
                if proposal.proposer == self.key.address() =>
            {
                (None, Vec::new())
            }
            message => (Some(message), Vec::new()),
        }
    }

    pub(super) fn overhear(&mut self, message: &PeerMessage) {
        if let PeerMessage::Certificate(certificate) = message {
            self.certificates.push(certificate.clone());
        }
        if self.overheard.len() >= OVERHEARD {
            self.overheard.pop_front();
        }
        self.overheard.push_back(message.encode());
    }

    fn bends_proposals(&self) -> bool {
        [
            Vice::TwoProposals,
            Vice::InvalidBlock,
            Vice::Untimely,
            Vice::WithheldBody,
            Vice::FalseOutline,
        ]
        .iter()
        .any(|vice| self.has(*vice))
    }

    /// The proposal that was held, and its outline, or others.
    fn propose(&mut self, to: &[usize], outline: &Outline, random: &mut Random) -> Vec<Parcel> {
        let hash = outline.header.hash_slow();
        let Some(proposal) = self.held.take().filter(|held| held.block_hash == hash) else {
            let outline = self.shown(outline, random);
            return parcels(to, &PeerMessage::Outline(Box::new(outline)));
        };
        let mut versions = vec![(proposal, outline.clone())];
        for vice in [Vice::TwoProposals, Vice::InvalidBlock, Vice::Untimely] {
            if self.has(vice) && random.chance(3, 4) {
                let twin = forge::twin(outline, vice, random);
                let twin_hash = twin.header.hash_slow();
                let mut other = Proposal {
                    block_hash: twin_hash,
                    ..proposal
                };
                if vice == Vice::InvalidBlock && random.chance(1, 4) && other.round > 0 {
                    other.pol_round = Some(other.round - 1);
                }
                other.signature = self.key.sign(other.digest(&self.domain));
                self.twins.insert(twin_hash, (hash, twin.clone()));
                versions.push((other, twin));
            }
        }
        if !self.has(Vice::TwoProposals) && versions.len() > 1 {
            versions.remove(0);
        }
        let all = random.chance(1, 2);
        let mut out = Vec::new();
        for (place, &to) in to.iter().enumerate() {
            for (number, (proposal, outline)) in versions.iter().enumerate() {
                if !all && place % versions.len() != number {
                    continue;
                }
                let named = PeerMessage::Consensus(Message::Proposal(*proposal));
                out.extend(parcels(&[to], &named));
                if !(self.has(Vice::WithheldBody) && random.chance(1, 2)) {
                    let outline = self.shown(outline, random);
                    out.extend(parcels(&[to], &PeerMessage::Outline(Box::new(outline))));
                }
            }
        }
        out
    }

    /// An outline as it is, or a false one of the same block.
    fn shown(&self, outline: &Outline, random: &mut Random) -> Outline {
        let mut shown = outline.clone();
        if self.has(Vice::FalseOutline) && random.chance(1, 2) {
            forge::falsify(&mut shown, random);
        }
        shown
    }

    fn vote(&mut self, to: &[usize], mut vote: Vote, random: &mut Random) -> Vec<Parcel> {
        if self.has(Vice::FlippedRecoveryId) && random.chance(1, 2) {
            vote.signature.0[64] ^= 27 ^ 28;
        }
        let mut versions = vec![vote];
        if self.has(Vice::TwoVotes) {
            let twins: Vec<_> = self.twins.keys().rev().take(2).copied().collect();
            let other = match random.below(3) {
                0 => B256::ZERO,
                1 => random
                    .pick(&twins)
                    .copied()
                    .unwrap_or_else(|| random.hash()),
                _ => random.hash(),
            };
            versions.push(self.signed(Vote {
                block_hash: other,
                ..vote
            }));
        }
        let all = random.chance(1, 2);
        let mut out = Vec::new();
        for (place, &to) in to.iter().enumerate() {
            for (number, vote) in versions.iter().enumerate() {
                if all || place % versions.len() == number {
                    out.extend(parcels(
                        &[to],
                        &PeerMessage::Consensus(Message::Vote(*vote)),
                    ));
                }
            }
        }
        out
    }
}

fn parcels(to: &[usize], message: &PeerMessage) -> Vec<Parcel> {
    let bytes = message.encode();
    to.iter().map(|to| (*to, bytes.clone())).collect()
}
