//! `oneOf`: whether the schemas are mutually exclusive, so that `oneOf` is equivalent to `anyOf`.
//!
//! Output is narrower than a schema, see [`implied_types`]. What matters is that no output of one schema satisfies another.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::pointer::Pointer;
use super::references::Resources;
use super::types::{self, Types};
use super::walk::implied_types;

/// Depth to which references and combinations are followed.
const DEPTH: usize = 12;

/// Most pairs of schemas that are compared.
const PAIRS: usize = 40_000;

/// Most properties that [`inferred_discriminator`] considers.
const CANDIDATES: usize = 8;

/// For each of the schemas of `oneOf`, properties that its objects must not have, so that they do not satisfy another schema
/// that requires them. `types` are the types of output. `present` is a property that all objects of output have.
///
/// # Errors
/// The positions, from 1, of two schemas that a value may satisfy all the same.
pub(super) fn exclusions<'a>(
    resources: &'a Resources<'a>,
    options: &'a [Value],
    present: Option<&'a str>,
    types: Types,
) -> Result<Vec<Vec<String>>, (usize, usize)> {
    let pairs = Cell::new(PAIRS);
    let conjunctions = |output: bool| -> Vec<Conjunction<'_>> {
        let options = options.iter();
        let present = present.filter(|_| output);
        options
            .map(|schema| Conjunction::new(resources, &pairs, schema, present, output))
            .collect()
    };
    let (outputs, options) = (conjunctions(true), conjunctions(false));
    let mut forbidden = vec![Vec::new(); options.len()];
    for (index, output) in outputs.iter().enumerate() {
        for (other, option) in options.iter().enumerate() {
            if index == other || output.excludes(option, DEPTH) {
                continue;
            }
            let name = output.distinguishing_property(option, types);
            let Some(name) = name.filter(|_| pairs.get() > 0) else {
                return Err((index.min(other) + 1, index.max(other) + 1));
            };
            if !forbidden[index].contains(&name) {
                forbidden[index].push(name);
            }
        }
    }
    Ok(forbidden)
}

/// Whether no value satisfies two of the schemas.
pub(super) fn all_exclusive(resources: &Resources<'_>, options: &[Value]) -> bool {
    are_exclusive(resources, options, None)
}

fn are_exclusive<'a>(
    resources: &'a Resources<'a>,
    options: &'a [Value],
    present: Option<&'a str>,
) -> bool {
    exclusions(resources, options, present, Types::ALL)
        .is_ok_and(|forbidden| forbidden.iter().all(Vec::is_empty))
}

/// Whether the schemas are mutually exclusive if all objects have the property `name`, which not all of them require.
pub(super) fn is_discriminator<'a>(
    resources: &'a Resources<'a>,
    options: &'a [Value],
    name: &'a str,
) -> bool {
    let pairs = Cell::new(PAIRS);
    let requires = |schema: &'a Value| {
        let schema = Conjunction::new(resources, &pairs, schema, None, true);
        schema.required().contains(name)
    };
    !options.iter().all(requires) && are_exclusive(resources, options, Some(name))
}

/// A property of the first schema that [is a discriminator](is_discriminator).
pub(super) fn inferred_discriminator<'a>(
    resources: &'a Resources<'a>,
    options: &'a [Value],
) -> Option<String> {
    let pairs = Cell::new(PAIRS);
    let first = Conjunction::new(resources, &pairs, options.first()?, None, true);
    let mut candidates = first.listed_properties().take(CANDIDATES);
    let name = candidates.find(|name| is_discriminator(resources, options, name))?;
    Some(name.to_owned())
}

/// A schema together with its `$ref` and `allOf`.
struct Conjunction<'a> {
    resources: &'a Resources<'a>,
    /// Comparisons left, for all schemas together.
    pairs: &'a Cell<usize>,
    /// A property that its objects have, whether or not a part requires it.
    present: Option<&'a str>,
    /// Whether this stands for output rather than for all valid values.
    output: bool,
    parts: Vec<&'a Map<String, Value>>,
    is_false: bool,
}

impl<'a> Conjunction<'a> {
    fn new(
        resources: &'a Resources<'a>,
        pairs: &'a Cell<usize>,
        schema: &'a Value,
        present: Option<&'a str>,
        output: bool,
    ) -> Self {
        let mut conjunction = Self {
            resources,
            pairs,
            present,
            output,
            parts: Vec::new(),
            is_false: false,
        };
        conjunction.add(schema, DEPTH);
        conjunction
    }

