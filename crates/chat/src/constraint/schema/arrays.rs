//! Keywords about arrays.

use serde_json::{Map, Value};

use super::pointer::Pointer;
use super::walk::{Walk, count};
use crate::constraint::error::GrammarError;

impl Walk<'_> {
    /// Writes the keywords of a schema that takes arrays.
    pub(super) fn array(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let fewest = count(keywords, "minItems", at)?;
        let most = count(keywords, "maxItems", at)?;
        if let (Some(fewest), Some(most)) = (fewest, most)
            && fewest > most
        {
            return Err(at
                .child("minItems")
                .impossible(format!("minItems {fewest} is greater than maxItems {most}")));
        }
        for (keyword, items) in [("minItems", fewest), ("maxItems", most)] {
            if let Some(items) = items {
                prepared.insert(keyword.into(), items.into());
            }
        }
        // Before 2020, a list of schemas was called `items`, and what follows it `additionalItems`.
        let (first, rest) = match keywords.get("items") {
            Some(Value::Array(_)) => ("items", "additionalItems"),
            _ => ("prefixItems", "items"),
        };
        let places = match keywords.get(first) {
            None => None,
            Some(Value::Array(schemas)) => {
                let at = at.child(first);
                let schemas = schemas.iter().enumerate();
                let schemas =
                    schemas.map(|(index, schema)| self.subschema(schema, &at.child(index)));
                Some(schemas.collect::<Result<Vec<_>, _>>()?)
            }
            Some(_) => return Err(at.child(first).invalid("it has to be an array of schemas")),
        };
        let rest = keywords
            .get(rest)
            .map(|schema| self.subschema(schema, &at.child(rest)))
            .transpose()?;
        if rest == Some(Value::Bool(false))
            && let Some(fewest) = fewest
            && fewest > places.as_ref().map_or(0, Vec::len)
        {
            let problem =
                format!("minItems {fewest} asks for more items than there are schemas for");
            return Err(at.child("minItems").impossible(problem));
        }
        if let Some(places) = places {
            prepared.insert("prefixItems".into(), places.into());
        }
        if let Some(rest) = rest {
            prepared.insert("items".into(), rest);
        }
        Ok(())
    }
}
