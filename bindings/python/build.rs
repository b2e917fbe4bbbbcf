//! The extension module finds Python's symbols in the interpreter that loads it, which the linker of macOS must be told.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
