//! Finds models by incomplete or misspelled names.

/// Minimum Jaro-Winkler similarity of a suggested name, from 0 to 1.
const MIN_SUGGESTION_SIMILARITY: f64 = 0.72;
const MAX_SUGGESTIONS: usize = 5;

/// The indices of the names that `wanted` stands for: equal names, else names that are equal in lower case, else those whose
/// part after the owner is equal in lower case, else those that contain it in lower case. Empty without a match; with several,
/// `wanted` is ambiguous.
pub fn matches(names: &[&str], wanted: &str) -> Vec<usize> {
    let lower = wanted.to_lowercase();
    // The first tier with a match decides.
    let tiers: [&dyn Fn(&str) -> bool; 4] = [
        &|name| name == wanted,
        &|name| name.to_lowercase() == lower,
        &|name| last_part(name) == lower,
        &|name| !lower.is_empty() && name.to_lowercase().contains(&lower),
    ];
    let find = |is_match: &dyn Fn(&str) -> bool| {
        let found = names.iter().enumerate().filter(|(_, name)| is_match(name));
        found.map(|(index, _)| index).collect::<Vec<_>>()
    };
    let mut found = tiers.into_iter().map(find);
    found
        .find(|indices| !indices.is_empty())
        .unwrap_or_default()
}

/// Up to five names that are similar to `wanted`, the most similar first.
pub fn nearest(names: &[&str], wanted: &str) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut similar: Vec<(f64, &str)> = names
        .iter()
        .map(|name| {
            let full_name = strsim::jaro_winkler(&wanted, &name.to_lowercase());
            let similarity = full_name.max(strsim::jaro_winkler(&wanted, &last_part(name)));
            (similarity, *name)
        })
        .filter(|(similarity, _)| *similarity >= MIN_SUGGESTION_SIMILARITY)
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names = similar.into_iter().map(|(_, name)| name.to_owned());
    names.take(MAX_SUGGESTIONS).collect()
}

/// Names in backquotes, such as "`a`, `b` or `c`".
pub fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

fn last_part(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["a/Qwen3-4B", "b/qwen3-4b", "a/Qwen3-4B-Instruct", "llama"];

    #[test]
    fn first_tier_with_a_match_decides() {
        assert_eq!(matches(&NAMES, "a/Qwen3-4B"), [0]);
        assert_eq!(matches(&NAMES, "A/QWEN3-4B"), [0]);
        assert_eq!(matches(&NAMES, "qwen3-4b"), [0, 1]);
        assert_eq!(matches(&NAMES, "instruct"), [2]);
        assert_eq!(matches(&NAMES, "LLAMA"), [3]);
        assert!(matches(&NAMES, "mistral").is_empty());
        assert!(matches(&NAMES, "").is_empty());
    }

    #[test]
    fn nearest_names_are_sorted_by_similarity() {
        assert_eq!(nearest(&NAMES, "lama"), ["llama"]);
        assert_eq!(
            nearest(&NAMES, "a/Qwen3-4B-Instruc").first().unwrap(),
            NAMES[2]
        );
        assert!(nearest(&NAMES, "zzz").is_empty());
    }

    #[test]
    fn list_reads_as_a_sentence() {
        let names = |names: &[&str]| {
            list(
                &names
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(names(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(names(&["a"]), "`a`");
    }
}
