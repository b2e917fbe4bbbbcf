//! The tables in docs/metal.md.

use super::markdown;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::ops::Range;

/// The file with the tables.
pub const PATH: &str = "docs/metal.md";

const BEGIN: &str = "<!-- begin: cargo xtask metal-model -->\n";
const END: &str = "<!-- end: cargo xtask metal-model -->\n";

/// Writes the current tables into the file.
pub fn update() -> Result<()> {
    let path = workspace::root().join(PATH);
    let mut text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let tables = find(&text)?;
    text.replace_range(tables, &section());
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The tables between the two comments, with the empty lines that Markdown needs.
fn section() -> String {
    format!("\n{}\n", markdown())
}

/// Where the tables are.
fn find(text: &str) -> Result<Range<usize>> {
    let Some(begin) = text.find(BEGIN).map(|start| start + BEGIN.len()) else {
        bail!("{PATH} has no line `{}`", BEGIN.trim());
    };
    let Some(length) = text[begin..].find(END) else {
        bail!("{PATH} has no line `{}`", END.trim());
    };
    Ok(begin..begin + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_has_the_current_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metal.md");
        let text = fs::read_to_string(path).unwrap();
        let tables = &text[find(&text).unwrap()];
        assert!(
            tables == section(),
            "{PATH} is outdated: run `cargo xtask metal-model --write`"
        );
    }
}
