//! An error keeps its source. Text made of one can no longer be matched, and loses what lies beneath. Tests may.

use super::{Finding, is_test};

/// A closure longer than this is not one that erases an error in passing; it bounds the search for its end.
const LONGEST: usize = 2_000;

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if is_test(path) {
        return Vec::new();
    }
    let erased = text.match_indices("map_err(").filter(|(at, call)| {
        let arguments = inside(&text[at + call.len()..]);
        erases(arguments)
    });
    let line_of = |at: usize| text[..at].lines().count().max(1);
    erased
        .map(|(at, _)| {
            Finding::new(
                path,
                line_of(at),
                "makes text of an error in `map_err`: keep it as `source`",
            )
        })
        .collect()
}

/// The text up to the parenthesis that closes the call.
fn inside(text: &str) -> &str {
    let mut depth = 1;
    for (at, character) in text.char_indices().take(LONGEST) {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    ""
}

fn erases(arguments: &str) -> bool {
    if arguments.contains("ToString::to_string") {
        return true;
    }
    let Some((name, body)) = arguments
        .trim_start()
        .strip_prefix('|')
        .and_then(|rest| rest.split_once('|'))
    else {
        return false;
    };
    let name = name.split(':').next().unwrap_or(name).trim();
    if name.is_empty() {
        return false;
    }
    let texts = [
        format!("{name}.to_string()"),
        format!("{{{name}}}"),
        format!("{{{name}:?}}"),
        format!("\", {name})"),
    ];
    texts.iter().any(|erasure| body.contains(erasure.as_str()))
}

#[cfg(test)]
mod tests {
    use super::check;

    /// What `check` finds in a call of `map_err`, put together here so that this file is clean itself.
    fn found(arguments: &str) -> usize {
        check("a.rs", &["x.map_", "err(", arguments, ")?"].concat()).len()
    }

    #[test]
    fn text_made_of_an_error_is_found() {
        for arguments in [
            "|e| Error::Disk(e.to_string())",
            "|error: io::Error| { Error::Disk(error.to_string()) }",
            "|e| Error::Disk(format!(\"no: {e}\"))",
            "|e| Error::Disk(format!(\"no: {}\", e))",
            "ToString::to_string",
        ] {
            assert_eq!(found(arguments), 1, "{arguments}");
        }
    }

    #[test]
    fn an_error_that_is_kept_is_not() {
        for arguments in [
            "|source| Error::Disk { source }",
            "|source| Error::File { path: path.to_string(), source }",
            "|_gone| Error::Stopped",
            "Error::Disk",
        ] {
            assert_eq!(found(arguments), 0, "{arguments}");
        }
    }

    #[test]
    fn the_line_is_named() {
        let text = ["\n\nx.map_", "err(|e| e.to_string())"].concat();
        assert_eq!(check("a.rs", &text)[0].line, Some(3));
    }
}
