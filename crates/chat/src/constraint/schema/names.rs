//! `propertyNames`: the names that an object may have.

use indexmap::IndexSet;
use serde_json::{Map, Value};

use super::pointer::Pointer;
use super::types::{self, Types};
use super::walk::Walk;
use super::{language, pattern, strings};
use crate::constraint::error::GrammarError;

const KEYWORD: &str = "propertyNames";

/// Depth to which references are followed.
const DEPTH: usize = 12;

/// The names that are allowed.
pub(super) enum Names {
    /// All of them.
    Any,
    /// These.
    Listed(IndexSet<String>),
    /// Those that a translated pattern matches.
    Matching(String),
}

/// The schemas of the properties of an object.
pub(super) struct Properties {
    pub named: Map<String, Value>,
    /// By translated pattern.
    pub patterns: Map<String, Value>,
    /// Of the others; any value if absent.
    pub others: Option<Value>,
}

/// What `propertyNames`, its references and its `allOf` require of a name.
#[derive(Default)]
struct Conditions {
    lists: Vec<Vec<String>>,
    patterns: Vec<String>,
    min: usize,
    max: Option<usize>,
    none: bool,
}

impl Walk<'_> {
    /// The names that `propertyNames` allows.
    pub(super) fn allowed_names(
        &self,
        keywords: &Map<String, Value>,
        at: &Pointer,
    ) -> Result<Names, GrammarError> {
        let Some(schema) = keywords.get(KEYWORD) else {
            return Ok(Names::Any);
        };
        let mut conditions = Conditions::default();
        self.add_conditions(schema, &at.child(KEYWORD), DEPTH, &mut conditions)
            .map_err(|error| match error {
                // Best effort ignores the keyword of the object.
                GrammarError::Unsupported { reason, .. } => at.unsupported(KEYWORD, reason),
                GrammarError::Invalid { problem, .. } => at.child(KEYWORD).invalid(problem),
                error => error,
            })?;
        conditions.names(at)
    }

    fn add_conditions(
        &self,
        schema: &Value,
        at: &Pointer,
        depth: usize,
        conditions: &mut Conditions,
    ) -> Result<(), GrammarError> {
        let keywords = match schema {
            Value::Bool(allowed) => {
                conditions.none |= !allowed;
                return Ok(());
            }
            Value::Object(keywords) => keywords,
            _ => return Err(at.invalid("it must be an object, true or false")),
        };
        let types = types::declared(keywords, at)?.unwrap_or(Types::ALL);
        conditions.none |= !types.has(Types::STRING);
        for (keyword, value) in keywords.iter().filter(|(_, value)| !value.is_null()) {
            let unsupported =
                |reason: &str| at.unsupported(keyword, format!("`{keyword}` in it {reason}"));
            match (keyword.as_str(), value) {
                ("const", value) => conditions.list(std::slice::from_ref(value)),
                ("enum", Value::Array(values)) => conditions.list(values),
                ("pattern", _) => {
                    let text = strings::text(value, "pattern", at)?;
                    let patterns = pattern::conditions(text, "pattern", at)?;
                    conditions.patterns.extend(patterns);
                }
                ("format", _) => conditions.patterns.extend(strings::format(keywords, at)?),
                ("minLength" | "maxLength", _) => {
                    let (min, max) = strings::lengths(keywords, at)?;
                    conditions.min = conditions.min.max(min.unwrap_or(0));
                    let stricter = [conditions.max, max].into_iter().flatten().min();
                    conditions.max = stricter;
                }
                ("$ref", Value::String(reference)) => {
                    let target = self.resources.resolve(reference, at).filter(|_| depth > 0);
                    let (schema, at) =
                        target.ok_or_else(|| unsupported("is not a reference into this schema"))?;
                    self.add_conditions(schema, &at, depth - 1, conditions)?;
                }
                ("allOf", Value::Array(schemas)) if depth > 0 => {
                    for (index, schema) in schemas.iter().enumerate() {
                        let at = at.child(keyword).child(index);
                        self.add_conditions(schema, &at, depth - 1, conditions)?;
                    }
                }
                ("$ref" | "allOf" | "anyOf" | "oneOf" | "not" | "if" | "enum", _) => {
                    return Err(unsupported(
                        "cannot be applied to names; use an enum or a pattern",
                    ));
                }
                // Annotations, and keywords for other types.
                _ => {}
            }
        }
        Ok(())
    }
}

