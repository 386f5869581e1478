//! As much of TOML as manifests in one hand's style need: sections, and keys with values that may go over lines.

/// One `key = value` of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The name between the brackets, empty before the first.
    pub(super) section: &'a str,
    /// As written, dots and quotes included.
    pub(super) key: &'a str,
    /// The value's first line, trimmed.
    pub(super) value: &'a str,
    /// Counted from one.
    pub(super) line: usize,
}

pub(super) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut section = "";
    let mut open = 0;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if open > 0 {
            open += balance(line);
        } else if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            section = name.trim_start_matches('[').trim();
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            open = balance(value);
            entries.push(Entry {
                section,
                key: key.trim(),
                value: value.trim(),
                line: at + 1,
            });
        }
    }
    entries
}

/// How many brackets stay open at the end of a line. Brackets in strings are counted too: manifests have them in pairs.
fn balance(line: &str) -> i32 {
    line.chars()
        .map(|c| i32::from(c == '[' || c == '{') - i32::from(c == ']' || c == '}'))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{Entry, entries};

    #[test]
    fn sections_keys_and_long_values() {
        let text = "a = 1\n# b = 2\n[one.two]\nc.d = [\n  { e = 3 },\n]\n\nf = \"4\"\n";
        assert_eq!(
            entries(text),
            [
                Entry {
                    section: "",
                    key: "a",
                    value: "1",
                    line: 1
                },
                Entry {
                    section: "one.two",
                    key: "c.d",
                    value: "[",
                    line: 4
                },
                Entry {
                    section: "one.two",
                    key: "f",
                    value: "\"4\"",
                    line: 8
                },
            ]
        );
    }
}
