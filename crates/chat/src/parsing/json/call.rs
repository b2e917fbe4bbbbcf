//! Calls as JSON objects with a name and arguments.

use super::{ArgumentsParser, Scanner, StringDecoder, Verdict};
use crate::parsing::context::Context;
use crate::parsing::input::{MAX_NAME_BYTES, Match};

/// Further keys of a call.
const OTHER_KEYS: [&str; 4] = ["id", "type", "index", "tool_call_id"];

/// Parses one object or a list: `[{…}, {…}]`, `{…}; {…}`. The name and the arguments may be in an object `function`.
///
/// After a call, an entry that names no tool is content, without the separators and the end of the list.
///
/// Without a delimiter, an object is a call only if it has arguments and no other keys than those of calls before them, so
/// that JSON with a name is content.
#[derive(Debug)]
pub(crate) struct JsonCallsParser {
    state: ListState,
    in_array: bool,
    keys: Keys,
    /// Whether an object was read.
    has_objects: bool,
}

/// Keys that an object may have before its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Any keys.
    Any,
    /// Only keys of calls.
    OfCalls,
}

#[derive(Debug)]
enum ListState {
    First,
    Next,
    Object(ObjectParser),
    /// An object after a call that names no tool.
    Rejected(Scanner),
    AfterItem,
}

impl JsonCallsParser {
    /// After a delimiter, where any object is a call.
    pub fn delimited() -> Self {
        Self::new(Keys::Any)
    }

    /// Without a delimiter, where an object with other keys than those of a call is content.
    pub fn undelimited() -> Self {
        Self::new(Keys::OfCalls)
    }

    /// Without a delimiter, after the opening `{` of an object or the `[` of a list.
    pub fn after_bracket(bracket: char) -> Self {
        let mut parser = Self::undelimited();
        if bracket == '[' {
            parser.in_array = true;
            parser.state = ListState::Next;
        } else {
            let object = ObjectParser {
                state: ObjectState::KeyOrEnd,
                ..ObjectParser::new(Keys::OfCalls)
            };
            parser.state = ListState::Object(object);
        }
        parser
    }

    fn new(keys: Keys) -> Self {
        Self {
            state: ListState::First,
            in_array: false,
            keys,
            has_objects: false,
        }
    }

    /// Consumes as much input as possible. `Found` after the last object or the list.
    pub fn read(&mut self, context: &mut Context) -> Match {
        loop {
            match &mut self.state {
                ListState::First | ListState::Next => match context.input.peek() {
                    Match::Found('[') if matches!(self.state, ListState::First) => {
                        context.input.advance(1);
                        self.in_array = true;
                        self.state = ListState::Next;
                    }
                    Match::Found('{') => {
                        if self.has_objects {
                            // The separator.
                            context.input.commit();
                        }
                        self.state = ListState::Object(ObjectParser::new(self.keys));
                    }
                    // A repeated or trailing comma.
                    Match::Found(',') if self.has_objects => context.input.advance(1),
                    Match::Found(']') if self.has_objects && self.in_array => {
                        context.input.advance(1);
                        return Match::Found(());
                    }
                    // The list is truncated after a comma.
                    Match::Absent if self.has_objects => return Match::Found(()),
                    Match::Found(_) | Match::Absent => return Match::Absent,
                    Match::Incomplete => return Match::Incomplete,
                },
                ListState::Object(object) => match object.read(context) {
                    Match::Found(()) => {
                        self.has_objects = true;
                        self.state = ListState::AfterItem;
                    }
                    Match::Absent if self.has_objects && !context.in_call() => {
                        context.input.rewind(0);
                        self.state = ListState::Rejected(Scanner::new());
                    }
                    other => return other,
                },
                ListState::Rejected(scanner) => match skip_value(context, scanner) {
                    Match::Found(()) => {
                        context.flush_as_content();
                        self.state = ListState::AfterItem;
                    }
                    other => return other,
                },
                ListState::AfterItem => match context.input.peek() {
                    Match::Found(',' | ';') => {
                        context.input.advance(1);
                        self.state = ListState::Next;
                    }
                    Match::Found(']') if self.in_array => {
                        context.input.advance(1);
                        return Match::Found(());
                    }
                    Match::Found('{') => self.state = ListState::Next,
                    // A brace too many.
                    Match::Found('}') => {
                        context.input.advance(1);
                        context.input.commit();
                    }
                    Match::Found(_) | Match::Absent => return Match::Found(()),
                    Match::Incomplete => return Match::Incomplete,
                },
            }
        }
    }
}

