//! `value[start:stop:step]`.

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// Slices strings, lists and tuples; `arguments` are start, stop and step, `none` if omitted.
pub(super) fn slice(value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let bound = |index: usize| -> Result<Option<i64>, Error> {
        match arguments.get(index) {
            None => Ok(None),
            Some(bound) if bound.is_none() => Ok(None),
            Some(bound) => bound.as_i64().map(Some).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidOperation,
                    "slice indices must be integers or none",
                )
            }),
        }
    };
    let (start, stop, step) = (bound(0)?, bound(1)?, bound(2)?.unwrap_or(1));
    if step == 0 {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "slice step cannot be zero",
        ));
    }
    if let Some(text) = value.as_str() {
        let characters: Vec<char> = text.chars().collect();
        let positions = positions(characters.len(), start, stop, step);
        return Ok(Value::from(
            positions
                .map(|position| characters[position])
                .collect::<String>(),
        ));
    }
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a value of type {} cannot be sliced", value.kind()),
        ));
    }
    let items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
    let chosen: Vec<Value> = positions(items.len(), start, stop, step)
        .map(|position| items[position].clone())
        .collect();
    Ok(if value.is_tuple() {
        Value::from(Tuple::from(chosen))
    } else {
        Value::from(chosen)
    })
}

/// The positions in a slice, as Python's `slice.indices`.
fn positions(
    length: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let length = length as i64;
    let (lowest, highest) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let clamp = |bound: i64| {
        if bound < 0 {
            bound.saturating_add(length).max(lowest)
        } else {
            bound.min(highest)
        }
    };
    let first = start.map_or(if step > 0 { lowest } else { highest }, clamp);
    let end = stop.map_or(if step > 0 { highest } else { lowest }, clamp);
    std::iter::successors(Some(first), move |position| position.checked_add(step))
        .take_while(move |&position| {
            if step > 0 {
                position < end
            } else {
                position > end
            }
        })
        .map(|position| position as usize)
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn positions_match_python() {
        // Each from list(range(5))[start:stop:step].
        for (start, stop, step, expected) in [
            (None, None, -1, vec![4, 3, 2, 1, 0]),
            (None, Some(0), -1, vec![4, 3, 2, 1]),
            (Some(0), Some(2), -1, vec![]),
            (Some(-2), None, 1, vec![3, 4]),
            (Some(-9), Some(9), 2, vec![0, 2, 4]),
            (Some(9), Some(-9), -2, vec![4, 2, 0]),
            (Some(-9), None, -1, vec![]),
            (Some(3), Some(1), 1, vec![]),
            (None, Some(-1), 1, vec![0, 1, 2, 3]),
            (None, None, i64::MAX, vec![0]),
            (None, None, i64::MIN, vec![4]),
        ] {
            assert_eq!(
                positions(5, start, stop, step).collect::<Vec<_>>(),
                expected,
                "[{start:?}:{stop:?}:{step}]"
            );
        }
        assert_eq!(positions(0, None, None, -1).count(), 0);
    }
}
