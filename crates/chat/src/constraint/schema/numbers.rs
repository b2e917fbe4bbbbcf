//! Keywords for numbers.

use serde_json::{Map, Value, json};

use super::pointer::Pointer;
use super::types::Types;
use crate::constraint::error::GrammarError;

/// Integers up to this are exact in f64, which llguidance uses.
const EXACT: f64 = (1u64 << 53) as f64;

/// Limit of unbounded integers, because models can generate endless digits. It fits an i64.
const MAX_INTEGER: f64 = 9e18;

/// Most decimals of a bound.
const DECIMALS: usize = 17;

/// A bound and its keyword.
struct Bound<'a> {
    keyword: &'a str,
    value: f64,
    exclusive: bool,
    /// Whether this is an integer that `value` and llguidance represent exactly.
    is_exact_integer: bool,
}

/// Rewrites the keywords for numbers; `types` are the types that the schema allows.
pub(super) fn prepare(
    keywords: &Map<String, Value>,
    types: Types,
    at: &Pointer,
    steps: &mut Steps,
    prepared: &mut Map<String, Value>,
) -> Result<(), GrammarError> {
    // In draft 4 and OpenAPI 3.0, exclusiveMinimum and exclusiveMaximum are booleans.
    let excludes = |keyword: &str| keywords.get(keyword) == Some(&Value::Bool(true));
    let low = stricter(
        bound(keywords, "minimum", excludes("exclusiveMinimum"), at)?,
        bound(keywords, "exclusiveMinimum", true, at)?,
        |candidate, other| candidate > other,
    );
    let high = stricter(
        bound(keywords, "maximum", excludes("exclusiveMaximum"), at)?,
        bound(keywords, "exclusiveMaximum", true, at)?,
        |candidate, other| candidate < other,
    );
    let integers_only = !types.has(Types::FRACTION);
    if let (Some(low), Some(high)) = (&low, &high) {
        check_order(low, high, integers_only, at)?;
    }
    let step = multiple_of(keywords, at)?;
    // Values must stay in the range where they are exact.
    let range = match &step {
        Some(step) => step.range,
        None if integers_only => MAX_INTEGER,
        None => f64::INFINITY,
    };
    let exact_range = |bound: &Bound<'_>| {
        if integers_only && step.is_none() && bound.is_exact_integer {
            range
        } else {
            range.min(EXACT)
        }
    };
    if let Some(low) = &low
        && low.value > exact_range(low)
    {
        return Err(at.unsupported(low.keyword, "it is too large to be exact"));
    }
    if let Some(high) = &high
        && high.value < -exact_range(high)
    {
        return Err(at.unsupported(high.keyword, "it is too large to be exact"));
    }
    let limit = |bound: Option<&Bound<'_>>| match bound {
        Some(bound) if bound.value.abs() <= range => exact_range(bound),
        _ => range,
    };
    let (lowest, highest) = (-limit(low.as_ref()), limit(high.as_ref()));
    write(
        prepared,
        low,
        ["minimum", "exclusiveMinimum"],
        lowest,
        |a, b| a < b,
    );
    write(
        prepared,
        high,
        ["maximum", "exclusiveMaximum"],
        highest,
        |a, b| a > b,
    );
    if let Some(step) = step {
        steps.add(&step, at)?;
        prepared.insert(MULTIPLE_OF.into(), step.value);
    }
    Ok(())
}

fn bound<'a>(
    keywords: &Map<String, Value>,
    keyword: &'a str,
    exclusive: bool,
    at: &Pointer,
) -> Result<Option<Bound<'a>>, GrammarError> {
    let value = match keywords.get(keyword) {
        None => return Ok(None),
        Some(Value::Bool(_)) if keyword.starts_with("exclusive") => return Ok(None),
        Some(value) => value,
    };
    let integer = value.as_i64();
    let value = value
        .as_f64()
        .ok_or_else(|| at.child(keyword).invalid("it must be a number"))?;
    let decimals = format!("{value}").split('.').nth(1).map_or(0, str::len);
    if decimals > DECIMALS {
        let reason = format!("it has more than {DECIMALS} decimals; round it");
        return Err(at.unsupported(keyword, reason));
    }
    Ok(Some(Bound {
        keyword,
        value,
        exclusive,
        // The next integer after an exclusive bound may not be exact.
        is_exact_integer: !exclusive
            && value.fract() == 0.0
            && integer.is_none_or(|integer| integer as f64 as i64 == integer),
    }))
}