    /// Ignores schemas deeper than `depth`, which is safe: fewer conditions exclude fewer values.
    fn add(&mut self, schema: &'a Value, depth: usize) {
        let keywords = match schema {
            Value::Bool(false) => {
                self.is_false = true;
                return;
            }
            Value::Object(keywords) if depth > 0 => keywords,
            _ => return,
        };
        self.parts.push(keywords);
        let reference = keywords.get("$ref").and_then(Value::as_str);
        if let Some(target) = reference.and_then(|name| self.resources.resolve_anywhere(name)) {
            self.add(target, depth - 1);
        }
        for schema in keywords
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.add(schema, depth - 1);
        }
    }

    /// The schema of a property.
    fn of(&self, schema: &'a Value) -> Self {
        Self::new(self.resources, self.pairs, schema, None, self.output)
    }

    /// A schema for the same value.
    fn case(&self, schema: &'a Value) -> Self {
        Self::new(
            self.resources,
            self.pairs,
            schema,
            self.present,
            self.output,
        )
    }

    /// Whether no value satisfies both.
    fn excludes(&self, other: &Self, depth: usize) -> bool {
        let Some(left) = self.pairs.get().checked_sub(1) else {
            return false;
        };
        self.pairs.set(left);
        if self.is_false || other.is_false {
            return true;
        }
        let shared = self.types().and(other.types());
        let no_value_shared = || {
            let (Some(ours), Some(theirs)) = (self.values(), other.values()) else {
                return false;
            };
            let shared = |value: &&Value| theirs.iter().any(|theirs| equal(value, theirs));
            !ours.iter().any(shared)
        };
        shared == Types::NONE
            || no_value_shared()
            || depth > 0
                && (shared.within(Types::OBJECT) && self.properties_exclude(other, depth)
                    || self.cases_exclude(other, depth)
                    || other.cases_exclude(self, depth))
    }

    fn types(&self) -> Types {
        let own = |keywords: &Map<String, Value>| {
            let declared = types::declared(keywords, &Pointer::root()).ok().flatten();
            let written = listed(keywords).map(|values| {
                let types = values.iter().map(|value| Types::of(value));
                types.fold(Types::NONE, Types::or)
            });
            let implied = || implied_types(keywords).filter(|_| self.output);
            let declared = declared.or_else(implied).unwrap_or(Types::ALL);
            declared.and(written.unwrap_or(Types::ALL))
        };
        let types = self.parts.iter().map(|keywords| own(keywords));
        types.fold(Types::ALL, Types::and)
    }

    /// All possible values, if a part lists them.
    fn values(&self) -> Option<Vec<&'a Value>> {
        self.parts.iter().find_map(|keywords| listed(keywords))
    }

    fn required(&self) -> BTreeSet<&'a str> {
        let lists = self
            .parts
            .iter()
            .filter_map(|keywords| keywords.get("required")?.as_array());
        let names = lists.flatten().filter_map(Value::as_str);
        names.chain(self.present).collect()
    }

    /// The names of properties whose values some part lists.
    fn listed_properties(&self) -> impl Iterator<Item = &'a str> {
        let properties = self
            .parts
            .iter()
            .filter_map(|keywords| keywords.get("properties")?.as_object());
        let listed = properties
            .flatten()
            .filter(move |&(_, schema)| self.of(schema).values().is_some());
        listed.map(|(name, _)| name.as_str())
    }

    /// A property that `other` requires and this one does not, if both are objects. Properties that this schema does not name
    /// are preferred.
    fn distinguishing_property(&self, other: &Self, types: Types) -> Option<String> {
        if !self
            .types()
            .and(other.types())
            .and(types)
            .within(Types::OBJECT)
        {
            return None;
        }
        let own = self.required();
        let required = other.required();
        let mut names: Vec<&str> = required.difference(&own).copied().collect();
        names.sort_by_key(|name| self.property(name).next().is_some());
        names.first().map(|name| (*name).to_owned())
    }

    /// The schemas of a property in all parts.
    fn property(&self, name: &str) -> impl Iterator<Item = &'a Value> {
        let name = name.to_owned();
        self.parts
            .iter()
            .filter_map(move |keywords| keywords.get("properties")?.as_object()?.get(&name))
    }

    /// Whether some part does not allow a property of this name.
    fn forbids(&self, name: &str) -> bool {
        self.parts.iter().any(|keywords| {
            let properties = keywords.get("properties").and_then(Value::as_object);
            let named = properties.is_some_and(|properties| properties.contains_key(name));
            let closed = keywords.get("additionalProperties") == Some(&Value::Bool(false));
            closed && !named && !keywords.contains_key("patternProperties")
        })
    }

    /// Whether an object that satisfies both would need a property that cannot satisfy both.
    fn properties_exclude(&self, other: &Self, depth: usize) -> bool {
        let mut names = self.required();
        names.extend(other.required());
        names.into_iter().any(|name| {
            let theirs: Vec<Self> = other.property(name).map(|schema| self.of(schema)).collect();
            let mut ours = self.property(name).map(|schema| self.of(schema));
            self.forbids(name)
                || other.forbids(name)
                || ours.any(|ours| theirs.iter().any(|theirs| ours.excludes(theirs, depth - 1)))
        })
    }

    /// Whether some part has an `anyOf` or `oneOf` whose cases all exclude `other`.
    fn cases_exclude(&self, other: &Self, depth: usize) -> bool {
        let lists = self.parts.iter().flat_map(|keywords| {
            let lists = [keywords.get("anyOf"), keywords.get("oneOf")];
            lists.into_iter().flatten().filter_map(Value::as_array)
        });
        let excluded = |case: &'a Value| self.case(case).excludes(other, depth - 1);
        lists.into_iter().any(|cases| cases.iter().all(excluded))
    }
}

/// The values of `const` or `enum`.
fn listed(keywords: &Map<String, Value>) -> Option<Vec<&Value>> {
    if let Some(value) = keywords.get("const") {
        return Some(vec![value]);
    }
    keywords
        .get("enum")?
        .as_array()
        .map(|values| values.iter().collect())
}

/// Equality as JSON Schema defines it: 1 equals 1.0.
pub(super) fn equal(first: &Value, second: &Value) -> bool {
    match (first, second) {
        (Value::Number(first), Value::Number(second)) => first.as_f64() == second.as_f64(),
        (Value::Array(first), Value::Array(second)) => {
            first.len() == second.len() && first.iter().zip(second).all(|(a, b)| equal(a, b))
        }
        (Value::Object(first), Value::Object(second)) => {
            let same = |(name, value): (&String, &Value)| {
                second.get(name).is_some_and(|other| equal(value, other))
            };
            first.len() == second.len() && first.iter().all(same)
        }
        _ => first == second,
    }
}
