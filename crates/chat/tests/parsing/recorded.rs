//! Output of models in every syntax, from files.
//!
//! The files in `recorded/` are named after their syntax; the parsed parts are in `snapshots/`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{assert_independent_of_splits, calls, parse, render, tools};
use mlxm_chat::parsing::{Format, ReasoningFormat, ToolFormat};

/// Name, syntax and text of each recording.
fn recorded() -> Vec<(String, Format, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut recordings = BTreeMap::new();
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let syntax = name.split('.').next().unwrap();
        let tools: ToolFormat = syntax.parse().unwrap();
        let reasoning = if tools == ToolFormat::Harmony {
            ReasoningFormat::Harmony
        } else {
            ReasoningFormat::AnyTags
        };
        let format = Format {
            tools: Some(tools),
            reasoning: Some(reasoning),
        };
        let text = std::fs::read_to_string(&path).unwrap();
        // The final line break of the file is not a part of the output.
        let text = text.strip_suffix('\n').expect("ends with a line break");
        recordings.insert(name, (format, text.to_owned()));
    }
    recordings
        .into_iter()
        .map(|(name, (format, text))| (name, format, text))
        .collect()
}

#[test]
fn every_format_is_recorded() {
    let recordings = recorded();
    for format in ToolFormat::ALL {
        let found = recordings
            .iter()
            .any(|(_, recorded, _)| recorded.tools == Some(format));
        assert!(found, "no recording of {format}");
    }
}

#[test]
fn parts_match_snapshots() {
    for (name, format, text) in recorded() {
        let parts = parse(format, "", &tools(), [text.as_str()]);
        insta::assert_snapshot!(name, render(&parts), &text);
    }
}

#[test]
fn parts_do_not_depend_on_splits() {
    for (_, format, text) in recorded() {
        assert_independent_of_splits(format, "", &tools(), &text);
    }
}

#[test]
fn complete_calls_have_valid_arguments() {
    for (name, format, text) in recorded() {
        if !name.contains("cut_off") && !name.contains("broken") {
            let parts = parse(format, "", &tools(), [text.as_str()]);
            calls(&parts);
        }
    }
}
