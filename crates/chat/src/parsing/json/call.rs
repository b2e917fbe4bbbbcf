//! Calls as JSON objects with a name and arguments.

use super::{ArgumentsReader, Scanner, StringReader, Verdict};
use crate::parsing::context::Context;
use crate::parsing::input::{LONGEST_NAME, Match};

/// Keys that may stand beside the name and the arguments.
const OTHER_KEYS: [&str; 4] = ["id", "type", "index", "tool_call_id"];

/// Reads one object or a list of them: `[{…}, {…}]`, `{…}; {…}`.
#[derive(Debug)]
pub(crate) struct CallsReader {
    state: ListState,
    in_array: bool,
    keys: Keys,
}

/// Which objects are worth waiting for before their name has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Those with any keys.
    Any,
    /// Those with no keys but a call's.
    OfCalls,
}

#[derive(Debug)]
enum ListState {
    First,
    Next,
    Object(ObjectReader),
    AfterItem,
}

impl CallsReader {
    /// Behind a marker, which says that a call comes.
    pub fn marked() -> Self {
        Self::new(Keys::Any)
    }

    /// Where any object might stand: the first key that calls do not have decides that this is none.
    pub fn bare() -> Self {
        Self::new(Keys::OfCalls)
    }

    fn new(keys: Keys) -> Self {
        Self {
            state: ListState::First,
            in_array: false,
            keys,
        }
    }

    /// Reads as far as the text goes. `Found` behind the last object, or behind the list.
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
                        self.state = ListState::Object(ObjectReader::new(self.keys));
                    }
                    Match::Found(_) | Match::Absent => return Match::Absent,
                    Match::Incomplete => return Match::Incomplete,
                },
                ListState::Object(object) => match object.read(context) {
                    Match::Found(()) => self.state = ListState::AfterItem,
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
                    Match::Found(_) | Match::Absent => return Match::Found(()),
                    Match::Incomplete => return Match::Incomplete,
                },
            }
        }
    }
}

#[derive(Debug)]
struct ObjectReader {
    state: ObjectState,
    keys: Keys,
    /// Arguments that came before the name.
    early: String,
    has_arguments: bool,
}

#[derive(Debug)]
enum ObjectState {
    Open,
    KeyOrEnd,
    Key { string: StringReader, key: String },
    Colon { key: String },
    Value { key: String },
    Name { string: StringReader, name: String },
    Arguments(ArgumentsReader),
    Other(Scanner),
    CommaOrEnd,
}

impl ObjectReader {
    fn new(keys: Keys) -> Self {
        Self {
            state: ObjectState::Open,
            keys,
            early: String::new(),
            has_arguments: false,
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

    /// Found(true) at the end of the object.
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
                    if !context.announce(&name) {
                        return Match::Absent;
                    }
                    context.arguments(&std::mem::take(&mut self.early));
                    Match::Found(false)
                }
                Match::Absent => Match::Absent,
                Match::Incomplete => Match::Incomplete,
            },
            ObjectState::Arguments(arguments) => {
                let result = arguments.read(&mut context.input, &mut self.early);
                if context.is_open() {
                    context.arguments(&std::mem::take(&mut self.early));
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
        self.state = match (&mut self.state, next) {
            (ObjectState::Open, '{') | (ObjectState::CommaOrEnd, ',') => ObjectState::KeyOrEnd,
            (ObjectState::KeyOrEnd | ObjectState::CommaOrEnd, '}') => {
                if !context.is_open() {
                    return Match::Absent;
                }
                context.input.advance(1);
                if !self.has_arguments {
                    context.arguments("{}");
                }
                context.complete();
                return Match::Found(true);
            }
            (ObjectState::KeyOrEnd, '"') => ObjectState::Key {
                string: StringReader::default(),
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

    /// Chooses how the value of `key` is read; it begins with `next`, which is not read.
    fn value(&mut self, key: &str, next: char, context: &mut Context) -> Match<bool> {
        let named = context.is_open();
        self.state = match key {
            "name" | "function" if !named && next == '"' => {
                context.input.advance(1);
                ObjectState::Name {
                    string: StringReader::default(),
                    name: String::new(),
                }
            }
            "arguments" | "parameters" if !self.has_arguments => {
                self.has_arguments = true;
                ObjectState::Arguments(ArgumentsReader::new())
            }
            _ if named || self.keys == Keys::Any || OTHER_KEYS.contains(&key) => {
                ObjectState::Other(Scanner::new())
            }
            _ => return Match::Absent,
        };
        Match::Found(false)
    }
}

/// Reads the rest of a string into `out`, if it is short enough for a name.
fn read_string(context: &mut Context, string: &mut StringReader, out: &mut String) -> Match {
    let mut read = 0;
    let mut result = Match::Incomplete;
    for character in context.input.rest().chars() {
        read += character.len_utf8();
        match string.feed(character, out) {
            Verdict::Inside if out.len() <= LONGEST_NAME => {}
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

/// Reads a value that nobody wants.
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
