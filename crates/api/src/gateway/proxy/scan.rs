//! Finds the top-level keys of a JSON body that the gateway needs, in one pass over its chunks and without parsing the rest.
//!
//! Every valid JSON object is read as `serde_json` reads it, so that the gateway and the worker see the same model. Of what is
//! no JSON object, the scanner notices only what the search for top-level keys meets: brackets of nested values need not match,
//! and numbers are not parsed. Such a body is the worker's to reject.

use super::text::{Progress, Text};
use super::ttl::KeepAlive;

/// Longest literal that is captured; the known keys have shorter ones.
const MAX_LITERAL: usize = 64;

/// What the gateway reads from a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopLevel {
    /// `model`; `null` counts as absent.
    pub model: Option<String>,
    /// Whether `stream` is `true`.
    pub stream: bool,
    /// `ttl` as in LM Studio, or `keep_alive` as in Ollama; with both, `ttl`.
    pub keep_alive: Option<KeepAlive>,
}

/// Why a body cannot be forwarded by its `model`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It is not a JSON object.
    #[error("the request body is not a JSON object")]
    NotAnObject,
    /// The gateway and the worker could take different ones.
    #[error("model is given more than once: send it once")]
    DuplicateModel,
    /// It is neither a string nor null.
    #[error("model must be a string")]
    ModelType,
    /// No name is that long.
    #[error("model is longer than {} bytes", Text::MAX_BYTES)]
    ModelTooLong,
    /// It is not a time.
    #[error(
        "{0} must be a number of seconds, or a time such as \"90s\", \"10m\" or \"1h30m\"; 0 stops the model when it is idle, -1 \
         keeps it"
    )]
    KeepAlive(&'static str),
}

/// The top-level key whose value is being read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Key {
    Model,
    Stream,
    Ttl,
    KeepAlive,
    #[default]
    Other,
}

impl Key {
    fn of(text: &Text) -> Self {
        match text.as_str() {
            Some("model") => Self::Model,
            Some("stream") => Self::Stream,
            Some("ttl") => Self::Ttl,
            Some("keep_alive") => Self::KeepAlive,
            _ => Self::Other,
        }
    }
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    FirstKey,
    NextKey,
    Key,
    Colon,
    Value,
    /// A string of a known key.
    Text,
    /// A number, `true`, `false` or `null`.
    Literal,
    /// An array or object, this many levels deep.
    Nested(usize),
    /// A string that is not needed, in an array or object of this depth or at the top level (0).
    Skipped {
        depth: usize,
        escaped: bool,
    },
    /// After a value.
    Separator,
    End,
}

/// A scan in progress.
#[derive(Debug, Default)]
pub struct Scanner {
    state: State,
    key: Key,
    text: Text,
    literal: Vec<u8>,
    has_model: bool,
    model: Option<String>,
    stream: bool,
    ttl: Option<KeepAlive>,
    keep_alive: Option<KeepAlive>,
    error: Option<ScanError>,
}

