//! Keywords for arrays.

use serde_json::{Map, Value, json};

use super::pointer::Pointer;
use super::types::Types;
use super::unique;
use super::walk::{Walk, count, limit, require};
use crate::constraint::error::GrammarError;

impl Walk<'_> {
    /// Rewrites the keywords for arrays; `types` are the types that the schema allows.
    pub(super) fn array(
        &mut self,
        keywords: &Map<String, Value>,
        types: Types,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let min = count(keywords, "minItems", at)?;
        let max = limit(keywords, "maxItems", at)?;
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(at
                .child("minItems")
                .unsatisfiable(format!("minItems {min} is greater than maxItems {max}")));
        }
        let distinct = unique::arrays(&self.resources, keywords, (min.unwrap_or(0), max), at)?;
        if let Some(arrays) = distinct {
            for _ in &arrays {
                self.count()?;
            }
            let others = types.and(Types::ARRAY.others());
            let others = (others != Types::NONE).then(|| json!({ "type": others.names() }));
            let cases: Vec<Value> = arrays.into_iter().chain(others).collect();
            require(prepared, json!({ "anyOf": cases }));
            return Ok(());
        }
        for (keyword, items) in [("minItems", min), ("maxItems", max)] {
            if let Some(items) = items {
                prepared.insert(keyword.into(), items.into());
            }
        }
        // Before draft 2020-12, `prefixItems` was called `items`, and `items` was called `additionalItems`.
        let (first, rest) = match keywords.get("items") {
            Some(Value::Array(_)) => ("items", "additionalItems"),
            _ => ("prefixItems", "items"),
        };
        let prefix = match keywords.get(first) {
            None => None,
            Some(Value::Array(schemas)) => {
                let at = at.child(first);
                let schemas = schemas.iter().enumerate();
                let schemas =
                    schemas.map(|(index, schema)| self.subschema(schema, &at.child(index)));
                Some(schemas.collect::<Result<Vec<_>, _>>()?)
            }
            Some(_) => return Err(at.child(first).invalid("it must be an array of schemas")),
        };
        let rest = keywords
            .get(rest)
            .map(|schema| self.subschema(schema, &at.child(rest)))
            .transpose()?;
        if rest == Some(Value::Bool(false))
            && let Some(min) = min
            && min > prefix.as_ref().map_or(0, Vec::len)
        {
            let problem = format!("minItems {min} requires more items than there are schemas for");
            return Err(at.child("minItems").unsatisfiable(problem));
        }
        if let Some(prefix) = prefix {
            prepared.insert("prefixItems".into(), prefix.into());
        }
        if let Some(rest) = rest {
            prepared.insert("items".into(), rest);
        }
        Ok(())
    }
}
