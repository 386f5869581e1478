//! Keys are private, come back as they were, and are never made by reading.

use super::{
    KEYSTORE_FILE, PLAIN_FILE, TLS_FILE, make_identity, make_node_key, read_identity, read_node_key,
};
use crate::cities::files::{self, Mode};
use crate::cities::password::{Password, PasswordSource};
use node::Folder;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

fn password(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec())
}

fn printed(text: &str) -> PasswordSource {
    PasswordSource::Command(format!("echo {text}"))
}

/// A folder with keys.
fn city(password: Option<&Password>) -> (TempDir, Folder, types::NodeKey) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(dir.path()).expect("a data folder");
    let key = make_node_key(&folder, password).expect("a key");
    (dir, folder, key)
}

async fn refusal(data: &Path, source: Option<&PasswordSource>) -> String {
    let error = read_node_key(data, source).await.expect_err("refused");
    let line = format!("{:#}", anyhow::Error::from(error));
    assert!(!line.contains('\n'), "{line}");
    assert!(line.contains(data.to_str().expect("a name")), "{line}");
    line
}

#[tokio::test]
async fn a_plain_key_reads_back() {
    let (dir, folder, key) = city(None);
    let path = dir.path().join(PLAIN_FILE);
    assert_eq!(files::mode(&path).expect("there"), 0o600);
    assert!(!dir.path().join(KEYSTORE_FILE).exists());
    let read = read_node_key(dir.path(), None).await.expect("the key");
    assert_eq!(read.to_bytes(), key.to_bytes());
    // The folder's own reader agrees.
    assert_eq!(folder.node_key().expect("the key").address(), key.address());
    let line = refusal(dir.path(), Some(&printed("x"))).await;
    assert!(line.contains("not encrypted"), "{line}");
}

#[tokio::test]
async fn an_encrypted_key_reads_back_under_its_password() {
    let (dir, _folder, key) = city(Some(&password("right")));
    let path = dir.path().join(KEYSTORE_FILE);
    assert_eq!(files::mode(&path).expect("there"), 0o600);
    assert!(!dir.path().join(PLAIN_FILE).exists());
    let read = read_node_key(dir.path(), Some(&printed("right"))).await;
    assert_eq!(read.expect("the key").to_bytes(), key.to_bytes());
    let line = refusal(dir.path(), Some(&printed("wrong"))).await;
    assert!(line.contains("the password is wrong"), "{line}");
    let line = refusal(dir.path(), None).await;
    assert!(line.contains("--key-password-file"), "{line}");
    fs::write(&path, "{}").expect("written");
    let line = refusal(dir.path(), Some(&printed("right"))).await;
    assert!(line.contains("missing field"), "{line}");
}

#[tokio::test]
async fn a_key_is_never_made_by_reading_nor_written_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let line = refusal(dir.path(), None).await;
    assert!(line.contains("no node key"), "{line}");
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
    let (dir, folder, _key) = city(Some(&password("right")));
    let before = fs::read(dir.path().join(KEYSTORE_FILE)).expect("there");
    assert!(folder.is_unused());
    folder.mark_used().expect("it may sign");
    assert!(make_node_key(&folder, Some(&password("other"))).is_err());
    assert!(!folder.is_unused(), "a key that signed is said to be new");
    assert_eq!(
        fs::read(dir.path().join(KEYSTORE_FILE)).expect("there"),
        before
    );
    let plain = dir.path().join(PLAIN_FILE);
    files::write_new(&plain, "11".repeat(32).as_bytes(), Mode::Private).expect("written");
    let line = refusal(dir.path(), Some(&printed("right"))).await;
    assert!(line.contains("both"), "{line}");
}

#[tokio::test]
async fn a_key_that_others_can_read_or_that_is_none_is_refused() {
    let (dir, _folder, _key) = city(None);
    let path = dir.path().join(PLAIN_FILE);
    for mode in [0o640, 0o604, 0o644, 0o660] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        let line = refusal(dir.path(), None).await;
        assert!(line.contains("chmod 600"), "{line}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    for text in [
        String::new(),
        "soup".to_owned(),
        "00".repeat(32),
        "ff".repeat(32),
        "11".repeat(31),
        "11".repeat(33),
    ] {
        fs::write(&path, &text).expect("written");
        let line = refusal(dir.path(), None).await;
        assert!(line.contains("32 bytes in hexadecimal"), "{text}: {line}");
    }
}

#[test]
fn the_key_of_the_links_reads_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = make_identity(dir.path()).expect("a key");
    let path = dir.path().join(TLS_FILE);
    assert_eq!(files::mode(&path).expect("there"), 0o600);
    let read = read_identity(dir.path()).expect("the key");
    assert_eq!(read.fingerprint(), made.fingerprint());
    assert!(make_identity(dir.path()).is_err());
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");
    assert!(read_identity(dir.path()).is_err());
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    for text in [
        "",
        "soup",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    ] {
        fs::write(&path, text).expect("written");
        assert!(read_identity(dir.path()).is_err(), "{text:?} was taken");
    }
}