impl Scanner {
    /// Reads the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.error.is_none() {
            // Nearly all of a large body is skipped here.
            let skipped = match self.state {
                State::Skipped { escaped: false, .. } => {
                    rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))
                }
                State::Nested(_) => rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')),
                _ => Some(0),
            };
            let next = skipped.and_then(|skipped| rest.get(skipped..)?.split_first());
            let Some((byte, after)) = next else {
                return;
            };
            rest = after;
            match self.step(*byte) {
                Ok(state) => self.state = state,
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// The result, at the end of the body.
    ///
    /// # Errors
    /// The first problem in the body.
    pub fn finish(self) -> Result<TopLevel, ScanError> {
        match self.error {
            Some(error) => Err(error),
            None if self.state != State::End => Err(ScanError::NotAnObject),
            None => Ok(TopLevel {
                model: self.model,
                stream: self.stream,
                keep_alive: self.ttl.or(self.keep_alive),
            }),
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, ScanError> {
        Ok(match (self.state, byte) {
            (State::Key, _) => match self.text.push(byte) {
                Progress::More => State::Key,
                Progress::Complete => {
                    self.key = Key::of(&self.text);
                    if self.key == Key::Model && std::mem::replace(&mut self.has_model, true) {
                        return Err(ScanError::DuplicateModel);
                    }
                    State::Colon
                }
                Progress::Invalid => return Err(ScanError::NotAnObject),
            },
            (State::Text, _) => match self.text.push(byte) {
                Progress::More => State::Text,
                Progress::Complete => {
                    self.take_text()?;
                    State::Separator
                }
                Progress::Invalid => return Err(ScanError::NotAnObject),
            },
            (State::Skipped { depth, escaped }, _) => match byte {
                b'"' if !escaped && depth == 0 => State::Separator,
                b'"' if !escaped => State::Nested(depth),
                _ => State::Skipped {
                    depth,
                    escaped: byte == b'\\' && !escaped,
                },
            },
            (State::Nested(depth), b'"') => State::Skipped {
                depth,
                escaped: false,
            },
            (State::Nested(depth), b'{' | b'[') => State::Nested(depth + 1),
            (State::Nested(1), b'}' | b']') => State::Separator,
            (State::Nested(depth), b'}' | b']') => State::Nested(depth - 1),
            (State::Literal, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r') => {
                self.take_literal()?;
                match byte {
                    b',' => State::NextKey,
                    b'}' => State::End,
                    _ => State::Separator,
                }
            }
            (State::Literal, _) => self.literal(byte)?,
            (state, b' ' | b'\t' | b'\n' | b'\r') => state,
            (State::Start, b'{') => State::FirstKey,
            (State::FirstKey | State::NextKey, b'"') => {
                self.text.clear();
                State::Key
            }
            (State::FirstKey | State::Separator, b'}') => State::End,
            (State::Colon, b':') => State::Value,
            (State::Separator, b',') => State::NextKey,
            (State::Value, _) => self.begin_value(byte)?,
            _ => return Err(ScanError::NotAnObject),
        })
    }

    fn begin_value(&mut self, byte: u8) -> Result<State, ScanError> {
        match (byte, self.key) {
            // The last value of a key counts, as for the worker.
            (b'"' | b'{' | b'[', Key::Stream) => self.stream = false,
            (b'{' | b'[', Key::Model) => return Err(ScanError::ModelType),
            (b'{' | b'[', Key::Ttl) => return Err(ScanError::KeepAlive("ttl")),
            (b'{' | b'[', Key::KeepAlive) => return Err(ScanError::KeepAlive("keep_alive")),
            _ => {}
        }
        Ok(match (byte, self.key) {
            (b'"', Key::Other | Key::Stream) => State::Skipped {
                depth: 0,
                escaped: false,
            },
            (b'"', _) => {
                self.text.clear();
                State::Text
            }
            (b'{' | b'[', _) => State::Nested(1),
            _ => {
                self.literal.clear();
                self.literal(byte)?
            }
        })
    }

    fn literal(&mut self, byte: u8) -> Result<State, ScanError> {
        if !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.') {
            return Err(ScanError::NotAnObject);
        }
        if self.literal.len() <= MAX_LITERAL {
            self.literal.push(byte);
        }
        Ok(State::Literal)
    }

    fn take_text(&mut self) -> Result<(), ScanError> {
        if self.key == Key::Model {
            if self.text.is_truncated() {
                return Err(ScanError::ModelTooLong);
            }
            let model = self.text.as_str().ok_or(ScanError::NotAnObject)?;
            self.model = Some(model.to_owned());
            return Ok(());
        }
        let time = self.text.as_str().and_then(KeepAlive::from_text);
        self.take_keep_alive(time)
    }

    fn take_literal(&mut self) -> Result<(), ScanError> {
        let literal = &*self.literal;
        match self.key {
            Key::Other => Ok(()),
            Key::Stream => {
                self.stream = literal == b"true";
                Ok(())
            }
            Key::Model if literal == b"null" => Ok(()),
            Key::Model => Err(ScanError::ModelType),
            Key::Ttl if literal == b"null" => {
                self.ttl = None;
                Ok(())
            }
            Key::KeepAlive if literal == b"null" => {
                self.keep_alive = None;
                Ok(())
            }
            Key::Ttl | Key::KeepAlive => {
                let number = std::str::from_utf8(literal).ok();
                let seconds = number.and_then(|number| number.parse().ok());
                self.take_keep_alive(seconds.and_then(KeepAlive::from_seconds))
            }
        }
    }

    /// Takes the time of the current key; `None` is an invalid one.
    fn take_keep_alive(&mut self, time: Option<KeepAlive>) -> Result<(), ScanError> {
        let (field, name) = if self.key == Key::Ttl {
            (&mut self.ttl, "ttl")
        } else {
            (&mut self.keep_alive, "keep_alive")
        };
        *field = Some(time.ok_or(ScanError::KeepAlive(name))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
