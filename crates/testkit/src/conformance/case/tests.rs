//! Files as they are upstream, and broken ones.

use serde_json::json;

use super::*;

#[test]
fn comments_requests_and_responses_are_told_apart() {
    let text =
        "// does a thing\n>> {\"id\":1}\n<< {\"id\":1,\"result\":null}\n\n>> {\"id\":2}\n<< []\n";
    let case = Case::parse("eth_thing/simple", text).unwrap();
    assert_eq!(case.method(), "eth_thing");
    assert!(!case.only_schema);
    assert_eq!(
        case.exchanges,
        [
            Exchange {
                request: "{\"id\":1}".to_owned(),
                response: json!({"id": 1, "result": null})
            },
            Exchange {
                request: "{\"id\":2}".to_owned(),
                response: json!([])
            },
        ]
    );
}

#[test]
fn a_case_may_bind_the_form_only() {
    let text =
        "// first\n// speconly: client response is only checked for schema validity.\n>> {}\n<< {}";
    assert!(Case::parse("a/b", text).unwrap().only_schema);
}

#[test]
fn what_is_no_case_is_refused_with_its_line() {
    for (text, line, what) in [
        ("", 0, "no response"),
        (">> {}", 1, "no response"),
        ("<< {}", 1, "a response to nothing"),
        (
            ">> {}\n>> {}",
            2,
            "a request before the response to the last one",
        ),
        (">> {}\n<< {", 2, "a response that is not JSON"),
        ("hello", 1, "neither comment nor request nor response"),
    ] {
        let error = Case::parse("a/b", text).unwrap_err();
        assert_eq!((error.line, error.what), (line, what), "{text:?}");
    }
}
