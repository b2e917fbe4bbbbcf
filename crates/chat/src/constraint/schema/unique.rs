//! `uniqueItems`: arrays of distinct items, where the items are known.

use serde_json::{Map, Value, json};

use super::disjoint::{all_exclusive, equal};
use super::pointer::Pointer;
use super::references::Resources;
use super::types::{self, Types};
use crate::constraint::error::GrammarError;

const KEYWORD: &str = "uniqueItems";

/// Most arrays that are listed.
const MAX_ARRAYS: usize = 400;

/// Depth to which references and combinations are followed.
const DEPTH: usize = 12;

/// The arrays of distinct items of a schema with these `keywords`, from `min` to `max` items; `None` if all of its arrays have
/// distinct items.
///
/// # Errors
/// If the items are not known, or there are too many.
pub(super) fn arrays(
    resources: &Resources<'_>,
    keywords: &Map<String, Value>,
    (min, max): (usize, Option<usize>),
    at: &Pointer,
) -> Result<Option<Vec<Value>>, GrammarError> {
    if keywords.get(KEYWORD) != Some(&Value::Bool(true)) || max.is_some_and(|max| max <= 1) {
        return Ok(None);
    }
    let tuple = ["prefixItems", "items"]
        .iter()
        .find_map(|keyword| keywords.get(*keyword)?.as_array());
    if let Some(tuple) = tuple {
        let rest = ["items", "additionalItems"].iter();
        let closed = rest
            .filter_map(|keyword| keywords.get(*keyword))
            .any(|rest| *rest == Value::Bool(false));
        let bounded = closed || max.is_some_and(|max| max <= tuple.len());
        if bounded && (tuple.len() <= 1 || all_exclusive(resources, tuple)) {
            return Ok(None);
        }
        return Err(at.unsupported(KEYWORD, "items cannot be compared with each other"));
    }
    let items = keywords
        .get("items")
        .and_then(|items| values(resources, items, DEPTH));
    let items = items.ok_or_else(|| {
        at.unsupported(
            KEYWORD,
            "items cannot be compared with each other, unless they are an enum",
        )
    })?;
    let max = max.unwrap_or(items.len()).min(items.len());
    if min > max {
        let problem = format!("minItems {min} is greater than the number of different items");
        return Err(at.child("minItems").unsatisfiable(problem));
    }
    let lists = arrangements(items.len(), min, max).or_else(|| subsets(items.len(), min, max));
    let lists = lists
        .ok_or_else(|| at.unsupported(KEYWORD, "the enum of its items has too many values"))?;
    let array = |list: Vec<usize>| {
        let length = list.len();
        let items: Vec<Value> = list
            .into_iter()
            .map(|item| json!({"const": items[item]}))
            .collect();
        if items.is_empty() {
            json!({"type": "array", "maxItems": 0})
        } else {
            json!({"type": "array", "prefixItems": items, "items": false, "minItems": length})
        }
    };
    Ok(Some(lists.into_iter().map(array).collect()))
}

/// All values of a schema, if it lists them.
fn values<'a>(resources: &Resources<'a>, schema: &'a Value, depth: usize) -> Option<Vec<Value>> {
    let keywords = schema.as_object().filter(|_| depth > 0)?;
    let types = types::declared(keywords, &Pointer::root())
        .ok()?
        .unwrap_or(Types::ALL);
    let listed = match (keywords.get("const"), keywords.get("enum")) {
        (Some(value), _) => vec![value.clone()],
        (_, Some(values)) => values.as_array()?.clone(),
        _ if types == Types::BOOLEAN => vec![Value::Bool(true), Value::Bool(false)],
        _ => {
            let reference = keywords.get("$ref").and_then(Value::as_str);
            let target = reference.and_then(|name| resources.resolve_anywhere(name));
            let single = keywords.get("allOf").and_then(Value::as_array);
            let single = single
                .filter(|schemas| schemas.len() == 1)
                .and_then(|schemas| schemas.first());
            let others = [
                "anyOf", "oneOf", "not", "if", "pattern", "minimum", "maximum",
            ];
            if others.iter().any(|keyword| keywords.contains_key(*keyword)) {
                return None;
            }
            values(resources, target.or(single)?, depth - 1)?
        }
    };
    let mut distinct: Vec<Value> = Vec::new();
    for value in listed {
        if types.has(Types::of(&value)) && !distinct.iter().any(|one| equal(one, &value)) {
            distinct.push(value);
        }
    }
    Some(distinct)
}

/// All ordered selections of `min` to `max` of the numbers below `count`; `None` if there are too many.
fn arrangements(count: usize, min: usize, max: usize) -> Option<Vec<Vec<usize>>> {
    let extend = |list: &Vec<usize>| -> Vec<Vec<usize>> {
        let left = (0..count).filter(|item| !list.contains(item));
        left.map(|item| list.iter().copied().chain([item]).collect())
            .collect()
    };
    selections(min, max, extend)
}

/// As [`arrangements`], in ascending order only.
fn subsets(count: usize, min: usize, max: usize) -> Option<Vec<Vec<usize>>> {
    let extend = |list: &Vec<usize>| -> Vec<Vec<usize>> {
        let next = list.last().map_or(0, |last| last + 1);
        (next..count)
            .map(|item| list.iter().copied().chain([item]).collect())
            .collect()
    };
    selections(min, max, extend)
}

fn selections(
    min: usize,
    max: usize,
    extend: impl Fn(&Vec<usize>) -> Vec<Vec<usize>>,
) -> Option<Vec<Vec<usize>>> {
    let mut all = Vec::new();
    let mut lists = vec![Vec::new()];
    for length in 0..=max {
        let next: Vec<Vec<usize>> = if length < max {
            lists
                .iter()
                .flat_map(&extend)
                .take(MAX_ARRAYS + 1)
                .collect()
        } else {
            Vec::new()
        };
        if length >= min {
            all.extend(lists);
        }
        if all.len() + next.len() > MAX_ARRAYS {
            return None;
        }
        lists = next;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_complete_and_bounded() {
        assert_eq!(
            arrangements(2, 0, 2).unwrap(),
            [vec![], vec![0], vec![1], vec![0, 1], vec![1, 0]]
        );
        assert_eq!(arrangements(4, 0, 4).map(|all| all.len()), Some(65));
        assert_eq!(arrangements(6, 0, 6), None);
        assert_eq!(arrangements(20, 0, 1).map(|all| all.len()), Some(21));
        assert_eq!(
            subsets(3, 2, 3).unwrap(),
            [vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]]
        );
        assert_eq!(subsets(8, 0, 8).map(|all| all.len()), Some(256));
        assert_eq!(subsets(9, 0, 9), None);
    }
}
