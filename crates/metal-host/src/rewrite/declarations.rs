//! Kernels, explicit instantiations and function constants, at namespace scope.

use super::attributes::{self, Attribute};
use super::edit::Edits;
use super::token::Kind;
use super::{FunctionConstant, Instantiation, Kernel, Program, parameters};
use crate::Error;
use std::ops::Range;

/// Rewrites all declarations and returns the ranges of the bodies of functions.
pub fn rewrite(edits: &mut Edits<'_>, program: &mut Program) -> Result<Vec<Range<usize>>, Error> {
    let mut bodies = Vec::new();
    let mut start = 0;
    let mut index = 0;
    while index < edits.tokens.len() {
        let token = edits.tokens[index];
        match token.text {
            _ if token.kind == Kind::Directive => {
                index += 1;
                if start + 1 == index {
                    start = index;
                }
            }
            ";" => {
                declaration(edits, program, start..index)?;
                index += 1;
                start = index;
            }
            "{" if opens_scope(edits, start) => {
                index += 1;
                start = index;
            }
            "{" => {
                let end = edits.after_group(index);
                if opens_body(edits, start..index) {
                    kernel(edits, program, start..index)?;
                    bodies.push(index..end);
                    start = end;
                } else if opens_members(edits, start..index) {
                    bodies.push(index..end);
                }
                index = end;
            }
            "}" => {
                index += 1;
                start = index;
            }
            "(" | "[" => index = edits.after_group(index),
            _ => index += 1,
        }
    }
    for index in 0..edits.tokens.len() {
        if edits.is(index, "is_function_constant_defined") && edits.is(index + 1, "(") {
            let end = edits.after_group(index + 1);
            let name = edits.original(index + 2, end - 1);
            edits.remove(index + 1..end);
            edits.replace(index, format!("HOST_DEFINED_{name}"));
        }
    }
    Ok(bodies)
}

/// The index after `template <…>`, or `start` if there is none.
pub fn after_template_header(edits: &Edits<'_>, start: usize) -> usize {
    if edits.is(start, "template") && edits.is(start + 1, "<") {
        edits.after_group(start + 1)
    } else {
        start
    }
}

pub fn opens_scope(edits: &Edits<'_>, start: usize) -> bool {
    edits.is(start, "namespace") || edits.is(start, "extern")
}

/// Whether a brace after this declaration opens a class with member functions; not an enumeration or an initializer.
pub fn opens_members(edits: &Edits<'_>, declaration: Range<usize>) -> bool {
    let first = edits
        .tokens
        .get(after_template_header(edits, declaration.start));
    first.is_some_and(|first| ["struct", "class", "union"].contains(&first.text))
}

/// Whether a brace after this declaration opens the body of a function.
pub fn opens_body(edits: &Edits<'_>, declaration: Range<usize>) -> bool {
    let mut index = after_template_header(edits, declaration.start);
    let class_like = ["struct", "class", "union", "enum"];
    if edits
        .tokens
        .get(index)
        .is_some_and(|token| class_like.contains(&token.text))
    {
        return false;
    }
    let mut parameters = false;
    while index < declaration.end {
        match edits.tokens[index].text {
            "=" => return false,
            "operator" => return true,
            "(" => {
                parameters = true;
                index = edits.after_group(index);
            }
            "[" => index = edits.after_group(index),
            _ => index += 1,
        }
    }
    parameters
}

/// A declaration that ends with a semicolon.
fn declaration(
    edits: &mut Edits<'_>,
    program: &mut Program,
    range: Range<usize>,
) -> Result<(), Error> {
    if range.is_empty() {
        return Ok(());
    }
    if edits.is(range.start, "template") && !edits.is(range.start + 1, "<") {
        return instantiation(edits, program, range);
    }
    let mut index = range.start;
    while index < range.end {
        if attributes::starts_at(edits, index) {
            let (found, end) = attributes::parse(edits, index)?;
            for attribute in found {
                if let Attribute::FunctionConstant(number) = attribute {
                    return function_constant(edits, program, range.start..index, &number);
                }
            }
            index = end;
        } else if edits.is(index, "(") {
            index = edits.after_group(index);
        } else {
            if edits.is(index, "kernel") {
                edits.replace(index, "static");
            }
            index += 1;
        }
    }
    Ok(())
}