fn stricter<'a>(
    inclusive: Option<Bound<'a>>,
    exclusive: Option<Bound<'a>>,
    beats: impl Fn(f64, f64) -> bool,
) -> Option<Bound<'a>> {
    match (inclusive, exclusive) {
        (Some(inclusive), Some(exclusive)) => Some(if beats(inclusive.value, exclusive.value) {
            inclusive
        } else {
            exclusive
        }),
        (inclusive, exclusive) => inclusive.or(exclusive),
    }
}

fn check_order(
    low: &Bound<'_>,
    high: &Bound<'_>,
    integers_only: bool,
    at: &Pointer,
) -> Result<(), GrammarError> {
    let (min, max) = if integers_only {
        let excluded = |bound: &Bound<'_>| bound.exclusive && bound.value.fract() == 0.0;
        (
            low.value.ceil() + f64::from(u8::from(excluded(low))),
            high.value.floor() - f64::from(u8::from(excluded(high))),
        )
    } else {
        (low.value, high.value)
    };
    let empty = min == max && !integers_only && (low.exclusive || high.exclusive);
    if min > max || empty {
        return Err(at.child(low.keyword).unsatisfiable(format!(
            "no {} is between {} {} and {} {}",
            if integers_only { "integer" } else { "number" },
            low.keyword,
            low.value,
            high.keyword,
            high.value
        )));
    }
    Ok(())
}

/// Writes a bound, or the limit of the range if that is stricter.
fn write(
    prepared: &mut Map<String, Value>,
    bound: Option<Bound<'_>>,
    [inclusive, exclusive]: [&str; 2],
    limit: f64,
    is_beyond: impl Fn(f64, f64) -> bool,
) {
    match bound {
        Some(bound) if !is_beyond(bound.value, limit) => {
            let keyword = if bound.exclusive {
                exclusive
            } else {
                inclusive
            };
            prepared.insert(keyword.into(), json!(bound.value));
        }
        _ if limit.is_finite() => {
            prepared.insert(inclusive.into(), json!(limit));
        }
        _ => {}
    }
}

/// The value of `multipleOf`.
struct Step {
    value: Value,
    decimals: usize,
    /// The value without its decimal point.
    digits: f64,
    /// Multiples are exact up to this.
    range: f64,
}

/// All `multipleOf` values of a schema. llguidance multiplies those that apply to the same value, in 32 bits.
#[derive(Debug, Default)]
pub(super) struct Steps(Vec<(usize, f64)>);

impl Steps {
    fn add(&mut self, step: &Step, at: &Pointer) -> Result<(), GrammarError> {
        if !self.0.contains(&(step.decimals, step.digits)) {
            self.0.push((step.decimals, step.digits));
        }
        let decimals = self
            .0
            .iter()
            .map(|(decimals, _)| *decimals)
            .max()
            .unwrap_or(0);
        let scaled = |(own, digits): &(usize, f64)| digits * 10f64.powi((decimals - own) as i32);
        let product: f64 = self.0.iter().map(scaled).product();
        if product <= f64::from(u32::MAX) {
            return Ok(());
        }
        let reason = "the schema has too many different ones, or one with too many digits";
        Err(at.unsupported(MULTIPLE_OF, reason))
    }
}

const MULTIPLE_OF: &str = "multipleOf";

fn multiple_of(keywords: &Map<String, Value>, at: &Pointer) -> Result<Option<Step>, GrammarError> {
    const MAX_MULTIPLE_OF_DECIMALS: usize = 6;
    let Some(value) = keywords.get(MULTIPLE_OF) else {
        return Ok(None);
    };
    let step = value.as_f64().filter(|step| *step > 0.0).ok_or_else(|| {
        at.child(MULTIPLE_OF)
            .invalid("it must be a number greater than 0")
    })?;
    let decimals = format!("{step}").split('.').nth(1).map_or(0, str::len);
    if decimals > MAX_MULTIPLE_OF_DECIMALS {
        let reason = format!("it has more than {MAX_MULTIPLE_OF_DECIMALS} decimals");
        return Err(at.unsupported(MULTIPLE_OF, reason));
    }
    Ok(Some(Step {
        value: value.clone(),
        decimals,
        digits: (step * 10f64.powi(decimals as i32)).round(),
        range: match decimals {
            0 => EXACT,
            decimals => 10f64.powi(15 - decimals as i32),
        },
    }))
}
