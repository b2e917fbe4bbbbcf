//! A request to a server, as a client with a stream sees it.
//!
//! The client shares the processors with the server it measures, so while an answer comes it does no more than note
//! the time of each event; what the events say is read afterwards.

use super::workload::Request;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};
use ureq::Agent;

/// Longer than any answer takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_mins(20);

/// What is read of the body of a refusal.
const MOST_BYTES: u64 = 2000;

/// A client of one server. Each request has a connection of its own: llama-server closes one behind a stream without
/// saying so before, and both servers are to be asked in the same way.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    address: String,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When it was due.
    pub due: Instant,
    /// When it was over.
    pub ended: Instant,
    pub answer: Result<Answer, String>,
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// When each piece came. A piece is a token, except where a server joins several.
    pub pieces: Vec<Instant>,
    pub prompt_tokens: usize,
    pub output_tokens: usize,
}

impl Client {
    /// Of the server at `address`, such as `http://127.0.0.1:8080`.
    pub fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .max_idle_connections(0)
            .build();
        Self {
            agent: config.into(),
            address: address.to_owned(),
        }
    }

    /// The text at `path`, if the server answers with success.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut response = self
            .agent
            .get(format!("{}{path}", self.address))
            .call()
            .ok()?;
        let text = response.body_mut().read_to_string().ok()?;
        response.status().is_success().then_some(text)
    }

    /// Asks and reads the answer to its end. `due` is when the request should have been sent: what a client waits
    /// before it can send counts as well.
    pub fn ask(&self, request: &Request, due: Instant) -> Exchange {
        let received = self.receive(request);
        let ended = Instant::now();
        Exchange {
            due,
            ended,
            answer: received.and_then(|events| read(&events, request)),
        }
    }

    /// The data of all events, with the times at which they came.
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
        let response = self
            .agent
            .post(format!("{}/v1/completions", self.address))
            .header("content-type", "application/json")
            .send(body.to_string())
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let reader = response.into_body().into_reader();
        if !status.is_success() {
            let mut body = String::new();
            // Whatever can be read of it says more than the status alone.
            let _ = reader.take(MOST_BYTES).read_to_string(&mut body);
            return Err(format!("{status}: {}", body.trim()));
        }
        let mut reader = BufReader::new(reader);
        let mut events = Vec::with_capacity(request.output_tokens + 4);
        let mut line = String::new();
        loop {
            line.clear();
            let length = reader.read_line(&mut line);
            if length.map_err(|error| error.to_string())? == 0 {
                return Ok(events);
            }
            if let Some(data) = line.strip_prefix("data:") {
                events.push((Instant::now(), data.trim().to_owned()));
            }
        }
    }
}

/// What the events say.
fn read(events: &[(Instant, String)], request: &Request) -> Result<Answer, String> {
    let mut pieces = Vec::with_capacity(events.len());
    let mut silent = Vec::new();
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
        // Before the first text, an empty piece is no token; later it is one without text of its own.
        if has_text || (is_token && !pieces.is_empty()) {
            pieces.push(*at);
        } else if is_token {
            silent.push(*at);
        }
    }
    if pieces.is_empty() {
        // All tokens of the answer are ones without text.
        pieces = silent;
    }
    let count = |name: &str| usage[name].as_u64().map(|count| count as usize);
    let (Some(prompt_tokens), Some(output_tokens)) =
        (count("prompt_tokens"), count("completion_tokens"))
    else {
        return Err("the answer ended without its token counts".to_owned());
    };
    if pieces.is_empty() {
        return Err("the answer has no pieces, so there is nothing to time".to_owned());
    }
    if output_tokens != request.output_tokens {
        return Err(format!(
            "{output_tokens} tokens instead of {}",
            request.output_tokens
        ));
    }
    Ok(Answer {
        pieces,
        prompt_tokens,
        output_tokens,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
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

    /// The answer to one request that is answered with these bytes.
    fn ask(bytes: String, output_tokens: usize) -> Result<Answer, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
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
        let exchange = Client::new(&address).ask(&request(output_tokens), Instant::now());
        let body: Value = serde_json::from_slice(&server.join().unwrap()).unwrap();
        assert_eq!(body["max_tokens"], output_tokens);
        assert_eq!(body["ignore_eos"], true);
        exchange.answer
    }

    fn response(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn pieces_are_tokens_and_counts_come_from_the_usage() {
        let answer = ask(response(EVENTS), 3).unwrap();
        assert_eq!(answer.pieces.len(), 3);
        assert!(answer.pieces.is_sorted());
        assert_eq!((answer.prompt_tokens, answer.output_tokens), (9, 3));
    }

    #[test]
    fn an_answer_without_text_is_timed_by_its_tokens() {
        let events = EVENTS.replace("\"a\"", "\"\"").replace("\"b\"", "\"\"");
        assert_eq!(ask(response(&events), 3).unwrap().pieces.len(), 3);
    }

    #[test]
    fn what_is_no_whole_answer_is_an_error() {
        let error = ask(response(EVENTS), 4).unwrap_err();
        assert!(error.contains("3 tokens instead of 4"), "{error}");
        let error = ask(response(&EVENTS[..200]), 3).unwrap_err();
        assert!(!error.is_empty());
        let error = ask(response("data: {\"error\":{\"message\":\"no\"}}\n\n"), 3).unwrap_err();
        assert!(error.contains("no"), "{error}");
        let cut = response(EVENTS).replace(&format!("{}", EVENTS.len()), "9999");
        assert!(ask(cut, 3).is_err());
        let refusal = "HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfull";
        let error = ask(refusal.to_owned(), 3).unwrap_err();
        assert!(error.contains("503") && error.contains("full"), "{error}");
    }
}