#[derive(Debug)]
struct ObjectParser {
    state: ObjectState,
    keys: Keys,
    /// The name of a call that starts with its arguments.
    name: Option<String>,
    /// Arguments that came before the name.
    early: String,
    has_arguments: bool,
    /// Whether the name and the arguments are in an object `function`.
    is_wrapped: bool,
}

#[derive(Debug)]
enum ObjectState {
    Open,
    KeyOrEnd,
    Key { string: StringDecoder, key: String },
    Colon { key: String },
    Value { key: String },
    Name { string: StringDecoder, name: String },
    Arguments(ArgumentsParser),
    Other(Scanner),
    CommaOrEnd,
}

impl ObjectParser {
    fn new(keys: Keys) -> Self {
        Self {
            state: ObjectState::Open,
            keys,
            name: None,
            early: String::new(),
            has_arguments: false,
            is_wrapped: false,
        }
    }

    fn read(&mut self, context: &mut Context) -> Match {
        loop {
            match self.step(context) {
                Match::Found(true) => return Match::Found(()),
                Match::Found(false) => {}
                Match::Absent => return Match::Absent,
                Match::Incomplete => return Match::Incomplete,
            }
        }
    }

    /// `Found(true)` at the end of the object.
    fn step(&mut self, context: &mut Context) -> Match<bool> {
        match &mut self.state {
            ObjectState::Key { string, key } => match read_string(context, string, key) {
                Match::Found(()) => {
                    let key = std::mem::take(key);
                    self.state = ObjectState::Colon { key };
                    Match::Found(false)
                }
                Match::Absent => Match::Absent,
                Match::Incomplete => Match::Incomplete,
            },
            ObjectState::Name { string, name } => match read_string(context, string, name) {
                Match::Found(()) => {
                    let name = std::mem::take(name);
                    self.state = ObjectState::CommaOrEnd;
                    if self.keys == Keys::OfCalls && !self.has_arguments {
                        if !context.has_tool(&name) {
                            return Match::Absent;
                        }
                        self.name = Some(name);
                        return Match::Found(false);
                    }
                    if !context.start_call(&name) {
                        return Match::Absent;
                    }
                    context.push_arguments(&std::mem::take(&mut self.early));
                    Match::Found(false)
                }
                Match::Absent => Match::Absent,
                Match::Incomplete => Match::Incomplete,
            },
            ObjectState::Arguments(arguments) => {
                let result = arguments.read(&mut context.input, &mut self.early);
                if context.in_call() {
                    context.push_arguments(&std::mem::take(&mut self.early));
                }
                self.then_comma(result)
            }
            ObjectState::Other(scanner) => {
                let result = skip_value(context, scanner);
                self.then_comma(result)
            }
            _ => match context.input.peek() {
                Match::Found(next) => self.punctuation(next, context),
                Match::Absent => Match::Absent,
                Match::Incomplete => Match::Incomplete,
            },
        }
    }

    fn then_comma(&mut self, result: Match) -> Match<bool> {
        match result {
            Match::Found(()) => {
                self.state = ObjectState::CommaOrEnd;
                Match::Found(false)
            }
            Match::Absent => Match::Absent,
            Match::Incomplete => Match::Incomplete,
        }
    }

