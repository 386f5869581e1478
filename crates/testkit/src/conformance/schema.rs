//! The form of a method's result, as `openrpc.json` states it: a JSON schema, all references resolved.
//!
//! Only the keywords that the document uses are known here; another one is an error, never ignored.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Keywords that say nothing about validity.
const SILENT: [&str; 3] = ["title", "description", "examples"];

/// Why the schemas cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not an `OpenRPC` document.
    #[error("{} is not an OpenRPC document", .path.display())]
    Document {
        /// The file.
        path: PathBuf,
    },
}

/// The schemas of all methods' results, by method.
#[derive(Debug)]
pub(super) struct Schemas {
    results: HashMap<String, Value>,
}

impl Schemas {
    pub(super) fn read(path: &Path) -> Result<Self, SchemaError> {
        let text = fs::read_to_string(path).map_err(|source| SchemaError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let wrong = || SchemaError::Document {
            path: path.to_path_buf(),
        };
        let mut document: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
        let methods = document["methods"].as_array_mut().ok_or_else(wrong)?;
        let results = methods.iter_mut().filter_map(|method| {
            let schema = method["result"]["schema"].take();
            Some((method["name"].as_str()?.to_owned(), schema))
        });
        Ok(Self {
            results: results.collect(),
        })
    }

    /// Whether `result` has the form of the method's results; if not, what is wrong.
    pub(super) fn check(&self, method: &str, result: &Value) -> Result<(), String> {
        let schema = self
            .results
            .get(method)
            .ok_or_else(|| format!("no schema for {method}"))?;
        validate("result", schema, result)
    }
}

fn validate(place: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(schema) = schema else {
        return Err(format!("{place}: no schema"));
    };
    for (keyword, rule) in schema {
        let holds = match keyword.as_str() {
            silent if SILENT.contains(&silent) => true,
            "type" => has_type(rule, value),
            "pattern" => matches_pattern(place, rule, value)?,
            "enum" => rule
                .as_array()
                .is_some_and(|allowed| allowed.contains(value)),
            "maximum" => bounded(rule, value, |bound, number| number <= bound),
            "minimum" => bounded(rule, value, |bound, number| number >= bound),
            "required" => has_members(rule, value),
            "items" => {
                for (index, item) in (0..).zip(value.as_array().into_iter().flatten()) {
                    validate(&format!("{place}[{index}]"), rule, item)?;
                }
                true
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(name) {
                        validate(&format!("{place}.{name}"), rule, member)?;
                    }
                }
                true
            }
            "additionalProperties" => additional_hold(place, schema, rule, value)?,
            "oneOf" => holding(place, rule, value) == 1,
            "anyOf" => holding(place, rule, value) >= 1,
            other => return Err(format!("{place}: keyword {other} is not known here")),
        };
        if !holds {
            return Err(format!("{place}: {value} breaks {keyword} {rule}"));
        }
    }
    Ok(())
}

fn has_type(rule: &Value, value: &Value) -> bool {
    match rule.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => rule
            .as_array()
            .is_some_and(|types| types.iter().any(|rule| has_type(rule, value))),
    }
}

fn matches_pattern(place: &str, rule: &Value, value: &Value) -> Result<bool, String> {
    let pattern = rule.as_str().and_then(|pattern| Regex::new(pattern).ok());
    let pattern = pattern.ok_or_else(|| format!("{place}: bad pattern {rule}"))?;
    // A pattern binds strings and nothing else.
    Ok(value.as_str().is_none_or(|text| pattern.is_match(text)))
}

fn bounded(rule: &Value, value: &Value, holds: impl Fn(f64, f64) -> bool) -> bool {
    match (rule.as_f64(), value.as_f64()) {
        (Some(bound), Some(number)) => holds(bound, number),
        (bound, _) => bound.is_some(),
    }
}

fn has_members(rule: &Value, value: &Value) -> bool {
    let Value::Object(members) = value else {
        return true;
    };
    let mut names = rule
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    names.all(|name| members.contains_key(name))
}

fn additional_hold(
    place: &str,
    schema: &Map<String, Value>,
    rule: &Value,
    value: &Value,
) -> Result<bool, String> {
    let known = schema.get("properties");
    let additional = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| known.is_none_or(|known| known.get(name).is_none()));
    for (name, member) in additional {
        match rule {
            Value::Bool(allowed) if *allowed => {}
            Value::Bool(_) => return Err(format!("{place}: {name} should not be there")),
            rule => validate(&format!("{place}.{name}"), rule, member)?,
        }
    }
    Ok(true)
}

/// How many of the alternatives hold.
fn holding(place: &str, rule: &Value, value: &Value) -> usize {
    let alternatives = rule.as_array().into_iter().flatten();
    alternatives
        .filter(|schema| validate(place, schema, value).is_ok())
        .count()
}
