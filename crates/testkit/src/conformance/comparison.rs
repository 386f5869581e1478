//! Comparing two answers as the upstream runner does: deep equality of JSON, no member more or less,
//! numbers as numbers; where both have an `error`, its `message` does not count.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Difference;

#[cfg(test)]
mod tests;

/// The first difference, if there is one.
pub(super) fn compare(expected: &Value, found: &Value) -> Result<(), Difference> {
    at("answer", expected, found)
}

fn at(place: &str, expected: &Value, found: &Value) -> Result<(), Difference> {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(given)) => members(place, wanted, given),
        (Value::Array(wanted), Value::Array(given)) => {
            if wanted.len() != given.len() {
                let length = |list: &[Value]| Value::from(format!("{} elements", list.len()));
                return differ(place, &length(wanted), &length(given));
            }
            (0..)
                .zip(wanted.iter().zip(given))
                .try_for_each(|(index, (a, b))| at(&format!("{place}[{index}]"), a, b))
        }
        (Value::Number(wanted), Value::Number(given)) if wanted.as_f64() == given.as_f64() => {
            Ok(())
        }
        (a, b) if a == b => Ok(()),
        (a, b) => differ(place, a, b),
    }
}

fn members(
    place: &str,
    wanted: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Result<(), Difference> {
    let names: BTreeSet<_> = wanted.keys().chain(given.keys()).collect();
    for name in names {
        let inner = format!("{place}.{name}");
        match (wanted.get(name), given.get(name)) {
            (Some(Value::Object(a)), Some(Value::Object(b))) if name == "error" => {
                let without_message = |error: &Map<String, Value>| {
                    let mut error = error.clone();
                    error.remove("message");
                    error
                };
                members(&inner, &without_message(a), &without_message(b))?;
            }
            (Some(a), Some(b)) => at(&inner, a, b)?,
            (Some(missing), None) => return differ_texts(&inner, &missing.to_string(), "nothing"),
            (None, Some(extra)) => return differ_texts(&inner, "nothing", &extra.to_string()),
            (None, None) => unreachable!("the name is of one of the two"),
        }
    }
    Ok(())
}

fn differ(place: &str, expected: &Value, found: &Value) -> Result<(), Difference> {
    differ_texts(place, &expected.to_string(), &found.to_string())
}

fn differ_texts(place: &str, expected: &str, found: &str) -> Result<(), Difference> {
    Err(Difference::Value {
        place: place.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}
