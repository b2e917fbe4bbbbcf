//! A server that speaks OpenAI's protocol over a plain socket, so that a test decides about every byte and every cut.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Far beyond what any step takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub authorization: Option<String>,
    /// `null` without one.
    pub body: Value,
}

/// What is sent back.
pub struct Reply {
    head: String,
    pieces: Vec<Vec<u8>>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    /// As the protocol wants it.
    Proper,
    /// The connection closes before the response is complete.
    Cut,
    /// The last piece comes again and again until nobody listens.
    Endless,
    /// Nothing more comes, and the connection stays open until the other side closes it.
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
            pieces: vec![body.as_bytes().to_vec()],
            end: End::Proper,
        }
    }

    /// These pieces, each in a chunk of its own.
    pub fn stream<T: AsRef<[u8]>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let pieces = pieces.into_iter();
        Self {
            head: "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_owned(),
            pieces: pieces.map(|piece| piece.as_ref().to_vec()).collect(),
            end: End::Proper,
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

    /// Sends it; true when the other side closed the connection first.
    fn send(&self, mut stream: &TcpStream) -> io::Result<bool> {
        let head = &self.head;
        write!(
            stream,
            "{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        )?;
        let chunk = |piece: &[u8]| -> io::Result<()> {
            let mut bytes = format!("{:x}\r\n", piece.len()).into_bytes();
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
            let mut stream = stream;
            stream.write_all(&bytes)
        };
        for piece in &self.pieces {
            chunk(piece)?;
        }
        match self.end {
            End::Proper => stream.write_all(b"0\r\n\r\n").map(|()| false),
            End::Cut => Ok(false),
            End::Endless => {
                while chunk(self.pieces.last().unwrap()).is_ok() {
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
pub struct ChatServer {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    hang_ups: Receiver<()>,
}

type Answers = dyn Fn(&Received) -> Reply + Send + Sync;

impl ChatServer {
    /// Lists these models, and answers everything else as the test says.
    pub fn start(
        models: &[&str],
        answers: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let entries = models.iter();
        let entries = entries.map(|name| json!({"id": name, "object": "model"}));
        let list = json!({"object": "list", "data": entries.collect::<Vec<_>>()});
        Self::start_bare(move |request| {
            if request.path == "/v1/models" {
                Reply::json(200, &list)
            } else {
                answers(request)
            }
        })
    }

    /// Answers everything as the test says.
    pub fn start_bare(answers: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers: Arc<Answers> = Arc::new(answers);
        let received = Arc::new(Mutex::new(Vec::new()));
        let (hung_up, hang_ups) = channel();
        let log = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, log, hung_up) =
                    (Arc::clone(&answers), Arc::clone(&log), hung_up.clone());
                // A client that leaves in the middle is part of some tests.
                std::thread::spawn(move || serve(&stream, &*answers, &log, &hung_up));
            }
        });
        Self {
            address,
            received,
            hang_ups,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests for answers so far.
    pub fn received(&self) -> Vec<Received> {
        let received = self.received.lock().unwrap();
        let asks = received.iter().filter(|request| !request.body.is_null());
        asks.cloned().collect()
    }

    /// The only request for an answer.
    #[track_caller]
    pub fn body(&self) -> Value {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received[0].body.clone()
    }

    /// Waits until a client has closed its connection before the end of a reply.
    #[track_caller]
    pub fn expect_hang_up(&self) {
        self.hang_ups.recv_timeout(PATIENCE).unwrap();
    }
}

fn serve(
    stream: &TcpStream,
    answers: &Answers,
    log: &Mutex<Vec<Received>>,
    hung_up: &Sender<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let request = receive(stream)?;
    log.lock().unwrap().push(request.clone());
    if answers(&request).send(stream)? {
        let _ = hung_up.send(());
    }
    Ok(())
}

fn receive(stream: &TcpStream) -> io::Result<Received> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut request = Received {
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

/// An event with this data.
pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// A piece of an answer in a chat.
pub fn said(text: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}))
}

/// A piece of thinking that the server tells apart.
pub fn thought(text: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {"reasoning_content": text}}]}))
}

/// The end of an answer, with the counts of a prompt of 20 tokens, 12 of them cached, and 5 of the answer.
pub fn ended(reason: &str) -> String {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    let usage = json!({"choices": [], "usage": {
        "prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 12},
    }});
    event(&end) + &event(&usage) + "data: [DONE]\n\n"
}

/// A whole answer in a chat.
pub fn answer(text: &str) -> Reply {
    Reply::stream([said(text), ended("stop")])
}
