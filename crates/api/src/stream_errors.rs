//! An error as the end of a stream, in the form of each API. Each function takes the body that the error has as a response.

use serde_json::{Value, json};

use crate::sse::Message;

/// Chat completions and completions: the body, and the end of the stream.
pub fn completions(body: Value) -> [Message; 2] {
    [Message::Data(body), Message::Done]
}

/// Messages: an `error` event.
pub fn messages(body: Value) -> Message {
    Message::Named("error", body)
}

/// Responses: the data of the `error` event, without type and sequence number.
pub fn response_error(body: &Value) -> Value {
    let error = &body["error"];
    let code = match &error["code"] {
        Value::Null => error["type"].clone(),
        code => code.clone(),
    };
    json!({"code": code, "message": error["message"], "param": error["param"]})
}

/// Responses: `response` as failed, for the `response.failed` event.
pub fn failed_response(mut response: Value, body: &Value) -> Value {
    response["status"] = "failed".into();
    response["error"] = json!({"code": "server_error", "message": body["error"]["message"]});
    response
}

/// Responses: an event with its type and sequence number.
pub fn response_event(name: &'static str, sequence_number: u64, data: Value) -> Message {
    let mut event = json!({"type": name, "sequence_number": sequence_number});
    if let (Value::Object(event), Value::Object(data)) = (&mut event, data) {
        event.extend(data);
    }
    Message::Named(name, event)
}
