//! Each keyword, holding and broken.

use serde_json::json;

use super::*;

fn holds(schema: &Value, value: &Value) -> bool {
    validate("result", schema, value).is_ok()
}

#[test]
fn every_keyword_tells_good_from_bad() {
    let quantity = json!({"type": "string", "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$"});
    for (schema, good, bad) in [
        (json!({"type": "string"}), json!("x"), json!(1)),
        (
            json!({"type": ["null", "boolean"]}),
            json!(null),
            json!("x"),
        ),
        (json!({"type": "integer"}), json!(1), json!(1.5)),
        (quantity.clone(), json!("0x1f"), json!("0x01")),
        (json!({"enum": ["a", "b"]}), json!("b"), json!("c")),
        (json!({"minimum": 0, "maximum": 1}), json!(0.5), json!(1.5)),
        (json!({"required": ["a"]}), json!({"a": 1}), json!({"b": 1})),
        (
            json!({"items": quantity}),
            json!(["0x0"]),
            json!(["0x0", "1"]),
        ),
        (
            json!({"properties": {"a": quantity}}),
            json!({"b": 1}),
            json!({"a": 1}),
        ),
        (
            json!({"oneOf": [{"type": "null"}, quantity]}),
            json!(null),
            json!(1),
        ),
        (
            json!({"anyOf": [{"type": "null"}, quantity]}),
            json!("0x2"),
            json!(1),
        ),
        (
            json!({"properties": {"a": {}}, "additionalProperties": false}),
            json!({"a": 1}),
            json!({"a": 1, "b": 2}),
        ),
        (
            json!({"additionalProperties": quantity}),
            json!({"x": "0x1"}),
            json!({"x": 1}),
        ),
    ] {
        assert!(holds(&schema, &good), "{schema} should take {good}");
        assert!(!holds(&schema, &bad), "{schema} should refuse {bad}");
    }
}

#[test]
fn one_of_means_exactly_one() {
    let schema = json!({"oneOf": [{"type": "string"}, {"pattern": "^a"}]});
    assert!(holds(&schema, &json!("b")));
    assert!(!holds(&schema, &json!("a")));
}

#[test]
fn an_unknown_keyword_is_an_error_and_silent_ones_are_not() {
    assert!(holds(&json!({"title": "t", "description": "d"}), &json!(1)));
    let told = validate("result", &json!({"contains": {}}), &json!([])).unwrap_err();
    assert_eq!(told, "result: keyword contains is not known here");
}
