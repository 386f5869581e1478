//! Every clause of the rule, both ways.

use serde_json::json;

use super::*;

fn verdict(expected: &Value, found: &Value) -> String {
    compare(expected, found).map_or_else(|error| error.to_string(), |()| "same".to_owned())
}

#[test]
fn equal_answers_are_the_same_whatever_their_order() {
    let expected: Value = serde_json::from_str(r#"{"a":[1,{"b":null}],"c":"x"}"#).unwrap();
    let found: Value = serde_json::from_str(r#"{"c":"x","a":[1.0,{"b":null}]}"#).unwrap();
    assert_eq!(verdict(&expected, &found), "same");
}

#[test]
fn every_difference_is_told_with_its_place() {
    for (expected, found, told) in [
        (
            json!({"a": 1}),
            json!({"a": 2}),
            "answer.a: expected 1, got 2",
        ),
        (
            json!({"a": 1}),
            json!({}),
            "answer.a: expected 1, got nothing",
        ),
        (
            json!({}),
            json!({"a": 1}),
            "answer.a: expected nothing, got 1",
        ),
        (
            json!([1]),
            json!([]),
            r#"answer: expected "1 elements", got "0 elements""#,
        ),
        (
            json!({"a": ["x"]}),
            json!({"a": ["y"]}),
            r#"answer.a[0]: expected "x", got "y""#,
        ),
        (
            json!("0x1"),
            json!("0x01"),
            r#"answer: expected "0x1", got "0x01""#,
        ),
        (
            json!(null),
            json!(false),
            "answer: expected null, got false",
        ),
    ] {
        assert_eq!(verdict(&expected, &found), told);
    }
}

#[test]
fn the_message_of_an_error_does_not_count_but_code_and_data_do() {
    let error = |code, message, data| json!({"x": [{"error": {"code": code, "message": message, "data": data}}]});
    assert_eq!(verdict(&error(3, "a", "0x"), &error(3, "b", "0x")), "same");
    assert!(verdict(&error(3, "a", "0x"), &error(4, "a", "0x")).contains("error.code"));
    assert!(verdict(&error(3, "a", "0x"), &error(3, "a", "0x01")).contains("error.data"));
    assert!(verdict(&json!({"error": {}}), &json!({"result": 1})).contains("answer.error"));
}
