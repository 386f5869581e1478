//! Relative links in Markdown lead somewhere: the file is there, and so is the heading.

use std::collections::BTreeSet;

use super::Finding;

/// What a link's path leads to.
pub(super) enum Target {
    Nothing,
    /// A file or folder without headings to check.
    There,
    /// A Markdown file, with the anchors of its headings.
    Page(Vec<String>),
}

/// Finds a path among the repository's files.
pub(super) fn look_up(path: &str, files: &BTreeSet<&str>, texts: &[(&str, String)]) -> Target {
    if path.ends_with(".md") {
        return texts
            .iter()
            .find(|(known, _)| *known == path)
            .map_or(Target::Nothing, |(_, text)| Target::Page(anchors(text)));
    }
    let folder = format!("{}/", path.trim_end_matches('/'));
    let is_folder = path.is_empty()
        || files
            .range(folder.as_str()..)
            .next()
            .is_some_and(|file| file.starts_with(&folder));
    if is_folder || files.contains(path) {
        Target::There
    } else {
        Target::Nothing
    }
}

pub(super) fn check(path: &str, text: &str, look_up: &dyn Fn(&str) -> Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, link) in links(text) {
        if link.contains(':') {
            continue;
        }
        let (file, anchor) = link
            .split_once('#')
            .map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
        let target = if file.is_empty() {
            Target::Page(anchors(text))
        } else {
            resolve(path, file).map_or(Target::Nothing, |file| look_up(&file))
        };
        match (target, anchor) {
            (Target::Nothing, _) => findings.push(Finding::new(
                path,
                line,
                format!("links to `{link}`, which is not there"),
            )),
            (Target::Page(anchors), Some(anchor))
                if !anchors.iter().any(|known| known == anchor) =>
            {
                findings.push(Finding::new(
                    path,
                    line,
                    format!("links to `{link}`, which has no such heading"),
                ));
            }
            _ => {}
        }
    }
    findings
}

/// Every link's destination, with its line. Code is not searched.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (line, content) in prose(text) {
        let bare = without_code(content);
        for (at, _) in bare.match_indices("](") {
            let destination = bare[at + 2..].split([')', ' ']).next().unwrap_or("");
            links.push((line, destination.trim_matches(['<', '>']).to_owned()));
        }
        if let Some((_, destination)) = bare
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            links.push((line, destination.split(' ').next().unwrap_or("").to_owned()));
        }
    }
    links
}

/// The lines outside fenced blocks, counted from one.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((at + 1, line))
    })
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The anchors of all headings, as code hosts make them: lower case, words joined by `-`, punctuation dropped.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings
        .map(|(_, line)| slug(line.trim_start_matches('#').trim()))
        .collect()
}

fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The path from the root that `link` means in the file at `from`; none when it leaves the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{Target, check, links, look_up, resolve, slug};

    fn found(text: &str) -> usize {
        let files = ["README.md", "docs/a.md", "docs/adr/b.md"].into();
        let texts = [("docs/a.md", "# First part\n".to_owned())];
        check("docs/x.md", text, &|path| look_up(path, &files, &texts)).len()
    }

    #[test]
    fn a_link_leads_to_a_file_a_folder_or_a_heading() {
        for good in [
            "[a](a.md)",
            "[a](a.md#first-part)",
            "[a](adr)",
            "[a](adr/)",
            "[a](..)",
            "# Me\n[a](#me)",
            "[a](https://a.b/c)",
        ] {
            assert_eq!(found(good), 0, "{good}");
        }
        for bad in [
            "[a](b.md)",
            "[a](a.md#second-part)",
            "[a](../../x)",
            "[a](#me)",
            "[a]: gone.md",
            "![a](gone.png)",
        ] {
            assert_eq!(found(bad), 1, "{bad}");
        }
    }

    #[test]
    fn code_is_not_searched() {
        assert_eq!(found("`[a](gone.md)` and\n```\n[a](gone.md)\n```\n"), 0);
        assert_eq!(
            links("`x` [a](b) `y` [c](d)"),
            [(1, "b".to_owned()), (1, "d".to_owned())]
        );
    }

    #[test]
    fn paths_are_resolved_from_the_file() {
        assert_eq!(
            resolve("docs/a.md", "../README.md").as_deref(),
            Some("README.md")
        );
        assert_eq!(resolve("a.md", "../README.md"), None);
    }

    #[test]
    fn anchors_are_made_as_code_hosts_make_them() {
        assert_eq!(slug("What's `there`, today?"), "whats-there-today");
    }

    #[test]
    fn a_page_that_is_not_in_the_repository_is_nothing() {
        assert!(matches!(
            look_up("docs/z.md", &[].into(), &[]),
            Target::Nothing
        ));
    }
}
