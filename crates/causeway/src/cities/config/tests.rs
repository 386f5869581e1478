//! Configurations: what is read, all that is refused at once, and what a change needs.

use super::{Changes, CityConfig, RpcConfig, changes, reload};
use crate::cities::password::PasswordSource;
use std::path::PathBuf;
use tempfile::TempDir;

/// A file with this text; it is there for as long as the folder.
fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("city.toml");
    std::fs::write(&path, text).expect("written");
    (dir, path)
}

fn read(text: &str) -> Result<CityConfig, String> {
    let (dir, path) = file(text);
    CityConfig::read(&path).map_err(|error| {
        let text = error.to_string();
        let folder = format!("{}/", dir.path().display());
        text.replace(&folder, "")
    })
}

const ALL: &str = r#"
listen = "0.0.0.0:7000"
log = "info,node=debug"
[key]
command = "printf x"
[rpc]
listen = "127.0.0.1:8545"
cors = ["https://app.example"]
hosts = ["rpc.example"]
[metrics]
listen = "127.0.0.1:9464"
[endpoints]
"0x1111111111111111111111111111111111111111" = "moved.example:7000"
"#;

#[test]
fn every_key_is_read() {
    let config = read(ALL).expect("sound");
    assert_eq!(config.listen.port(), 7000);
    assert!(config.log.is_some());
    assert_eq!(
        config.password,
        Some(PasswordSource::Command("printf x".to_owned()))
    );
    let rpc = config.rpc.expect("served");
    assert_eq!(rpc.listen.port(), 8545);
    assert_eq!(rpc.cors, ["https://app.example"]);
    assert_eq!(rpc.hosts, ["rpc.example"]);
    assert_eq!(config.metrics.map(|address| address.port()), Some(9464));
    let moved: Vec<_> = config.endpoints.values().map(ToString::to_string).collect();
    assert_eq!(moved, ["moved.example:7000"]);
    let least = read("listen = \"[::]:7000\"").expect("sound");
    assert_eq!(
        (least.log, least.password, least.rpc, least.metrics),
        (None, None, None, None)
    );
}

#[test]
fn a_new_configuration_reads_back() {
    let listen = "127.0.0.1:7000".parse().expect("an address");
    for (password, rpc) in [
        (None, None),
        (
            Some(PasswordSource::File(PathBuf::from("/a \"b\"/c"))),
            None,
        ),
        (
            Some(PasswordSource::Command(
                "pass 'show' \\ \"x\"\nnext".to_owned(),
            )),
            Some(RpcConfig {
                listen,
                cors: Vec::new(),
                hosts: Vec::new(),
            }),
        ),
    ] {
        let config = CityConfig {
            listen,
            log: None,
            password,
            rpc,
            metrics: None,
            strict_capacity: true,
            endpoints: std::collections::BTreeMap::new(),
        };
        assert_eq!(read(&config.to_text()), Ok(config));
    }
}

#[test]
fn all_errors_are_told_at_once_with_their_keys() {
    let text = r#"
lisen = "0.0.0.0:7000"
log = "node=loud"
metrics = 9464
[key]
password_file = "a"
command = "b"
[rpc]
listen = "localhost"
cors = "https://app.example"
port = 1
[endpoints]
"0x11" = "moved.example:7000"
"0x1111111111111111111111111111111111111111" = "moved.example"
"#;
    let error = read(text).expect_err("much is wrong");
    let lines: Vec<&str> = error.lines().collect();
    let wanted = [
        "city.toml: listen: it is missing",
        "city.toml: log: ",
        "city.toml: metrics: invalid type: integer `9464`",
        "city.toml: lisen: no such key",
        "city.toml: key.command: key.password_file is given as well",
        "city.toml: rpc.listen: invalid socket address",
        "city.toml: rpc.cors: invalid type: string",
        "city.toml: rpc.port: no such key",
        "city.toml: endpoints.0x11: ",
        "city.toml: endpoints.0x1111111111111111111111111111111111111111: an endpoint is",
    ];
    assert_eq!(lines.len(), wanted.len(), "{error}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.starts_with(wanted), "{line}, wanted {wanted}");
    }
}

#[test]
fn what_is_no_toml_is_refused_in_one_line_with_its_place() {
    for (text, wanted) in [
        ("listen = \"0.0.0.0:7000\"\nlog = ", "city.toml, line 2: "),
        ("a = 1\na = 2", "city.toml, line 2: "),
        ("[rpc", "city.toml, line 1: "),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.starts_with(wanted), "{error}");
        assert!(!error.trim_end().contains('\n'), "{error}");
    }
    assert!(
        read(&"#".repeat(65 << 10))
            .expect_err("large")
            .contains("more than")
    );
}

#[test]
fn a_change_holds_at_once_or_needs_a_restart() {
    let old = read(ALL).expect("sound");
    let restart: &[(&str, &str, &str)] = &[
        ("0.0.0.0:7000", "0.0.0.0:7001", "listen"),
        ("printf x", "printf y", "key"),
        ("127.0.0.1:8545", "127.0.0.1:8546", "rpc"),
        ("https://app.example", "https://other.example", "rpc"),
        ("rpc.example", "rpc2.example", "rpc"),
        ("127.0.0.1:9464", "127.0.0.1:9465", "metrics"),
        ("moved.example:7000", "moved.example:7001", "endpoints"),
    ];
    for (from, to, key) in restart {
        let new = read(&ALL.replace(from, to)).expect("sound");
        let wanted = Changes {
            applied: vec![],
            needs_restart: vec![key],
        };
        assert_eq!(changes(&old, &new), wanted, "{from} -> {to}");
    }
    let new = read(&ALL.replace("info,", "warn,")).expect("sound");
    assert_eq!(changes(&old, &new).applied, ["log"]);
    assert!(changes(&old, &new).needs_restart.is_empty());
    assert_eq!(changes(&old, &old), Changes::default());
}

#[test]
fn what_needs_a_restart_is_said_until_there_was_one() {
    let (_dir, path) = file(ALL);
    let mut running = CityConfig::read(&path).expect("sound");
    let said = reload(&path, &mut running).expect("sound").to_string();
    assert_eq!(said, "nothing changed");
    let text = ALL.replace("info,", "warn,").replace(":8545", ":8546");
    std::fs::write(&path, text).expect("written");
    let said = reload(&path, &mut running).expect("sound").to_string();
    assert_eq!(said, "changed: log; needs a restart: rpc");
    let said = reload(&path, &mut running).expect("sound").to_string();
    assert_eq!(said, "needs a restart: rpc");
    std::fs::write(&path, "listen = 1").expect("written");
    let before = running.clone();
    assert!(reload(&path, &mut running).is_err());
    assert_eq!(running, before);
}
