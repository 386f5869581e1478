//! Founding a network, and a table of genesis files that are refused.

use super::{CreateError, CreateOptions, Network, create, read_genesis};
use crate::cities::card::{Card, Words, tests::card};
use alloy_primitives::{Address, B256, hex};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use types::{NodeKey, Readers};

const NOW_MS: u64 = 1_767_225_600_123;

fn found(name: &str, cards: Vec<Card>) -> Network {
    let name = name.parse().expect("a name");
    Network::found(&name, cards, NOW_MS, pinned()).expect("a network")
}

/// What is pinned says by itself how many bytes founders' cities offer.
fn pinned() -> Vec<(String, u64)> {
    vec![("offer_bytes".to_owned(), 10_000 * (16 << 20))]
}

fn four() -> Network {
    found("four", (1..=4).map(card).collect())
}

/// A file with these bytes; it is there for as long as the folder.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("genesis.json");
    std::fs::write(&path, bytes).expect("written");
    (dir, path)
}

/// What is said of a genesis file with these bytes.
fn verdict(bytes: &[u8]) -> Result<Network, String> {
    let (_dir, path) = file(bytes);
    read_genesis(&path).map_err(|error| {
        let line = format!("{:#}", anyhow::Error::from(error));
        assert!(!line.contains('\n'), "more than a line: {line}");
        assert!(
            line.contains("genesis.json"),
            "the file has no name: {line}"
        );
        line
    })
}

fn pretty(value: &Value) -> String {
    // Keys of a `Value` are sorted: these bytes are never those of a genesis file.
    serde_json::to_string_pretty(value).expect("JSON")
}

/// As computed with ethers 6 from the encodings of `types`.
#[test]
fn the_network_of_four_cards_is_pinned() {
    let network = four();
    assert_eq!(
        hex::encode_prefixed(network.network_id().0),
        "0xe0a62457b497cb2c00f19307213ba0311c640d7cd4d7621ed06fed2996329478"
    );
    assert_eq!(network.chain_id().get(), 3_132_843_607_719_936);
    assert_eq!(
        hex::encode_prefixed(network.genesis().record.hash()),
        "0x44f9f0537d89384d1f95b0551fb13fadd77831ca3687e782e237ebcf244f10f5"
    );
    assert_eq!(network.genesis().record.readers, Readers::Anyone);
    assert!(!network.genesis().record.development);
    // Whatever the order of the cards.
    let turned = found("four", (1..=4).rev().map(card).collect());
    assert_eq!(turned, network);
    let later = Network::found(
        &"four".parse().expect("a name"),
        (1..=4).map(card).collect(),
        NOW_MS + 1,
        Vec::new(),
    );
    assert_ne!(later.expect("a network").chain_id(), network.chain_id());
}

#[test]
fn founders_agree_on_numbers_within_their_bounds() {
    let founded = |given: &[(&str, u64)]| {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value));
        let cards = (1..=4).map(card).collect();
        Network::found(
            &"four".parse().expect("a name"),
            cards,
            NOW_MS,
            given.collect(),
        )
    };
    let plain = found("four", (1..=4).map(card).collect());
    let locked = founded(&[("timeLock", 172_800), ("quorum", 600)]).expect("a network");
    assert_eq!(locked.agreed(), [("quorum", 600), ("timeLock", 172_800)]);
    assert_ne!(locked.chain_id(), plain.chain_id());
    let input = |network: &Network| network.genesis().registry.map(|registry| registry.input);
    assert_ne!(input(&locked), input(&plain));
    for (given, wrong) in [
        (
            ("timelock", 1),
            "founding.parameters.timelock: no such parameter is known",
        ),
        (
            ("timeLock", 90 * 86_400 + 1),
            "founding.parameters.timeLock: it is not between 0 and 7776000",
        ),
        (
            ("threshold", 499),
            "founding.parameters.threshold: it is not between 500 and 999",
        ),
        (
            ("minimumMembers", 5),
            "founding.parameters.minimumMembers: it is not between 1 and 4",
        ),
    ] {
        let error = founded(&[given]).expect_err("refused");
        assert_eq!(error.to_string(), wrong);
    }
}

#[test]
fn a_network_reads_back() {
    for count in [1, 2, 3, 4, 31] {
        let network = found("some", (1..=count).map(card).collect());
        assert_eq!(verdict(network.to_text().as_bytes()), Ok(network));
    }
}

