//! A fake OpenAI-compatible server on a plain socket, so that tests control every byte and disconnect.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Far longer than any step; only reached if the client hangs.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A received request.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    /// `null` without a body.
    pub body: Value,
}

/// A response.
pub struct Reply {
    head: String,
    chunks: Vec<Vec<u8>>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    /// The response is complete.
    Complete,
    /// The connection closes before the response is complete.
    Cut,
    /// The last chunk is repeated until the client disconnects.
    Endless,
    /// Nothing more is sent; the connection stays open until the client disconnects.
    Silent,
}

impl Reply {
    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    /// Any body.
    pub fn text(status: u16, body: &str) -> Self {
        Self {
            head: format!("HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n"),
            chunks: vec![body.as_bytes().to_vec()],
            end: End::Complete,
        }
    }

    /// An event stream; each item is a chunk of the transfer encoding.
    pub fn stream<T: AsRef<[u8]>>(chunks: impl IntoIterator<Item = T>) -> Self {
        Self {
            head: "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_owned(),
            chunks: chunks
                .into_iter()
                .map(|chunk| chunk.as_ref().to_vec())
                .collect(),
            end: End::Complete,
        }
    }

    pub fn header(mut self, line: &str) -> Self {
        self.head.push_str(line);
        self.head.push_str("\r\n");
        self
    }

    pub fn cut(self) -> Self {
        Self {
            end: End::Cut,
            ..self
        }
    }

    pub fn endless(self) -> Self {
        Self {
            end: End::Endless,
            ..self
        }
    }

    pub fn silent(self) -> Self {
        Self {
            end: End::Silent,
            ..self
        }
    }

    /// Sends the response; true if the client disconnected first.
    fn send(&self, mut stream: &TcpStream) -> io::Result<bool> {
        let head = &self.head;
        write!(
            stream,
            "{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        )?;
        let send_chunk = |chunk: &[u8]| -> io::Result<()> {
            let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            let mut stream = stream;
            stream.write_all(&bytes)
        };
        for chunk in &self.chunks {
            send_chunk(chunk)?;
        }
        match self.end {
            End::Complete => stream.write_all(b"0\r\n\r\n").map(|()| false),
            End::Cut => Ok(false),
            End::Endless => {
                while send_chunk(self.chunks.last().unwrap()).is_ok() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(true)
            }
            End::Silent => {
                let mut rest = [0; 1];
                let _ = stream.read(&mut rest);
                Ok(true)
            }
        }
    }
}

/// The server; it runs until the test ends.
pub struct FakeServer {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    disconnects: Receiver<()>,
}

type Handler = dyn Fn(&Received) -> Reply + Send + Sync;

impl FakeServer {
    /// Lists these models; `handler` handles all other requests.
    pub fn start(
        models: &[&str],
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let entries = models.iter();
        let entries = entries.map(|name| json!({"id": name, "object": "model"}));
        let list = json!({"object": "list", "data": entries.collect::<Vec<_>>()});
        Self::with_handler(move |request| {
            if request.path == "/v1/models" {
                Reply::json(200, &list)
            } else {
                handler(request)
            }
        })
    }

    /// `handler` handles all requests.
    pub fn with_handler(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let handler: Arc<Handler> = Arc::new(handler);
        let received = Arc::new(Mutex::new(Vec::new()));
        let (disconnected, disconnects) = channel();
        let log = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, log, disconnected) =
                    (Arc::clone(&handler), Arc::clone(&log), disconnected.clone());
                // Some tests disconnect, which is an error here.
                std::thread::spawn(move || serve(&stream, &*handler, &log, &disconnected));
            }
        });
        Self {
            address,
            received,
            disconnects,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests with a body so far.
    pub fn received(&self) -> Vec<Received> {
        let received = self.received.lock().unwrap();
        let with_body = received.iter().filter(|request| !request.body.is_null());
        with_body.cloned().collect()
    }

    /// The body of the only request with a body.
    #[track_caller]
    pub fn body(&self) -> Value {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received[0].body.clone()
    }

    /// Waits until a client has disconnected before the end of a response.
    #[track_caller]
    pub fn expect_disconnect(&self) {
        self.disconnects.recv_timeout(TIMEOUT).unwrap();
    }
}

fn serve(
    stream: &TcpStream,
    handler: &Handler,
    log: &Mutex<Vec<Received>>,
    disconnected: &Sender<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let request = receive(stream)?;
    log.lock().unwrap().push(request.clone());
    if handler(&request).send(stream)? {
        let _ = disconnected.send(());
    }
    Ok(())
}

fn receive(stream: &TcpStream) -> io::Result<Received> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut request = Received {
        method: first.split(' ').next().unwrap_or_default().to_owned(),
        path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        authorization: None,
        body: Value::Null,
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !body.is_empty() {
        request.body = serde_json::from_slice(&body).unwrap();
    }
    Ok(request)
}

/// A server-sent event.
pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// A content delta of a chat completion.
pub fn content(text: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}))
}

/// A reasoning delta of a chat completion.
pub fn reasoning(text: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {"reasoning_content": text}}]}))
}

/// The end of a completion with a usage of 20 prompt tokens, 12 of them cached, and 5 generated tokens.
pub fn finish(reason: &str) -> String {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    let usage = json!({"choices": [], "usage": {
        "prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 12},
    }});
    event(&end) + &event(&usage) + "data: [DONE]\n\n"
}

/// A complete chat completion.
pub fn completion(text: &str) -> Reply {
    Reply::stream([content(text), finish("stop")])
}
