//! Detection of syntaxes in a corpus of real chat templates, which `cargo xtask test templates` downloads.

use std::fmt::Write as _;
use std::path::Path;

use mlxm_chat::parsing::Format;

#[test]
#[ignore = "needs MLXM_TEMPLATE_CORPUS, a directory of chat templates"]
fn real_templates_use_known_syntaxes() {
    let corpus = std::env::var_os("MLXM_TEMPLATE_CORPUS")
        .unwrap_or_else(|| panic!("set MLXM_TEMPLATE_CORPUS to a directory of chat templates"));
    let mut paths: Vec<_> = Path::new(&corpus)
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jinja")
        })
        .collect();
    paths.sort();
    let mut found = String::new();
    for path in paths {
        let source = std::fs::read_to_string(&path).unwrap();
        let format = Format::detect(Some(&source), "");
        let name = path.file_stem().unwrap().to_string_lossy();
        let tools = format.tools.map_or("-", |tools| tools.as_str());
        let reasoning = format.reasoning.map_or("-", |reasoning| reasoning.as_str());
        writeln!(found, "{name:55} {tools:15} {reasoning}").unwrap();
    }
    insta::assert_snapshot!(found);
}