    fn punctuation(&mut self, next: char, context: &mut Context) -> Match<bool> {
        let is_empty = self.is_empty(context);
        self.state = match (&mut self.state, next) {
            // A comma may be repeated.
            (ObjectState::Open, '{') | (ObjectState::CommaOrEnd | ObjectState::KeyOrEnd, ',') => {
                ObjectState::KeyOrEnd
            }
            // A repeated brace.
            (ObjectState::KeyOrEnd, '{') if is_empty => ObjectState::KeyOrEnd,
            (ObjectState::KeyOrEnd | ObjectState::CommaOrEnd, '}') if self.is_wrapped => {
                self.is_wrapped = false;
                ObjectState::CommaOrEnd
            }
            (ObjectState::KeyOrEnd | ObjectState::CommaOrEnd, '}') => {
                if !context.in_call() {
                    return Match::Absent;
                }
                context.input.advance(1);
                if !self.has_arguments {
                    context.push_arguments("{}");
                }
                context.end_call();
                return Match::Found(true);
            }
            (ObjectState::KeyOrEnd, '"') => ObjectState::Key {
                string: StringDecoder::default(),
                key: String::new(),
            },
            (ObjectState::Colon { key }, ':') => ObjectState::Value {
                key: std::mem::take(key),
            },
            (ObjectState::Value { key }, _) => {
                let key = std::mem::take(key);
                return self.value(&key, next, context);
            }
            _ => return Match::Absent,
        };
        context.input.advance(1);
        Match::Found(false)
    }

    /// Whether neither name nor arguments were read.
    fn is_empty(&self, context: &Context) -> bool {
        !context.in_call() && self.name.is_none() && !self.has_arguments
    }

    /// Chooses the parser for the value of `key`. `next` is its first character and not consumed.
    fn value(&mut self, key: &str, next: char, context: &mut Context) -> Match<bool> {
        let named = context.in_call();
        self.state = match key {
            "name" | "function" | "tool_name" if !named && self.name.is_none() && next == '"' => {
                context.input.advance(1);
                ObjectState::Name {
                    string: StringDecoder::default(),
                    name: String::new(),
                }
            }
            "function" if next == '{' && !self.is_wrapped && self.is_empty(context) => {
                self.is_wrapped = true;
                ObjectState::Open
            }
            "arguments" | "parameters" if !self.has_arguments => {
                self.has_arguments = true;
                if let Some(name) = self.name.take() {
                    context.start_call(&name);
                }
                ObjectState::Arguments(ArgumentsParser::new())
            }
            _ if named || self.keys == Keys::Any || OTHER_KEYS.contains(&key) => {
                ObjectState::Other(Scanner::new())
            }
            _ => return Match::Absent,
        };
        Match::Found(false)
    }
}

/// Decodes the rest of a string into `out`, up to the longest length of a name.
fn read_string(context: &mut Context, string: &mut StringDecoder, out: &mut String) -> Match {
    let mut read = 0;
    let mut result = Match::Incomplete;
    for character in context.input.rest().chars() {
        read += character.len_utf8();
        match string.feed(character, out) {
            Verdict::Inside if out.len() <= MAX_NAME_BYTES => {}
            Verdict::Last => {
                result = Match::Found(());
                break;
            }
            _ => {
                result = Match::Absent;
                break;
            }
        }
    }
    context.input.advance(read);
    result
}

/// Consumes a value and discards it.
fn skip_value(context: &mut Context, scanner: &mut Scanner) -> Match {
    let mut read = 0;
    let mut result = Match::Incomplete;
    let mut ignored = String::new();
    for character in context.input.rest().chars() {
        ignored.clear();
        match scanner.feed(character, &mut ignored) {
            Verdict::Inside => read += character.len_utf8(),
            Verdict::Last => {
                read += character.len_utf8();
                result = Match::Found(());
                break;
            }
            Verdict::AfterValue => {
                result = Match::Found(());
                break;
            }
            Verdict::Invalid => {
                result = Match::Absent;
                break;
            }
        }
    }
    context.input.advance(read);
    result
}
