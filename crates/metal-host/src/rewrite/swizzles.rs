//! The swizzles that a source uses, as lists for the vector types: a header with all 680 of them would slow every compilation down.

use super::edit::Edits;
use super::token::Kind;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Definitions of `HOST_SWIZZLES_n`: the swizzles whose last component is the n-th.
pub fn macros(edits: &Edits<'_>) -> String {
    let mut names = BTreeSet::new();
    for pair in edits.tokens.windows(2) {
        if (pair[0].is(".") || pair[0].is("->")) && pair[1].kind == Kind::Word {
            names.insert(pair[1].text);
        }
    }
    let mut lists = [String::new(), String::new(), String::new()];
    for name in names {
        let Some(components) = components(name) else {
            continue;
        };
        let last = components.iter().copied().max().unwrap_or(0);
        let unique: BTreeSet<_> = components.iter().collect();
        let kind = if unique.len() == components.len() {
            "S"
        } else {
            "R"
        };
        let list = &mut lists[last.max(1) - 1];
        let indices: Vec<_> = components.iter().map(usize::to_string).collect();
        let indices = indices.join(", ");
        let count = components.len();
        // Writing to a string cannot fail.
        let _ = write!(list, " {kind}({name}, {count}, {indices})");
    }
    let [second, third, fourth] = lists;
    format!(
        "#define HOST_SWIZZLES_2(S, R){second}\n#define HOST_SWIZZLES_3(S, R){third}\n#define HOST_SWIZZLES_4(S, R){fourth}\n"
    )
}

/// Indices of the components, for a name of two to four of them.
fn components(name: &str) -> Option<Vec<usize>> {
    if !(2..=4).contains(&name.len()) {
        return None;
    }
    ["xyzw", "rgba"].iter().find_map(|letters| {
        name.chars()
            .map(|letter| letters.find(letter))
            .collect::<Option<Vec<_>>>()
    })
}