#[test]
fn no_byte_can_be_changed() {
    let read = |bytes: &[u8]| {
        let file = crate::cities::files::parse_json(bytes).ok()?;
        Network::check(file, bytes).ok()
    };
    // One city, for speed.
    let network = found("one", vec![card(1)]);
    let text = network.to_text();
    assert_eq!(read(text.as_bytes()).as_ref(), Some(&network));
    for at in 0..text.len() {
        for bit in [1, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= bit;
            if let Some(other) = read(&bytes) {
                assert_ne!(other.network_id(), network.network_id(), "byte {at}");
            }
        }
        let mut shorter = text.clone().into_bytes();
        shorter.remove(at);
        assert!(read(&shorter).is_none(), "without byte {at}");
    }
    for more in [" ", "\n", "x", "{}"] {
        assert!(verdict(format!("{text}{more}").as_bytes()).is_err());
        assert!(verdict(format!("{more}{text}").as_bytes()).is_err());
    }
    assert!(verdict(text.replace('\n', "\r\n").as_bytes()).is_err());
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of changes and what is said of each"
)]
fn a_changed_file_is_refused_with_its_key() {
    let text = four().to_text();
    let good: Value = serde_json::from_str(&text).expect("JSON");
    let cards = good["cards"].as_array().expect("a list");
    let fifth = json!(card(5).to_file());
    let three = &cards[..3];
    let twice = [cards.as_slice(), &cards[..1]].concat();
    let five = [cards.as_slice(), std::slice::from_ref(&fifth)].concat();
    let table: Vec<(&str, Value, &str)> = vec![
        ("/version", json!(3), "version: 3 is not known"),
        ("/version", json!(1), "run `causeway network create` again"),
        ("/founding/name", json!("other"), "record.chain_id: "),
        (
            "/founding/name",
            json!(""),
            "founding.name: a network's name",
        ),
        ("/founding/name", json!("a\u{1b}[2J"), "founding.name: "),
        (
            "/founding/founded_ms",
            json!(NOW_MS + 1),
            "record.chain_id: ",
        ),
        (
            "/founding/founded_ms",
            json!("soon"),
            "founding.founded_ms: ",
        ),
        (
            "/founding/members/0",
            fifth["authority"].clone(),
            "founding.members: ",
        ),
        (
            "/founding/cities/0",
            fifth["address"].clone(),
            "founding.cities: ",
        ),
        ("/founding/cities/0", json!("0x12"), "founding.cities[0]: "),
        (
            "/founding/validators/1/power",
            json!(2),
            "founding.validators: ",
        ),
        (
            "/founding/validators/1/power",
            json!(-1),
            "founding.validators[1].power: ",
        ),
        (
            "/founding/validators/1/address",
            fifth["address"].clone(),
            "founding.validators: ",
        ),
        (
            "/founding/parameters/gas_limit",
            json!(1),
            "founding.parameters.gas_limit: it is not between",
        ),
        (
            "/founding/parameters/gas_limit",
            json!(50_000_000),
            "record.chain_id: ",
        ),
        (
            "/founding/parameters/timeout_most_ms",
            json!(49),
            "founding.parameters.timeout_most_ms: ",
        ),
        (
            "/founding/parameters",
            json!({}),
            "founding.parameters.gas_limit: it is missing",
        ),
        ("/cards", json!([]), "cards: a network begins with"),
        ("/cards", json!(three), "founding.members: "),
        ("/cards", json!(five), "founding.members: "),
        (
            "/cards",
            json!(twice),
            "cards[0] and cards[4]: both have the same address",
        ),
        (
            "/cards",
            json!(vec![&cards[0]; 32]),
            "cards: a network begins with",
        ),
        ("/cards/2", fifth.clone(), "founding.members: "),
        ("/cards/2/place", json!("CN"), "cards[2]: place: a place is"),
        (
            "/cards/2/endpoint",
            json!("a.example:1"),
            "cards[2]: proof: it is not of",
        ),
        (
            "/cards/2/proof",
            fifth["proof"].clone(),
            "cards[2]: proof: it is not of",
        ),
        ("/cards/2/version", json!(3), "cards[2]: version: 3"),
        ("/cards/2/version", json!(1), "cards[2]: version: 1"),
        (
            "/cards/2/tls_fingerprint",
            json!(1),
            "cards[2].tls_fingerprint: ",
        ),
        (
            "/record/chain_id",
            json!(31337),
            "record.chain_id: it is 31337",
        ),
        (
            "/record/genesis_ms",
            json!(NOW_MS + 1),
            "record.genesis_ms: ",
        ),
        ("/record/gas_limit", json!(30_000_000), "record.gas_limit: "),
        ("/record/fee_rule", json!("eip1559"), "record.fee_rule: "),
        ("/record/admission", json!("shares"), "record.admission: "),
        ("/record/readers", json!("placed"), "record.readers: "),
        (
            "/record/timeout_least_ms",
            json!(51),
            "record.timeout_least_ms: ",
        ),
        (
            "/record/timeout_most_ms",
            json!(51),
            "record.timeout_most_ms: ",
        ),
        (
            "/record/minimum_interval_ms",
            json!(1),
            "record.minimum_interval_ms: ",
        ),
        ("/record/forks", json!(["x"]), "record.forks: "),
        ("/record/development", json!(true), "record.development: "),
        ("/record", json!({}), "record: missing field"),
    ];
    for (at, value, wanted) in table {
        let mut bad = good.clone();
        *bad.pointer_mut(at).expect("it is there") = value;
        let line = verdict(pretty(&bad).as_bytes()).expect_err(at);
        assert!(line.contains(wanted), "{at}: {line}");
    }
    for (at, key) in [
        ("", "more"),
        ("/founding", "more"),
        ("/founding/parameters", "more"),
        ("/record", "more"),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(at).expect("it is there")[key] = json!(1);
        let line = verdict(pretty(&bad).as_bytes()).expect_err(at);
        assert!(line.contains("more"), "{at}: {line}");
    }
    let line = verdict(pretty(&good).as_bytes()).expect_err("other bytes");
    assert!(
        line.contains("not as `causeway network create` wrote it"),
        "{line}"
    );
    let turned = text.replacen("\"version\": 2,", "\"version\": 2, ", 1);
    let line = verdict(turned.as_bytes()).expect_err("a space more");
    assert!(line.contains("from byte 17 on"), "{line}");
}

