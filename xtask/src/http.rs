//! A minimal HTTP/1.1 client for servers on this machine: one request per connection.
//!
//! Benchmarks need the time at which each line of a stream arrives and as little CPU time of their own as possible, so a
//! TCP stream and the two body framings that the servers use are enough.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any response takes; only a hang reaches it.
const TIMEOUT: Duration = Duration::from_mins(20);

/// A response whose body has not been read.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: BufReader<Body>,
}

/// Sends a request to `address` (`HOST:PORT`); with a JSON body it is a POST, else a GET.
pub fn send(address: &str, path: &str, json: Option<&str>) -> io::Result<Response> {
    Response::read(begin(address, path, &[], json)?)
}

/// As [`send`] with further headers, without waiting for the response. Dropping the connection disconnects.
pub fn begin(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    json: Option<&str>,
) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let method = if json.is_some() { "POST" } else { "GET" };
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for &(name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    if let Some(body) = json {
        let length = body.len().to_string();
        request.extend([
            "content-type: application/json\r\ncontent-length: ",
            length.as_str(),
            "\r\n",
        ]);
    }
    request.extend(["\r\n", json.unwrap_or_default()]);
    (&stream).write_all(request.as_bytes())?;
    Ok(stream)
}

impl Response {
    /// Reads the head of the response.
    pub fn read(stream: TcpStream) -> io::Result<Self> {
        let mut stream = BufReader::new(stream);
        let line = read_line(&mut stream)?;
        let status = line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| invalid(format!("not an HTTP response: {line}")))?;
        let mut framing = Framing::UntilClosed;
        loop {
            let line = read_line(&mut stream)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                framing = Framing::Length(value.parse().map_err(invalid)?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunked { remaining: 0 };
            }
        }
        Ok(Self {
            status,
            body: BufReader::new(Body { stream, framing }),
        })
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as a stream of events.
    pub fn events(self) -> Events {
        Events {
            body: self.body,
            line: String::new(),
        }
    }
}

/// An event of a stream, as far as the APIs use the format: each has one line of data, and its name is in the data, too.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The text after `data:`.
    Data(&'a str),
    /// A comment, which servers send while they have no data.
    Comment,
}

/// Reads the events of a stream.
#[derive(Debug)]
pub struct Events {
    body: BufReader<Body>,
    line: String,
}

impl Events {
    /// Waits for the next event; `None` at the end of the body.
    pub fn next_event(&mut self) -> io::Result<Option<Event<'_>>> {
        loop {
            self.line.clear();
            if self.body.read_line(&mut self.line)? == 0 {
                return Ok(None);
            }
            if self.line.starts_with(':') {
                return Ok(Some(Event::Comment));
            }
            if self.line.starts_with("data:") {
                break;
            }
        }
        let data = self.line.strip_prefix("data:");
        Ok(data.map(|data| Event::Data(data.trim())))
    }
}

/// A response body without its framing.
#[derive(Debug)]
pub struct Body {
    stream: BufReader<TcpStream>,
    framing: Framing,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    /// Bytes that are still to come.
    Length(usize),
    /// Bytes of the current chunk that are still to come.
    Chunked {
        remaining: usize,
    },
    UntilClosed,
    Complete,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunked { remaining: 0 } = self.framing {
            let size = read_line(&mut self.stream)?;
            // Extensions may follow the size.
            let digits = size.split(';').next().unwrap_or_default().trim();
            let remaining = usize::from_str_radix(digits, 16).map_err(invalid)?;
            self.framing = if remaining == 0 {
                Framing::Complete
            } else {
                Framing::Chunked { remaining }
            };
        }
        let limit = match self.framing {
            Framing::Length(remaining) | Framing::Chunked { remaining } => remaining,
            Framing::UntilClosed => usize::MAX,
            Framing::Complete => 0,
        };
        let limit = limit.min(buffer.len());
        let count = self.stream.read(&mut buffer[..limit])?;
        if count == 0 && limit > 0 && !matches!(self.framing, Framing::UntilClosed) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &mut self.framing {
            Framing::Length(remaining) => *remaining -= count,
            Framing::Chunked { remaining } => {
                *remaining -= count;
                if *remaining == 0 {
                    // The line break after the chunk.
                    read_line(&mut self.stream)?;
                }
            }
            Framing::UntilClosed | Framing::Complete => {}
        }
        Ok(count)
    }
}

/// A line without its line break; the end of the stream is an error.
fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What `read` returns for a response with these bytes.
    fn receive_with<T>(
        bytes: &'static str,
        read: impl FnOnce(Response) -> io::Result<T>,
    ) -> io::Result<T> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let server = std::thread::spawn(move || -> io::Result<()> {
            let (stream, _) = listener.accept()?;
            let mut reader = BufReader::new(&stream);
            while !read_line(&mut reader)?.is_empty() {}
            (&stream).write_all(bytes.as_bytes())
        });
        let result = read(send(&address, "/", None)?);
        server.join().unwrap()?;
        result
    }

    /// The status and body of a response with these bytes.
    fn receive(bytes: &'static str) -> io::Result<(u16, String)> {
        receive_with(bytes, |mut response| {
            let mut body = String::new();
            response.body.read_to_string(&mut body)?;
            Ok((response.status, body))
        })
    }

    #[test]
    fn request_has_further_headers_before_its_body() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stream = begin(&address, "/a", &[("x-request-id", "1")], Some("{}")).unwrap();
        drop(stream);
        let mut request = String::new();
        let (mut received, _) = listener.accept().unwrap();
        received.read_to_string(&mut request).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /a HTTP/1.1\r\n"), "{head}");
        for line in ["x-request-id: 1", "content-length: 2"] {
            assert!(head.lines().any(|other| other == line), "{head}");
        }
        assert_eq!(body, "{}");
    }

    #[test]
    fn chunks_are_joined() {
        let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\nA;x=y\r\n\r\n, world!\r\n0\r\n\r\n";
        assert_eq!(
            receive(response).unwrap(),
            (200, "hello\r\n, world!".to_owned())
        );
    }

    #[test]
    fn body_ends_at_its_length_or_with_the_connection() {
        let response = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nfull and more";
        assert_eq!(receive(response).unwrap(), (503, "full".to_owned()));
        let response = "HTTP/1.0 200 OK\r\n\r\nall of it";
        assert_eq!(receive(response).unwrap(), (200, "all of it".to_owned()));
    }

    #[test]
    fn events_are_data_and_comments() {
        let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            10\r\nevent: a\ndata: {\r\n1b\r\n\"x\":1}\n\n: keepalive\n\ndata:b\r\n0\r\n\r\n";
        let mut received = Vec::new();
        let end = receive_with(response, |response| {
            let mut events = response.events();
            while let Some(event) = events.next_event()? {
                received.push(match event {
                    Event::Data(data) => data.to_owned(),
                    Event::Comment => "comment".to_owned(),
                });
            }
            Ok(())
        });
        end.unwrap();
        assert_eq!(received, ["{\"x\":1}", "comment", "b"]);
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ndata: a\n\n";
        let end = receive_with(cut, |response| {
            let mut events = response.events();
            assert_eq!(events.next_event()?, Some(Event::Data("a")));
            events.next_event().map(|event| event.is_none())
        });
        assert!(end.is_err(), "{end:?}");
    }

    #[test]
    fn truncated_responses_are_errors() {
        for response in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "SSH-2.0-server\r\n",
        ] {
            assert!(receive(response).is_err(), "{response}");
        }
    }
}
