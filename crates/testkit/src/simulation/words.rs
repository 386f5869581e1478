//! Messages in a line of a trace.

use chain::PeerMessage;
use consensus::Message;

pub(super) fn of(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Consensus(Message::Vote(vote)) => format!(
            "{:?} {}/{} {} by {}",
            vote.kind,
            vote.height,
            vote.round,
            short(vote.block_hash),
            name(vote.validator)
        ),
        PeerMessage::Consensus(Message::Proposal(proposal)) => format!(
            "proposal {}/{} {} (polka {:?}) by {}",
            proposal.height,
            proposal.round,
            short(proposal.block_hash),
            proposal.pol_round,
            name(proposal.proposer)
        ),
        PeerMessage::Consensus(Message::Polka(polka)) => {
            format!(
                "polka {}/{} {}",
                polka.height,
                polka.round,
                short(polka.block_hash)
            )
        }
        PeerMessage::Consensus(Message::Round(round)) => {
            format!(
                "{:?} certificate {}/{}",
                round.kind, round.height, round.round
            )
        }
        PeerMessage::Outline(outline) => format!(
            "outline {} {} of {}",
            outline.header.number,
            short(outline.header.hash_slow()),
            outline.transactions.len()
        ),
        PeerMessage::GetOutline { block_hash } => format!("get outline {}", short(*block_hash)),
        PeerMessage::GetBodies {
            block_hash,
            indexes,
        } => {
            format!("get bodies {} {indexes:?}", short(*block_hash))
        }
        PeerMessage::Bodies { block_hash, bodies } => {
            format!("bodies {} {}", short(*block_hash), bodies.len())
        }
        PeerMessage::Tip { number, hash } => format!("tip {number} {}", short(*hash)),
        PeerMessage::Certificate(certificate) => format!(
            "certificate {}/{} {}",
            certificate.height,
            certificate.round,
            short(certificate.block_hash)
        ),
        PeerMessage::GetBlocks { from } => format!("get blocks {from}"),
        PeerMessage::Blocks(blocks) => format!(
            "blocks {:?}",
            blocks
                .iter()
                .map(|block| block.block.header.number)
                .collect::<Vec<_>>()
        ),
        PeerMessage::Transactions(raw) => format!("{} transactions", raw.len()),
        PeerMessage::GetCertificate => "get certificate".to_owned(),
    }
}

fn short(hash: alloy_primitives::B256) -> String {
    if hash.is_zero() {
        return "nil".to_owned();
    }
    alloy_primitives::hex::encode(&hash[..3])
}

fn name(address: alloy_primitives::Address) -> String {
    alloy_primitives::hex::encode(&address[..3])
}
