//! Cards: the golden one, and a table of bad ones.

use super::{Card, CardFile, Words};
use alloy_primitives::{Address, B256, hex};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;
use types::NodeKey;

/// A sound card; `byte` makes its keys and its port.
pub(crate) fn card(byte: u8) -> Card {
    let key = NodeKey::from_bytes(&[byte; 32]).expect("a key");
    let words = Words {
        network: B256::ZERO,
        member: format!("Member {byte}").parse().expect("a name"),
        authority: Address::repeat_byte(byte),
        place: "CN SHA".parse().expect("a place"),
        endpoint: format!("city{byte}.example:7000")
            .parse()
            .expect("an endpoint"),
        rpc: Some(format!("https://rpc{byte}.example").parse().expect("a URL")),
    };
    Card::sign(words, B256::repeat_byte(byte), &key)
}

fn written(card: &Card) -> Value {
    serde_json::to_value(card.to_file()).expect("JSON")
}

/// A file with this text; it is there for as long as the folder.
fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.json");
    std::fs::write(&path, text).expect("written");
    (dir, path)
}

/// What is said of a card's file with this text.
fn verdict(text: &str) -> Result<Card, String> {
    let (_dir, path) = file(text);
    Card::read(&path).map_err(|error| {
        let line = format!("{:#}", anyhow::Error::from(error));
        assert!(!line.contains('\n'), "more than a line: {line}");
        assert!(line.contains("a.json"), "the file has no name: {line}");
        line
    })
}

/// Digests and proof as ethers 6 computes them from the types in the header of `card.rs`.
#[test]
fn the_digest_and_the_proof_are_pinned() {
    let card = card(7);
    assert_eq!(
        hex::encode_prefixed(card.digest()),
        "0x33ab6092cddb99ad24178016f50566ca548b7a61a3432d7bd09f35384be07bf8"
    );
    let mut bare = card.clone();
    bare.rpc = None;
    assert_eq!(
        hex::encode_prefixed(bare.digest()),
        "0x5ab218aca241cff726e5e72dda316351a0913a97abdef53afa049d2c7a2c7491"
    );
    let pinned = json!({
        "version": 2,
        "network": B256::ZERO,
        "member": "Member 7",
        "authority": "0x0707070707070707070707070707070707070707",
        "place": "CN SHA",
        "address": "0x4a62316623ad457f02cdc5d997ded67a383ec569",
        "tls_fingerprint": hex::encode_prefixed([7; 32]),
        "endpoint": "city7.example:7000",
        "rpc": "https://rpc7.example",
        "proof": "0xb0109a188b7e31178ffc5978d39160f2669c32095aa7aa283822e88e86e970be\
                  5d2d5d0bbdde266171a4696411584d2f8721bce8988db836c8826a3d9b6775541c",
    });
    assert_eq!(written(&card), pinned);
}

#[test]
fn a_card_reads_back() {
    let card = card(1);
    assert_eq!(verdict(&written(&card).to_string()), Ok(card.clone()));
    let key = NodeKey::from_bytes(&[1; 32]).expect("a key");
    let words = Words {
        network: B256::repeat_byte(9),
        member: card.member,
        authority: card.authority,
        place: card.place,
        endpoint: card.endpoint,
        rpc: None,
    };
    let bare = Card::sign(words, B256::ZERO, &key);
    let text = written(&bare).to_string();
    assert!(!text.contains("rpc"));
    assert_eq!(verdict(&text), Ok(bare));
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of changes and what is said of each"
)]
fn a_changed_card_is_refused_with_its_key() {
    let good = written(&card(1));
    let other = written(&card(2));
    let table: &[(&str, Value, &str)] = &[
        ("version", json!(3), "version: 3 is not known"),
        ("version", json!(1), "run `causeway city init` again"),
        ("version", json!("2"), "version: "),
        (
            "network",
            json!(B256::repeat_byte(1)),
            "proof: it is not of",
        ),
        ("network", json!("0x"), "network: "),
        (
            "authority",
            other["authority"].clone(),
            "proof: it is not of",
        ),
        ("authority", json!(Address::ZERO), "authority: it is 0x0000"),
        (
            "authority",
            json!("0x000000000000000000000000000000000000ca01"),
            "of the hub's own contracts",
        ),
        ("member", json!("a\u{fe0f}b"), "member: a member's name"),
        ("member", json!("a  b"), "member: a member's name"),
        ("authority", good["address"].clone(), "authority: it is"),
        ("member", json!("Member 2"), "proof: it is not of"),
        ("member", json!(""), "member: a member's name"),
        ("member", json!("a\u{202e}b"), "member: a member's name"),
        ("member", json!("x".repeat(65)), "member: a member's name"),
        ("member", json!(7), "member: "),
        ("member", json!(null), "member: "),
        ("place", json!("CN BJS"), "proof: it is not of"),
        ("place", json!("Shanghai"), "place: a place is"),
        ("address", other["address"].clone(), "proof: it is not of"),
        ("address", json!("0x12"), "address: "),
        (
            "tls_fingerprint",
            other["tls_fingerprint"].clone(),
            "proof: it is not of",
        ),
        ("tls_fingerprint", json!("0x"), "tls_fingerprint: "),
        (
            "endpoint",
            json!("city1.example:7001"),
            "proof: it is not of",
        ),
        (
            "endpoint",
            json!("0.0.0.0:7000"),
            "endpoint: an endpoint is",
        ),
        ("rpc", json!("https://rpc2.example"), "proof: it is not of"),
        ("rpc", json!(""), "rpc: an RPC address"),
        ("proof", other["proof"].clone(), "proof: it is not of"),
        (
            "proof",
            json!(hex::encode_prefixed([0; 65])),
            "proof: v is 0",
        ),
        ("proof", json!("0x00"), "proof: "),
        ("more", json!(1), "more"),
    ];
    for (key, value, wanted) in table {
        let mut bad = good.clone();
        bad[*key] = value.clone();
        let line = verdict(&bad.to_string()).expect_err("it is bad");
        assert!(line.contains(wanted), "{key} = {value}: {line}");
    }
    for key in good.as_object().expect("an object").keys() {
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove(key);
        let line = verdict(&bad.to_string()).expect_err("something is missing");
        let wanted = if key == "rpc" { "proof" } else { key };
        assert!(line.contains(wanted), "without {key}: {line}");
    }
}

#[test]
fn what_is_no_card_is_refused() {
    let good = written(&card(1)).to_string();
    let twice = good.replacen('{', r#"{"member":"Member 1","#, 1);
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "\u{feff}{}",
        &twice,
        &format!("{good}x"),
    ] {
        assert!(verdict(text).is_err(), "{text:?} was taken");
    }
    assert!(
        verdict(&" ".repeat(17 << 10))
            .expect_err("too large")
            .contains("more than")
    );
    assert!(verdict(&"[".repeat(16 << 10)).is_err());
}

#[test]
fn no_byte_of_a_card_can_be_flipped() {
    let good = serde_json::to_string_pretty(&card(1).to_file()).expect("JSON");
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        let read = serde_json::from_slice::<CardFile>(&bytes)
            .ok()
            .and_then(|file| Card::check(file).ok());
        // Hexadecimal letters have two forms, and space may be left out: the card is the same one then.
        if let Some(read) = read {
            assert_eq!(read, card(1), "byte {at}");
        }
    }
}
