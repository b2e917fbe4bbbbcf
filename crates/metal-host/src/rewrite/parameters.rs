//! The arguments of a kernel: where each comes from.

use super::attributes::{self, Attribute};
use super::edit::Edits;
use super::token::Kind;
use super::{Kernel, Parameter};
use crate::Error;
use crate::function::{AddressSpace, BufferArgument, ThreadgroupArgument};
use std::collections::HashSet;
use std::ops::Range;

/// A parameter before indices are assigned.
struct Declared<'a> {
    name: &'a str,
    space: Option<AddressSpace>,
    threadgroup: bool,
    constant: bool,
    attributes: Vec<Attribute>,
    line: u32,
}

/// Reads the parameters in the range into `kernel`. An argument without an index gets the lowest one that is free.
pub fn parse(edits: &Edits<'_>, range: Range<usize>, kernel: &mut Kernel) -> Result<(), Error> {
    let mut declared = Vec::new();
    for (start, end) in edits.split(range.start, range.end, true) {
        declared.push(declare(edits, start..end)?);
    }
    let mut buffers = HashSet::new();
    let mut threadgroup_buffers = HashSet::new();
    for parameter in &declared {
        for attribute in &parameter.attributes {
            let fresh = match attribute {
                Attribute::Buffer(index) => buffers.insert(*index),
                Attribute::Threadgroup(index) => threadgroup_buffers.insert(*index),
                _ => true,
            };
            if !fresh {
                return Err(Error::Unsupported {
                    line: parameter.line,
                    message: format!("the index of `{}` is used twice", parameter.name),
                });
            }
        }
    }
    for (position, parameter) in declared.into_iter().enumerate() {
        let source = add(
            kernel,
            &parameter,
            position,
            &mut buffers,
            &mut threadgroup_buffers,
        )?;
        kernel.sources.push(source);
    }
    Ok(())
}

fn declare<'a>(edits: &Edits<'a>, range: Range<usize>) -> Result<Declared<'a>, Error> {
    let mut result = Declared {
        name: "",
        space: None,
        threadgroup: false,
        constant: false,
        attributes: Vec::new(),
        line: edits.tokens[range.start].line,
    };
    let mut index = range.start;
    while index < range.end {
        if attributes::starts_at(edits, index) {
            let (found, end) = attributes::parse(edits, index)?;
            result.attributes.extend(found);
            index = end;
            continue;
        }
        let token = edits.tokens[index];
        match token.text {
            "device" => result.space = Some(AddressSpace::Device),
            "constant" => {
                result.space = Some(AddressSpace::Constant);
                result.constant = true;
            }
            "threadgroup" => result.threadgroup = true,
            "const" => result.constant = true,
            "[" | "(" | "<" => {
                index = edits.after_group(index);
                continue;
            }
            name if token.kind == Kind::Word => result.name = name,
            _ => {}
        }
        index += 1;
    }
    Ok(result)
}

/// Adds an argument to the kernel and returns the C++ type that provides it.
fn add(
    kernel: &mut Kernel,
    parameter: &Declared<'_>,
    position: usize,
    buffers: &mut HashSet<usize>,
    threadgroup_buffers: &mut HashSet<usize>,
) -> Result<String, Error> {
    let mut condition = None;
    let mut index = None;
    for attribute in &parameter.attributes {
        match attribute {
            Attribute::Builtin(name) => return Ok(format!("::metal::host::{name}")),
            Attribute::FunctionConstant(name) => condition = Some(name.clone()),
            Attribute::Buffer(explicit) | Attribute::Threadgroup(explicit) => {
                index = Some(*explicit);
            }
            _ => {}
        }
    }
    let name = parameter.name.to_owned();
    if parameter.threadgroup {
        let index = index.unwrap_or_else(|| lowest_free(threadgroup_buffers));
        kernel.threadgroup_buffers.push(Parameter {
            argument: ThreadgroupArgument { index, name },
            position,
            condition,
        });
        Ok(format!("::metal::host::ThreadgroupBuffer<{index}>"))
    } else if let Some(address_space) = parameter.space {
        let index = index.unwrap_or_else(|| lowest_free(buffers));
        kernel.buffers.push(Parameter {
            argument: BufferArgument {
                index,
                name,
                address_space,
                constant: parameter.constant,
            },
            position,
            condition,
        });
        Ok(format!("::metal::host::Buffer<{index}>"))
    } else {
        Err(Error::Unsupported {
            line: parameter.line,
            message: format!("`{name}` is neither a buffer, threadgroup memory nor a builtin"),
        })
    }
}

fn lowest_free(used: &mut HashSet<usize>) -> usize {
    let index = (0..=used.len())
        .find(|index| !used.contains(index))
        .unwrap_or(used.len());
    used.insert(index);
    index
}