#[test]
fn what_is_no_genesis_file_is_refused() {
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"null",
        &[b'['; 100_000],
    ] {
        assert!(verdict(bytes).is_err());
    }
    let line = verdict(&vec![b' '; (1 << 20) + 1]).expect_err("large");
    assert!(line.contains("more than 1048576 bytes"), "{line}");
}

/// Two cards that agree in one thing.
fn alike(change: impl Fn(&mut Words, &mut B256)) -> (Card, Card) {
    let make = |byte: u8, change: &dyn Fn(&mut Words, &mut B256)| {
        let card = card(byte);
        let mut words = Words {
            network: card.network,
            member: card.member,
            authority: card.authority,
            place: card.place,
            endpoint: card.endpoint,
            rpc: card.rpc,
        };
        let mut fingerprint = card.tls_fingerprint;
        change(&mut words, &mut fingerprint);
        let key = NodeKey::from_bytes(&[byte; 32]).expect("a key");
        Card::sign(words, fingerprint, &key)
    };
    (make(1, &change), make(2, &change))
}

fn options(dir: &Path, cards: &[&Card], force: bool) -> CreateOptions {
    let paths = cards.iter().enumerate().map(|(index, card)| {
        let path = dir.join(format!("{index}.json"));
        let text = serde_json::to_string(&card.to_file()).expect("JSON");
        std::fs::write(&path, text).expect("written");
        path
    });
    CreateOptions {
        name: "some".parse().expect("a name"),
        cards: paths.collect::<Vec<PathBuf>>(),
        out: dir.join("genesis.json"),
        parameters: Vec::new(),
        force,
        json: false,
    }
}

