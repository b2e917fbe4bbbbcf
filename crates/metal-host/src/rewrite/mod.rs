//! Rewrites Metal source into C++ that clang compiles together with the headers in src/shim.
//!
//! Only what a header cannot express is rewritten; docs/metal-host.md lists each rewrite with its reason. The text keeps its lines.

mod attributes;
mod declarations;
mod edit;
mod functions;
mod keywords;
mod overloads;
mod parameters;
mod swizzles;
mod threadgroup;
mod token;

pub use functions::declarations_of;
pub use token::{Kind, Token, tokenize};

use crate::Error;
use crate::function::{BufferArgument, ThreadgroupArgument};
use edit::Edits;

/// Rewritten source, and what it declares.
#[derive(Debug, Default)]
pub struct Program {
    /// C++, still with the macros of function constants and instantiations.
    pub text: String,
    pub kernels: Vec<Kernel>,
    pub instantiations: Vec<Instantiation>,
    pub constants: Vec<FunctionConstant>,
    /// Macros that list the swizzles of the source.
    pub swizzles: String,
}

/// A kernel function or function template.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub name: String,
    /// Absent for a template, whose instantiations have host names.
    pub host_name: Option<String>,
    /// C++ expressions of the sources of the arguments, in order.
    pub sources: Vec<String>,
    pub buffers: Vec<Parameter<BufferArgument>>,
    pub threadgroup_buffers: Vec<Parameter<ThreadgroupArgument>>,
}

/// An argument that is bound by the host.
#[derive(Clone, Debug)]
pub struct Parameter<T> {
    pub argument: T,
    /// Position in the parameter list.
    pub position: usize,
    /// The function constant that decides whether the argument exists.
    pub condition: Option<String>,
}

/// `template [[host_name("…")]] [[kernel]] … function<arguments>`.
#[derive(Clone, Debug)]
pub struct Instantiation {
    pub host_name: String,
    /// `function<arguments>`.
    pub function: String,
    /// `function` alone, without namespaces.
    pub name: String,
}

/// `constant type name [[function_constant(index)]]`.
#[derive(Clone, Debug)]
pub struct FunctionConstant {
    pub index: usize,
    pub name: String,
    pub type_name: String,
}

/// What becomes of address spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSpaces {
    /// All memory is the same, for execution.
    Dropped,
    /// Types differ in them, for a check alone.
    Kept,
}

/// Rewrites preprocessed source.
pub fn rewrite(preprocessed: &str, spaces: AddressSpaces) -> Result<Program, Error> {
    let mut edits = Edits::new(tokenize(preprocessed));
    let mut program = Program {
        swizzles: swizzles::macros(&edits),
        ..Program::default()
    };
    keywords::rewrite(&mut edits, spaces)?;
    if spaces == AddressSpaces::Dropped {
        overloads::rewrite(&mut edits);
    }
    let bodies = declarations::rewrite(&mut edits, &mut program)?;
    for body in bodies {
        threadgroup::rewrite(&mut edits, body, spaces)?;
    }
    program.text = edits.finish();
    Ok(program)
}