/// `constant bool name [[function_constant(index)]];`: the value is a macro, which each compilation of a kernel defines.
fn function_constant(
    edits: &mut Edits<'_>,
    program: &mut Program,
    range: Range<usize>,
    number: &str,
) -> Result<(), Error> {
    let line = edits.tokens[range.start].line;
    let unsupported = |message: &str| Error::Unsupported {
        line,
        message: message.to_owned(),
    };
    let index = number
        .parse()
        .map_err(|_| unsupported("the index of a function constant is no number"))?;
    let name = edits.tokens[range.end - 1];
    let type_name = (range.start..range.end - 1)
        .filter(|&index| !edits.is(index, "constant") && !edits.is(index, "const"))
        .map(|index| edits.tokens[index].text)
        .collect::<Vec<_>>()
        .join(" ");
    if name.kind != Kind::Word || type_name.is_empty() {
        return Err(unsupported("not a declaration of a function constant"));
    }
    let name = name.text.to_owned();
    edits.remove(range.clone());
    edits.replace(
        range.start,
        format!("HOST_FUNCTION_CONSTANT_{index}({type_name}, {name})"),
    );
    program.constants.push(FunctionConstant {
        index,
        name,
        type_name,
    });
    Ok(())
}

/// `template [[host_name("…")]] [[kernel]] decltype(f<…>) f<…>` or `… void f<…>(parameters)`.
fn instantiation(
    edits: &mut Edits<'_>,
    program: &mut Program,
    range: Range<usize>,
) -> Result<(), Error> {
    let line = edits.tokens[range.start].line;
    let unsupported = |message: &str| Error::Unsupported {
        line,
        message: message.to_owned(),
    };
    let mut index = range.start + 1;
    let mut host_name = None;
    while attributes::starts_at(edits, index) {
        let (found, end) = attributes::parse(edits, index)?;
        for attribute in found {
            if let Attribute::HostName(name) = attribute {
                host_name = Some(name);
            }
        }
        index = end;
    }
    let Some(host_name) = host_name else {
        // An instantiation of something that is no kernel stays as it is.
        return Ok(());
    };
    if edits.is(index, "kernel") {
        index += 1;
    }
    index = if edits.is(index, "decltype") && edits.is(index + 1, "(") {
        edits.after_group(index + 1)
    } else {
        index + 1
    };
    let start = index;
    let mut name = None;
    while index < range.end && !edits.is(index, "(") {
        if edits.is(index, "<") {
            name = name.or(Some(edits.tokens[index - 1].text.to_owned()));
            index = edits.after_group(index);
        } else {
            index += 1;
        }
    }
    let name =
        name.ok_or_else(|| unsupported("an explicit instantiation of a kernel without arguments"))?;
    let function = edits.text(start, index);
    edits.remove(range.clone());
    edits.replace(range.start, format!("HOST_INSTANTIATE({function})"));
    program.instantiations.push(Instantiation {
        host_name,
        function,
        name,
    });
    Ok(())
}

/// The head of a function: a kernel gets internal linkage and a constant with its limit of threads.
fn kernel(edits: &mut Edits<'_>, program: &mut Program, range: Range<usize>) -> Result<(), Error> {
    let header_end = after_template_header(edits, range.start);
    let mut found = Vec::new();
    let mut marker = None;
    let mut parameters = None;
    let mut index = header_end;
    while index < range.end {
        if attributes::starts_at(edits, index) {
            let (attributes, end) = attributes::parse(edits, index)?;
            if attributes.contains(&Attribute::Kernel) {
                marker = Some(index);
            }
            found.extend(attributes);
            index = end;
        } else if edits.is(index, "kernel") {
            marker = Some(index);
            index += 1;
        } else if edits.is(index, "(") {
            parameters = parameters.or(Some(index));
            index = edits.after_group(index);
        } else {
            index += 1;
        }
    }
    let (Some(marker), Some(open)) = (marker, parameters) else {
        return Ok(());
    };
    let name = edits.tokens[open - 1];
    edits.replace(marker, "static");
    let mut host_name = (header_end == range.start).then(|| name.text.to_owned());
    let mut limit = "1024".to_owned();
    for attribute in found {
        match attribute {
            Attribute::HostName(name) => host_name = Some(name),
            Attribute::MaxTotalThreads(expression) => limit = expression,
            _ => {}
        }
    }
    let header = edits.text(range.start, header_end);
    edits.insert(
        range.start,
        &format!(
            "{header} constexpr unsigned long host_max_threads_{} = (unsigned long)({limit}); ",
            name.text
        ),
    );
    let mut kernel = Kernel {
        name: name.text.to_owned(),
        host_name,
        sources: Vec::new(),
        buffers: Vec::new(),
        threadgroup_buffers: Vec::new(),
    };
    let close = edits.after_group(open) - 1;
    parameters::parse(edits, open + 1..close, &mut kernel)?;
    program.kernels.push(kernel);
    Ok(())
}
