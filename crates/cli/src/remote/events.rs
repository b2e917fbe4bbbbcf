//! Server-sent events out of the bytes of a response. See <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

/// An incremental decoder: bytes in, cut anywhere; the data of whole events out.
///
/// Lines end with LF or CR LF; the lone CR that the specification allows as well is not written by servers of this kind.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    data: Option<String>,
}

impl Decoder {
    /// Takes the next bytes and returns the data of the events that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            // A character is never cut here: its bytes are in one line, and the line is whole.
            let line = String::from_utf8_lossy(&line);
            self.take(line.strip_suffix('\r').unwrap_or(&line), &mut events);
        }
        self.line.extend_from_slice(rest);
        events
    }

    fn take(&mut self, line: &str, events: &mut Vec<String>) {
        if line.is_empty() {
            events.extend(self.data.take());
            return;
        }
        // Other fields, and comments, which keep a connection alive, say nothing about an answer.
        let Some(value) = line.strip_prefix("data:") else {
            return;
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ": keepalive\n\ndata: {\"text\": \"ü🦀\"}\n\nevent: delta\r\nid: 7\r\ndata:one\r\ndata: two\r\n\r\n\
        retry: 10\n\ndata: [DONE]\n\ndata: never ended";

    #[test]
    fn every_cut_gives_the_same_events() {
        let expected = ["{\"text\": \"ü🦀\"}", "one\ntwo", "[DONE]"];
        let bytes = TEXT.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut decoder = Decoder::default();
                let events: Vec<String> =
                    [&bytes[..first], &bytes[first..second], &bytes[second..]]
                        .into_iter()
                        .flat_map(|piece| decoder.push(piece))
                        .collect();
                assert_eq!(events, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_event_comes_as_soon_as_it_is_whole() {
        let mut decoder = Decoder::default();
        assert!(decoder.push(b"data: a\n").is_empty());
        assert_eq!(decoder.push(b"\ndata: b"), ["a"]);
        assert_eq!(decoder.push(b"\n\n"), ["b"]);
        assert!(decoder.push(b"data\n\n").is_empty());
    }
}