#[test]
fn cards_that_are_not_of_different_cities_are_refused() {
    let (first, second) = (card(1), card(2));
    let same_tls = alike(|_words, fingerprint| *fingerprint = B256::ZERO);
    let same_member = alike(|words, _| {
        words.member = "bank".parse().expect("a name");
    });
    let same_authority = alike(|words, _| words.authority = Address::repeat_byte(8));
    let same_endpoint = alike(|words, _| {
        words.endpoint = "A.example:1".parse().expect("an endpoint");
    });
    for (pair, wanted) in [
        ((first.clone(), first.clone()), "same address"),
        (same_tls, "same tls_fingerprint"),
        (same_member, "same member"),
        (same_endpoint, "same endpoint"),
        (same_authority, "same authority"),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let options = options(dir.path(), &[&pair.0, &pair.1], false);
        let line = create(options, NOW_MS).expect_err("alike").to_string();
        assert!(line.contains(wanted), "{line}");
        assert!(line.contains("0.json") && line.contains("1.json"), "{line}");
        assert!(!dir.path().join("genesis.json").exists());
    }
    let dir = tempfile::tempdir().expect("a folder");
    let made = create(options(dir.path(), &[&first, &second], false), NOW_MS);
    let read = read_genesis(&dir.path().join("genesis.json"));
    assert_eq!(made.expect("made"), read.expect("written"));
}

#[test]
fn a_genesis_file_is_not_written_over_unless_asked() {
    let (dir, path) = file(b"precious");
    let one = card(1);
    let error = create(options(dir.path(), &[&one], false), NOW_MS).expect_err("it is there");
    assert!(matches!(error, CreateError::Exists { .. }), "{error}");
    assert_eq!(std::fs::read(&path).expect("there"), b"precious");
    create(options(dir.path(), &[&one], true), NOW_MS).expect("asked for");
    assert!(read_genesis(&path).is_ok());
}

#[test]
fn a_city_is_of_the_network_under_the_key_that_the_others_know() {
    let network = four();
    let path = Path::new("genesis.json");
    assert!(network.check_member(path, &card(3)).is_ok());
    let line = network
        .check_member(path, &card(5))
        .expect_err("another city")
        .to_string();
    assert!(line.contains("none of this network's"), "{line}");
    let (other, _) = alike(|_words, fingerprint| *fingerprint = B256::ZERO);
    let line = network
        .check_member(path, &other)
        .expect_err("another key")
        .to_string();
    assert!(line.contains("TLS fingerprint"), "{line}");
    let (moved, _) = alike(|words, _| words.endpoint = "b.example:2".parse().expect("an endpoint"));
    assert!(network.check_member(path, &moved).is_ok());
}

#[test]
fn a_city_that_joins_is_of_the_network_on_its_card_and_founds_none() {
    let network = four();
    let path = Path::new("genesis.json");
    let joining = |id: B256| {
        let (card, _) = alike(|words, _| words.network = id);
        // Of no founder's key.
        let words = Words {
            network: id,
            member: card.member,
            authority: card.authority,
            place: card.place,
            endpoint: card.endpoint,
            rpc: card.rpc,
        };
        let key = NodeKey::from_bytes(&[9; 32]).expect("a key");
        Card::sign(words, B256::repeat_byte(9), &key)
    };
    let card = joining(network.network_id().0);
    assert!(network.check_member(path, &card).is_ok());
    let line = network
        .check_member(path, &joining(B256::repeat_byte(1)))
        .expect_err("another network's")
        .to_string();
    assert!(line.contains("its network is"), "{line}");
    let name = "some".parse().expect("a name");
    let error =
        Network::found(&name, vec![self::card(1), card], NOW_MS, Vec::new()).expect_err("joining");
    assert!(
        error.to_string().starts_with("cards[1]: network: "),
        "{error}"
    );
}

#[test]
fn the_hub_is_told_of_members_cities_and_the_standing_offer() {
    let network = four();
    let founding = network.hub_founding();
    assert_eq!(founding.networkId, network.network_id().0);
    assert_eq!(founding.chainIdPrefix << 21, network.chain_id().get());
    assert_eq!(founding.hubRecord, network.genesis().record.encode());
    let nodes: Vec<Address> = founding.cities.iter().map(|city| city.card.node).collect();
    assert_eq!(nodes, network.founding().cities);
    let mut members: Vec<Address> = founding
        .cities
        .iter()
        .map(|city| city.card.authority)
        .collect();
    members.sort();
    assert_eq!(members, network.founding().members);
    assert_eq!((founding.offer.chains, founding.offer.policy), (10_000, 1));
    assert!(founding.cities.iter().all(|city| city.proof.len() == 65));
}
