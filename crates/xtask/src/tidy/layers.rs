//! Dependencies point one way. The graph is the architecture, and this table is the graph.

use cargo_metadata::{DependencyKind, Metadata};

use super::Finding;

/// Every crate of the program and its layer: it may use crates of lower layers only. A new crate gets its row here.
const LAYERS: &[(&str, u8)] = &[
    ("causeway", 9),
    ("rpc", 6),
    ("node", 5),
    ("hub", 4),
    ("chain", 3),
    ("link", 3),
    ("consensus", 2),
    ("execution", 2),
    ("state", 1),
    ("store", 0),
    ("types", 0),
];

/// Crates that are no part of the program: they may use every crate, and only tests may use them.
pub(super) const TOOLING: &[&str] = &["bench", "testkit", "xtask"];

/// Crates at or below `hub` are state machines and blocking storage: no runtime, whatever they use.
const PURE_UP_TO: u8 = 4;

/// Beside `chain`, but all it does is I/O.
const NOT_PURE: &str = "link";

/// What no pure crate names. (The library under `consensus` brings it along and runs nothing on it.)
const RUNTIME: &str = "tokio";

/// A crate of the workspace and the crates of the workspace that it names.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    /// Path of its manifest from the root.
    manifest: String,
    uses: Vec<(String, DependencyKind)>,
    /// Whether it names [`RUNTIME`], for its tests or not.
    names_runtime: bool,
}

pub(super) fn members(metadata: &Metadata) -> Vec<Member> {
    let packages = metadata.workspace_packages();
    let names: Vec<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let member = |package: &&cargo_metadata::Package| Member {
        name: package.name.to_string(),
        manifest: package
            .manifest_path
            .strip_prefix(&metadata.workspace_root)
            .unwrap_or(&package.manifest_path)
            .to_string(),
        uses: package
            .dependencies
            .iter()
            .filter(|dependency| names.contains(&dependency.name.as_str()))
            .map(|dependency| (dependency.name.clone(), dependency.kind))
            .collect(),
        names_runtime: package
            .dependencies
            .iter()
            .any(|dependency| dependency.name == RUNTIME),
    };
    packages.iter().map(member).collect()
}

/// Holds the table.
pub(super) fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let mut found = |what: String| findings.push(Finding::new(&member.manifest, None, what));
        if member.manifest != format!("crates/{}/Cargo.toml", member.name) {
            found(format!(
                "crate `{}` does not lie in `crates/{}`",
                member.name, member.name
            ));
        }
        if TOOLING.contains(&member.name.as_str()) {
            continue;
        }
        let Some(layer) = layer(&member.name) else {
            found(format!(
                "crate `{}` has no layer: give it a row in the table",
                member.name
            ));
            continue;
        };
        if member.names_runtime && layer <= PURE_UP_TO && member.name != NOT_PURE {
            found(format!("`{}` names `{RUNTIME}`: it is pure", member.name));
        }
        for (used, kind) in &member.uses {
            let for_tests = *kind == DependencyKind::Development;
            let allowed = match layer_of_use(used) {
                Use::Tooling => for_tests,
                Use::Layer(below) => below < layer,
                Use::Unknown => false,
            };
            if !allowed {
                found(format!(
                    "`{}` may not use `{used}`: only lower layers, and tooling in tests",
                    member.name
                ));
            }
        }
    }
    findings
}

enum Use {
    Tooling,
    Layer(u8),
    Unknown,
}

fn layer_of_use(name: &str) -> Use {
    if TOOLING.contains(&name) {
        Use::Tooling
    } else {
        layer(name).map_or(Use::Unknown, Use::Layer)
    }
}

fn layer(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, layer)| *layer)
}

#[cfg(test)]
mod tests {
    use cargo_metadata::DependencyKind::{Development, Normal};

    use super::{DependencyKind, Member, check};

    fn member(name: &str, uses: &[(&str, DependencyKind)]) -> Member {
        Member {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            uses: uses
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), *kind))
                .collect(),
            names_runtime: false,
        }
    }

    #[test]
    fn lower_layers_may_be_used_and_no_others() {
        assert!(check(&[member("chain", &[("consensus", Normal), ("store", Normal)])]).is_empty());
        assert_eq!(check(&[member("store", &[("chain", Normal)])]).len(), 1);
        assert_eq!(
            check(&[member("consensus", &[("execution", Normal)])]).len(),
            1
        );
        assert_eq!(
            check(&[member("store", &[("chain", Development)])]).len(),
            1
        );
    }

    #[test]
    fn tooling_uses_all_and_is_used_by_tests_alone() {
        assert!(check(&[member("testkit", &[("causeway", Normal), ("rpc", Normal)])]).is_empty());
        assert!(check(&[member("node", &[("testkit", Development)])]).is_empty());
        assert_eq!(check(&[member("node", &[("testkit", Normal)])]).len(), 1);
    }

    #[test]
    fn every_crate_has_a_row_and_its_own_folder() {
        assert_eq!(check(&[member("novelty", &[])]).len(), 1);
        let elsewhere = Member {
            manifest: "crates/deep/store/Cargo.toml".to_owned(),
            ..member("store", &[])
        };
        assert_eq!(check(&[elsewhere]).len(), 1);
    }

    #[test]
    fn no_crate_up_to_chain_names_a_runtime() {
        let with_runtime = |name| Member {
            names_runtime: true,
            ..member(name, &[])
        };
        assert_eq!(check(&[with_runtime("chain")]).len(), 1);
        assert!(check(&[with_runtime("node"), with_runtime("link")]).is_empty());
    }
}
