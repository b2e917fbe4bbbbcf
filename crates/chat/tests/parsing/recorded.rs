//! Answers as models write them, in every syntax: what they mean, and that it does not matter how they are cut.
//!
//! The answers are the files of `recorded/`, named after their syntax; what they mean is in `snapshots/`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{assert_same_everywhere, calls, parse, render, tools};
use mlxm_chat::parsing::{Format, ReasoningFormat, ToolFormat};

/// Name, syntax and text of each answer.
fn recorded() -> Vec<(String, Format, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut answers = BTreeMap::new();
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
        // Editors end files with a line break; the answers have none.
        let text = text.strip_suffix('\n').expect("ends with a line break");
        answers.insert(name, (format, text.to_owned()));
    }
    answers
        .into_iter()
        .map(|(name, (format, text))| (name, format, text))
        .collect()
}

#[test]
fn every_syntax_is_recorded() {
    let answers = recorded();
    for format in ToolFormat::ALL {
        let found = answers
            .iter()
            .any(|(_, recorded, _)| recorded.tools == Some(format));
        assert!(found, "no answer in {format}");
    }
}

#[test]
fn answers_mean_what_they_say() {
    for (name, format, text) in recorded() {
        let parts = parse(format, "", &tools(), [text.as_str()]);
        insta::assert_snapshot!(name, render(&parts), &text);
    }
}

#[test]
fn every_cut_gives_the_same_parts() {
    for (_, format, text) in recorded() {
        assert_same_everywhere(format, "", &tools(), &text);
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
