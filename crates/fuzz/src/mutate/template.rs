//! Mutations of Jinja templates: fragments of the language, and copied, moved and missing parts.

use fastrand::Rng;

use super::{MAX_BYTES, range};

/// Parts of templates. Loops are short, since their number multiplies when they are nested.
const FRAGMENTS: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "{% endfor %}",
    "{% endif %}",
    "{% for x in range(3) %}",
    "{% for x in messages recursive %}{{ loop(x) }}{% endfor %}",
    "{% if messages is defined %}",
    "{% set ns = namespace(a=1) %}",
    "{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}",
    "{{ 'x' * 100 }}",
    "{{ 'x' * -1 }}",
    "{{ range(1000000000000) | list }}",
    "{{ messages[9223372036854775807] }}",
    "{{ messages[::-1] }}",
    "{{ messages[::0] }}",
    "{{ messages | tojson(indent=100000) }}",
    "{{ '%999999d' | format(1) }}",
    "{{ '{:>999999}'.format(1) }}",
    "{{ 1 // 0 }}",
    "{{ 1 % 0 }}",
    "{{ 9223372036854775807 + 1 }}",
    "{{ -9223372036854775808 // -1 }}",
    "{{ 2 ** 1000000 }}",
    "{{ 'abc'.split('') }}",
    "{{ ('a' ~ messages) | indent(100000) }}",
    "{{ strftime_now('%Y%Q%9999d') }}",
    "{{ raise_exception(messages) }}",
    "{{ messages | groupby('role') }}",
    "{{ undefined.x.y }}",
    "\u{0}",
    "\u{1f980}",
];

/// Nesting beyond every limit.
const DEPTH: usize = 20_000;

pub(crate) fn mutate(rng: &mut Rng, example: &[u8], other: &[u8]) -> Vec<u8> {
    let mut text: Vec<char> = String::from_utf8_lossy(example).chars().collect();
    for _ in 0..rng.u8(1..=4) {
        let at = rng.usize(..=text.len());
        match rng.u8(..8) {
            0..=2 => {
                let fragment = rng.choice(FRAGMENTS).copied().unwrap_or_default();
                text.splice(at..at, fragment.chars());
            }
            3 | 4 => {
                text.drain(range(rng, text.len(), 40));
            }
            5 => {
                let copied = text[range(rng, text.len(), 200)].to_vec();
                if text.len() + copied.len() <= MAX_BYTES {
                    text.splice(at..at, copied);
                }
            }
            6 => {
                let other: Vec<char> = String::from_utf8_lossy(other).chars().collect();
                let part = other[range(rng, other.len(), 200)].to_vec();
                text.splice(at..at, part);
            }
            _ if rng.u8(..8) == 0 => {
                let opening = rng.choice(["{{ (", "[", "{% if 1 %}", "-"]);
                text.splice(at..at, opening.unwrap_or_default().repeat(DEPTH).chars());
            }
            _ => {
                if let Some(character) = text.get_mut(at) {
                    *character = char::from(rng.u8(b' '..=b'~'));
                }
            }
        }
    }
    String::from_iter(text).into_bytes()
}
