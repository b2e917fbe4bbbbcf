//! Errors of the gateway's API as text.

use std::fmt::Write as _;

use mlxm_api::wire::Problem;
use serde::Deserialize as _;
use serde_json::Value;

/// Parses the body of an error response; `None` if it has another format.
pub fn parse(body: &Value) -> Option<Problem> {
    Problem::deserialize(body).ok()
}

/// What is wrong, the fields that are not valid, and what to do next, on lines of their own.
pub fn describe(problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    for error in &problem.errors {
        let _ = write!(text, "\n  {}: {}", error.field, error.message);
    }
    match (&problem.advice, problem.status) {
        (Some(advice), _) => text + "\n  " + advice,
        (None, 401 | 403) => {
            text + "\n  set a key that may manage the gateway with --api-key or MLXM_API_KEY"
        }
        (None, _) => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(status: u16, more: &Value) -> Value {
        let mut body = json!({
            "type": "urn:mlxm:error:x", "title": "X", "status": status, "code": "x", "detail": "it is wrong",
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[test]
    fn problems_show_detail_fields_and_advice() {
        let body = problem(
            422,
            &json!({
                "advice": "correct the fields",
                "request_id": "1",
                "errors": [{"field": "port", "code": "out_of_range", "message": "must be at least 1024"}],
            }),
        );
        assert_eq!(
            describe(&parse(&body).unwrap()),
            "it is wrong\n  port: must be at least 1024\n  correct the fields"
        );
        let forbidden = parse(&problem(403, &json!({}))).unwrap();
        assert!(describe(&forbidden).contains("MLXM_API_KEY"));
        let missing = parse(&problem(404, &json!({}))).unwrap();
        assert_eq!(describe(&missing), "it is wrong");
    }

    #[test]
    fn other_formats_are_no_problems() {
        for body in [
            json!({"error": {"message": "no", "type": "invalid_request_error"}}),
            json!({"detail": "no"}),
            json!("no"),
        ] {
            assert_eq!(parse(&body), None);
        }
    }
}