impl Conditions {
    fn list(&mut self, values: &[Value]) {
        let names = values.iter().filter_map(Value::as_str);
        self.lists.push(names.map(str::to_owned).collect());
    }

    fn names(mut self, at: &Pointer) -> Result<Names, GrammarError> {
        if self.none {
            return Ok(Names::Listed(IndexSet::new()));
        }
        if let Some(first) = self.lists.pop() {
            let names = first.into_iter().filter(|name| self.allows(name));
            return Ok(Names::Listed(names.collect()));
        }
        let Ok(pattern) = self.pattern() else {
            let reason = "its conditions cannot be combined; use a single pattern";
            return Err(at.unsupported(KEYWORD, reason));
        };
        Ok(match pattern {
            None => Names::Any,
            Some(pattern) => match language::words(&pattern) {
                Some(words) => Names::Listed(words.into_iter().collect()),
                None => Names::Matching(pattern),
            },
        })
    }

    fn allows(&self, name: &str) -> bool {
        let length = name.chars().count();
        let listed = |list: &Vec<String>| list.iter().any(|one| one == name);
        let matching = |pattern: &String| language::matches(pattern, name) == Some(true);
        length >= self.min
            && self.max.is_none_or(|max| length <= max)
            && self.lists.iter().all(listed)
            && self.patterns.iter().all(matching)
    }

    /// One pattern that implies all conditions, `None` if there are none; an error if there is no such pattern.
    fn pattern(&self) -> Result<Option<String>, ()> {
        let any_length = self.min == 0 && self.max.is_none();
        let mut candidates = self.patterns.clone();
        if !any_length {
            let max = self.max.map_or_else(String::new, |max| max.to_string());
            candidates.push(format!("^(?s:.{{{},{max}}})$", self.min));
        }
        if candidates.is_empty() {
            return Ok(None);
        }
        let implies = |candidate: &String, other: &String| {
            let others = language::not(language::search(other));
            candidate == other
                || language::is_empty(vec![language::search(candidate), others]) == Some(true)
        };
        let strictest = candidates
            .iter()
            .find(|candidate| candidates.iter().all(|other| implies(candidate, other)));
        strictest.map(|pattern| Some(pattern.clone())).ok_or(())
    }
}

impl Names {
    /// Restricts the properties of an object to these names.
    pub(super) fn restrict(
        self,
        properties: &mut Properties,
        at: &Pointer,
    ) -> Result<(), GrammarError> {
        let undecided = |reason: &str| at.unsupported(KEYWORD, reason.to_owned());
        match self {
            Self::Any => {}
            Self::Listed(names) => {
                for (name, schema) in &mut properties.named {
                    if !names.contains(name) {
                        *schema = Value::Bool(false);
                    }
                }
                for name in names {
                    if let Some(schema) = properties.unnamed(&name)
                        && !properties.named.contains_key(&name)
                    {
                        properties.named.insert(name, schema);
                    }
                }
                properties.patterns.clear();
                properties.others = Some(Value::Bool(false));
            }
            Self::Matching(pattern) => {
                for (name, schema) in &mut properties.named {
                    match language::matches(&pattern, name) {
                        Some(true) => {}
                        Some(false) => *schema = Value::Bool(false),
                        None => return Err(undecided("its pattern is too complex")),
                    }
                }
                let within = |key: &String| {
                    let others = language::not(language::search(&pattern));
                    language::is_empty(vec![language::search(key), others]) == Some(true)
                };
                if properties.others == Some(Value::Bool(false)) {
                    if !properties.patterns.keys().all(within) {
                        return Err(undecided("patternProperties allows other names"));
                    }
                } else if properties.patterns.is_empty() {
                    let others = properties.others.replace(Value::Bool(false));
                    let schema = others.unwrap_or(Value::Bool(true));
                    properties.patterns.insert(pattern, schema);
                } else {
                    return Err(undecided("use it or patternProperties, not both"));
                }
            }
        }
        Ok(())
    }
}

impl Properties {
    /// The schema of a property that is not named; `None` if it is not allowed.
    fn unnamed(&self, name: &str) -> Option<Value> {
        let matching =
            |(pattern, _): &(&String, &Value)| language::matches(pattern, name) == Some(true);
        let mut schemas = self
            .patterns
            .iter()
            .filter(matching)
            .map(|(_, schema)| schema);
        match schemas.next() {
            Some(schema) => Some(schema.clone()),
            None if self.others == Some(Value::Bool(false)) => None,
            None => Some(self.others.clone().unwrap_or(Value::Bool(true))),
        }
    }
}
