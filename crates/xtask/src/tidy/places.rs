//! The repository works anywhere: no folder of one machine and no registry's host is named in it.

use super::Finding;

/// Top folders in which somebody's machine keeps a checkout.
const FOLDERS: &[&str] = &["work", "home", "root", "Users"];

/// Hosts of package registries, by label: clients know them, and a mirror must be able to stand in.
const HOSTS: &[&[&str]] = &[
    &["registry", "npmjs", "org"],
    &["registry", "yarnpkg", "com"],
    &["pypi", "org"],
    &["pythonhosted", "org"],
    &["static", "crates", "io"],
    &["index", "crates", "io"],
    &["proxy", "golang", "org"],
];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let hosts: Vec<String> = HOSTS.iter().map(|labels| labels.join(".")).collect();
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if let Some(folder) = FOLDERS.iter().find(|folder| names_folder(line, folder)) {
            findings.push(Finding::new(
                path,
                at + 1,
                format!("names a folder of one machine: `/{folder}/…`"),
            ));
        }
        if let Some(host) = hosts.iter().find(|host| line.contains(host.as_str())) {
            findings.push(Finding::new(
                path,
                at + 1,
                format!("names a registry's host: `{host}`"),
            ));
        }
    }
    findings
}

/// Whether an absolute path in `line` begins with `folder`. What goes before tells it from a URL and a relative path.
fn names_folder(line: &str, folder: &str) -> bool {
    let absolute = format!("/{folder}/");
    line.match_indices(&absolute).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_.-~/}*>)".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::{HOSTS, check};

    #[test]
    fn a_path_of_one_machine_is_found() {
        for folder in ["work", "home", "root"] {
            assert_eq!(check("a.md", &format!("see `/{folder}/me/x`")).len(), 1);
            assert_eq!(check("a.md", &format!("\"/{folder}/me\"")).len(), 1);
            assert!(
                check(
                    "a.md",
                    &format!("see docs/{folder}/me and https://a.b/{folder}/me")
                )
                .is_empty()
            );
        }
    }

    #[test]
    fn a_registry_host_is_found() {
        let host = HOSTS[0].join(".");
        assert_eq!(
            check(
                "package-lock.json",
                &format!("\"resolved\": \"https://{host}/x\"")
            )
            .len(),
            1
        );
        assert!(
            check(
                "Cargo.lock",
                "registry+https://github.com/rust-lang/crates.io-index"
            )
            .is_empty()
        );
    }
}
