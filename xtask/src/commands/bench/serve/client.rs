//! A request to a server, as a streaming client sees it.
//!
//! The client shares the CPU with the server it measures, so during a response it only records the time of each event and
//! parses the events afterwards.

use super::workload::Request;
use crate::http::{self, Event, Response};
use serde_json::{Value, json};
use std::io::Read;
use std::time::Instant;

/// Bytes of an error response that are shown.
const MAX_ERROR_BYTES: u64 = 2000;

/// A client of one server. Each request has its own connection: llama-server closes a connection after a stream without
/// announcing it, and both servers are driven the same way.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    /// The `authorization` header, if the server requires one.
    authorization: Option<String>,
}

/// The outcome of a request.
#[derive(Clone, Debug)]
pub struct RequestOutcome {
    /// When the request was due.
    pub due: Instant,
    /// When it was complete or failed.
    pub ended: Instant,
    pub completion: Result<Completion, String>,
}

/// A complete response.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// When each event with a token arrived; a server may put several tokens into one event.
    pub token_times: Vec<Instant>,
    pub prompt_tokens: usize,
    pub output_tokens: usize,
}

impl Client {
    /// A client of the server at `address`, such as `127.0.0.1:8080`.
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            authorization: None,
        }
    }

    /// Sends this API key with completions.
    pub fn with_key(self, key: &str) -> Self {
        Self {
            authorization: Some(format!("Bearer {key}")),
            ..self
        }
    }

    /// The text at `path`, if the server returns a success status.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut response = http::send(&self.address, path, None).ok()?;
        let mut text = String::new();
        response.body.read_to_string(&mut text).ok()?;
        response.is_success().then_some(text)
    }

    /// Sends the request and reads the response to its end. `due` is when it should have been sent, so that waiting
    /// before sending counts as latency.
    pub fn complete(&self, request: &Request, due: Instant) -> RequestOutcome {
        let received = self.receive(request);
        let ended = Instant::now();
        RequestOutcome {
            due,
            ended,
            completion: received.and_then(|events| parse(&events, request)),
        }
    }

    /// The data of all events with their arrival times.
    fn receive(&self, request: &Request) -> Result<Vec<(Instant, String)>, String> {
        let body = json!({
            "model": "default",
            "prompt": request.prompt,
            "max_tokens": request.output_tokens,
            "temperature": 0,
            "ignore_eos": true,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let headers: Vec<_> = self
            .authorization
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        let body = body.to_string();
        let response = http::begin(&self.address, "/v1/completions", &headers, Some(&body))
            .and_then(Response::read)
            .map_err(|error| error.to_string())?;
        if !response.is_success() {
            let mut body = String::new();
            let mut reader = response.body.take(MAX_ERROR_BYTES);
            // A partial body is better than the status alone.
            let _ = reader.read_to_string(&mut body);
            return Err(format!("status {}: {}", response.status, body.trim()));
        }
        let mut received = Vec::with_capacity(request.output_tokens + 4);
        let mut events = response.events();
        while let Some(event) = events.next_event().map_err(|error| error.to_string())? {
            if let Event::Data(data) = event {
                received.push((Instant::now(), data.to_owned()));
            }
        }
        Ok(received)
    }
}

/// Reads token times and counts from the events.
fn parse(events: &[(Instant, String)], request: &Request) -> Result<Completion, String> {
    let mut token_times = Vec::with_capacity(events.len());
    let mut times_without_text = Vec::new();
    let mut usage = Value::Null;
    for (at, data) in events {
        if data == "[DONE]" {
            break;
        }
        let chunk: Value =
            serde_json::from_str(data).map_err(|error| format!("{error} in {data}"))?;
        if !chunk["error"].is_null() {
            return Err(chunk["error"].to_string());
        }
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        let has_text = choice["text"].as_str().is_some_and(|text| !text.is_empty());
        let is_token = choice.is_object() && choice["finish_reason"].is_null();
        // Before the first text an empty event is no token; later it is a token without text.
        if has_text || (is_token && !token_times.is_empty()) {
            token_times.push(*at);
        } else if is_token {
            times_without_text.push(*at);
        }
    }
    if token_times.is_empty() {
        // The response consists of tokens without text.
        token_times = times_without_text;
    }
    let count = |name: &str| usage[name].as_u64().map(|count| count as usize);
    let (Some(prompt_tokens), Some(output_tokens)) =
        (count("prompt_tokens"), count("completion_tokens"))
    else {
        return Err("the response ended without token counts".to_owned());
    };
    if token_times.is_empty() {
        return Err("the response has no tokens".to_owned());
    }
    if output_tokens != request.output_tokens {
        return Err(format!(
            "{output_tokens} tokens instead of {}",
            request.output_tokens
        ));
    }
    Ok(Completion {
        token_times,
        prompt_tokens,
        output_tokens,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    const EVENTS: &str = "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":null}]}\n\n\
        : keepalive\n\n\
        data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":null}]}\n\n\
        data: {\"choices\":[{\"text\":\"\",\"finish_reason\":null}]}\n\n\
        data: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"length\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";

    fn request(output_tokens: usize) -> Request {
        Request {
            prompt: "hi".to_owned(),
            output_tokens,
        }
    }

    /// The completion that a client reads from a response with these bytes.
    fn complete(bytes: String, output_tokens: usize) -> Result<Completion, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            let mut length = 0;
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            (&stream).write_all(bytes.as_bytes()).unwrap();
            body
        });
        let outcome = Client::new(&address).complete(&request(output_tokens), Instant::now());
        let body: Value = serde_json::from_slice(&server.join().unwrap()).unwrap();
        assert_eq!(body["max_tokens"], output_tokens);
        assert_eq!(body["ignore_eos"], true);
        outcome.completion
    }

    fn response(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn completion_has_token_times_and_usage_counts() {
        let completion = complete(response(EVENTS), 3).unwrap();
        assert_eq!(completion.token_times.len(), 3);
        assert!(completion.token_times.is_sorted());
        assert_eq!((completion.prompt_tokens, completion.output_tokens), (9, 3));
    }

    #[test]
    fn completion_without_text_is_timed_by_its_tokens() {
        let events = EVENTS.replace("\"a\"", "\"\"").replace("\"b\"", "\"\"");
        assert_eq!(complete(response(&events), 3).unwrap().token_times.len(), 3);
    }

    #[test]
    fn incomplete_responses_are_errors() {
        let error = complete(response(EVENTS), 4).unwrap_err();
        assert!(error.contains("3 tokens instead of 4"), "{error}");
        let error = complete(response(&EVENTS[..200]), 3).unwrap_err();
        assert!(!error.is_empty());
        let error =
            complete(response("data: {\"error\":{\"message\":\"no\"}}\n\n"), 3).unwrap_err();
        assert!(error.contains("no"), "{error}");
        let cut = response(EVENTS).replace(&format!("{}", EVENTS.len()), "9999");
        assert!(complete(cut, 3).is_err());
        let rejection = "HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfull";
        let error = complete(rejection.to_owned(), 3).unwrap_err();
        assert!(error.contains("503") && error.contains("full"), "{error}");
    }
}
