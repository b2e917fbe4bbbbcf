//! Source text that has been checked, and its kernels.

use crate::function::{self, Function, Reflection};
use crate::rewrite::{self, AddressSpaces, Kernel, Parameter, Program};
use crate::{Error, cache, compiler};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::sync::Arc;

/// How kernels are compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Compile with `-ffast-math`. Undefined memory then holds 1e30 instead of NaN.
    pub fast_math: bool,
    /// Treat subnormal floats as zero, as a GPU may.
    pub flush_subnormals: bool,
    /// Compile with AddressSanitizer and UndefinedBehaviorSanitizer. The process must have been started with their runtime.
    pub sanitize: bool,
    /// Compile with `-O2` instead of `-O1`.
    pub optimize: bool,
    /// Let [`run_traced`](crate::run_traced) see what the kernel loads: 1, 2, 4, 8 or 16 bytes at a time.
    pub trace_loads: bool,
    /// Check address spaces, which are dropped for execution. Sources can then neither overload functions by address space nor
    /// copy a structure from device or constant memory.
    pub check_address_spaces: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fast_math: false,
            flush_subnormals: false,
            sanitize: false,
            optimize: true,
            trace_loads: false,
            check_address_spaces: false,
        }
    }
}

/// The value of a function constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    /// `bool`
    Bool(bool),
    /// `int`, `short` or `char`
    Int(i32),
    /// `uint`, `ushort` or `uchar`
    Uint(u32),
    /// `float` or `half`
    Float(f32),
}

impl Constant {
    fn expression(self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => format!("{value}"),
            Self::Uint(value) => format!("{value}u"),
            Self::Float(value) => format!("__builtin_bit_cast(float, {}u)", value.to_bits()),
        }
    }

    fn fits(self, type_name: &str) -> bool {
        match self {
            Self::Bool(_) => type_name == "bool",
            Self::Int(_) => {
                ["int", "short", "char", "int32_t", "int16_t", "int8_t"].contains(&type_name)
            }
            Self::Uint(_) => {
                ["uint", "ushort", "uchar", "uint32_t", "uint16_t", "uint8_t"].contains(&type_name)
            }
            Self::Float(_) => ["float", "half"].contains(&type_name),
        }
    }
}

/// Compiled source. Cloning is cheap.
#[derive(Clone)]
pub struct Library {
    program: Arc<Program>,
    options: Options,
}

/// Headers that are in front of the rewritten source, with the names that diagnostics show.
const HEADERS: &[(&str, &str)] = &[
    ("types.h", include_str!("shim/types.h")),
    ("runtime.h", include_str!("shim/runtime.h")),
    ("vector.h", include_str!("shim/vector.h")),
    ("math.h", include_str!("shim/math.h")),
    ("simd.h", include_str!("shim/simd.h")),
    (
        "simdgroup_matrix.h",
        include_str!("shim/simdgroup_matrix.h"),
    ),
    ("atomic.h", include_str!("shim/atomic.h")),
    ("entry.h", include_str!("shim/entry.h")),
];

/// Comes after the source, for [`Options::trace_loads`].
const LOADS: &str = include_str!("shim/loads.h");

impl Library {
    /// Checks Metal source as it would be given to the Metal compiler. Errors name lines of the source.
    ///
    /// Templates are checked where the source instantiates them explicitly.
    pub fn compile(source: &str, options: &Options) -> Result<Self, Error> {
        let compiler = compiler::get()?;
        let preprocessed = cache::get(&[&compiler.version, "preprocess", source], "txt", |file| {
            let text = compiler.preprocess(source)?;
            write_file(file, &text)
        })?;
        let preprocessed = fs::read_to_string(&preprocessed).map_err(|source| Error::Cache {
            path: preprocessed,
            source,
        })?;
        let program = rewrite::rewrite(&preprocessed, AddressSpaces::Dropped)?;
        if options.check_address_spaces {
            check(
                compiler,
                &rewrite::rewrite(&preprocessed, AddressSpaces::Kept)?,
                "#define HOST_ADDRESS_SPACES\n",
            )?;
        } else {
            check(compiler, &program, "")?;
        }
        Ok(Self {
            program: Arc::new(program),
            options: options.clone(),
        })
    }

    /// The host names of all kernels.
    pub fn function_names(&self) -> Vec<&str> {
        let kernels = self.program.kernels.iter();
        let instantiations = self.program.instantiations.iter();
        kernels
            .filter_map(|kernel| kernel.host_name.as_deref())
            .chain(instantiations.map(|instantiation| instantiation.host_name.as_str()))
            .collect()
    }

    /// Compiles the kernel with this host name for values of function constants, given with their indices.
    ///
    /// A constant that the kernel uses needs a value; constants that the library lacks are an error.
    pub fn function(
        &self,
        host_name: &str,
        constants: &[(usize, Constant)],
    ) -> Result<Function, Error> {
        let (kernel, function) = self.find(host_name)?;
        let mut prologue = self.constant_macros(constants)?;
        prologue.push_str("#define HOST_INSTANTIATE(...)\n");
        let mut epilogue = entry(kernel, &function);
        if self.options.trace_loads {
            epilogue.push_str(LOADS);
        }
        let text = translation_unit(&self.program, &prologue, &epilogue);
        let compiler = compiler::get()?;
        let flags = compiler::flags(&self.options).join(" ");
        // Other instantiations do not change this one.
        let own: String = text
            .split_inclusive('\n')
            .filter(|line| !is_instantiation(line))
            .collect();
        let identity = [compiler.version.as_str(), flags.as_str(), own.as_str()];
        let path = cache::get(&identity, "so", |file| {
            compiler.compile(&text, &self.options, file)
        })?;
        let reflection = Reflection {
            host_name: host_name.to_owned(),
            buffers: kernel.buffers.clone(),
            threadgroup_buffers: kernel.threadgroup_buffers.clone(),
            parameters: kernel.sources.len(),
        };
        function::load(&path, reflection, &self.options)
    }

    fn find(&self, host_name: &str) -> Result<(&Kernel, String), Error> {
        let missing = || Error::NoKernel(host_name.to_owned());
        let kernels = &self.program.kernels;
        let direct = kernels
            .iter()
            .find(|kernel| kernel.host_name.as_deref() == Some(host_name));
        if let Some(kernel) = direct {
            return Ok((kernel, kernel.name.clone()));
        }
        let mut instantiations = self.program.instantiations.iter();
        let instantiation = instantiations
            .find(|instantiation| instantiation.host_name == host_name)
            .ok_or_else(missing)?;
        let kernel = kernels
            .iter()
            .find(|kernel| kernel.name == instantiation.name)
            .ok_or_else(missing)?;
        Ok((kernel, instantiation.function.clone()))
    }

    fn constant_macros(&self, values: &[(usize, Constant)]) -> Result<String, Error> {
        let declared: HashMap<_, _> = self
            .program
            .constants
            .iter()
            .map(|constant| (constant.index, constant))
            .collect();
        let mut given = HashMap::new();
        for &(index, value) in values {
            let invalid = |message: String| Error::Constant { index, message };
            let constant = declared
                .get(&index)
                .ok_or_else(|| invalid("the library has none with this index".to_owned()))?;
            if !value.fits(&constant.type_name) {
                return Err(invalid(format!(
                    "`{}` is of type {}, not {value:?}",
                    constant.name, constant.type_name
                )));
            }
            if given.insert(index, value).is_some() {
                return Err(invalid("given twice".to_owned()));
            }
        }
        let mut macros = String::new();
        for constant in &self.program.constants {
            let definition = match given.get(&constant.index) {
                // Not a constant expression, as in Metal. Without a value, uses are undefined symbols for the linker.
                Some(value) => format!(
                    "static const T name = ::metal::host::function_constant(T({}))",
                    value.expression()
                ),
                None => "extern const T name __attribute__((visibility(\"hidden\")))".to_owned(),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                macros,
                "#define HOST_FUNCTION_CONSTANT_{}(T, name) {definition}\n#define HOST_DEFINED_{} {}",
                constant.index,
                constant.name,
                given.contains_key(&constant.index)
            );
        }
        Ok(macros)
    }
}

fn translation_unit(program: &Program, prologue: &str, epilogue: &str) -> String {
    let mut text = format!(
        "#define HOST_STACKS_BYTES {}ul\n{}{prologue}",
        crate::run::STACKS_BYTES,
        program.swizzles
    );
    for (name, header) in HEADERS {
        let _ = write!(text, "# 1 \"{name}\" 3\n{header}");
    }
    let _ = write!(text, "{}# 1 \"entry\" 3\n{epilogue}", program.text);
    text
}

/// Whether a line of a translation unit is an explicit instantiation of a kernel and nothing else.
fn is_instantiation(line: &str) -> bool {
    line.starts_with("HOST_INSTANTIATE(")
}

/// Checks a program with those of its instantiations that have not been checked before, by any process.
fn check(compiler: &compiler::Compiler, program: &Program, defines: &str) -> Result<(), Error> {
    // Values do not matter for the check.
    let constants = program.constants.iter();
    let macros = constants.map(|constant| {
        format!(
            "#define HOST_FUNCTION_CONSTANT_{}(T, name) extern const T name\n#define HOST_DEFINED_{} true\n",
            constant.index, constant.name
        )
    });
    let prologue = defines.to_owned()
        + &macros.collect::<String>()
        + "#define HOST_INSTANTIATE(...) template decltype(__VA_ARGS__) __VA_ARGS__\n";
    let text = translation_unit(program, &prologue, "");
    let (instantiations, rest): (Vec<&str>, Vec<&str>) = text
        .split_inclusive('\n')
        .partition(|line| is_instantiation(line));
    let rest = rest.concat();
    let checked = |instantiation: &str| {
        let identity = [&compiler.version, "check", &rest, instantiation];
        cache::Entry::new(&identity, "ok")
    };
    // Without an instantiation the rest is still checked.
    let all = instantiations.iter().copied().chain([""]);
    let missing: Vec<(&str, cache::Entry)> = all
        .map(|line| (line, checked(line)))
        .filter(|(_, entry)| !entry.exists())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    // Lines keep their numbers.
    let lines = text.split_inclusive('\n').map(|line| {
        let skipped = is_instantiation(line) && missing.iter().all(|(other, _)| *other != line);
        if skipped { "\n" } else { line }
    });
    compiler.check(&lines.collect::<String>())?;
    for (_, entry) in missing {
        entry.get(|file| write_file(file, ""))?;
    }
    Ok(())
}

/// The exported functions of a compiled kernel.
fn entry(kernel: &Kernel, function: &str) -> String {
    let sources = kernel.sources.join(", ");
    let arguments = function.find('<').unwrap_or(function.len());
    let (path, arguments) = function.split_at(arguments);
    let path = path.trim_end();
    let scope = path.strip_suffix(kernel.name.as_str()).unwrap_or_default();
    let limit = format!("{scope}host_max_threads_{}{arguments}", kernel.name);
    let buffers = kernel.buffers.iter().map(condition);
    let threadgroup_buffers = kernel.threadgroup_buffers.iter().map(condition);
    let conditions: Vec<_> = buffers.chain(threadgroup_buffers).collect();
    format!(
        "typedef ::metal::host::entry<{sources}> host_entry;
extern \"C\" void mlxm_entry(const ::metal::host::Context *context) {{ host_entry::call({function}, context); }}
extern \"C\" unsigned long mlxm_max_threads() {{ return {limit}; }}
extern \"C\" void mlxm_requirements(::metal::host::Requirement *result) {{ host_entry::requirements({function}, result); }}
extern \"C\" void mlxm_conditions(bool *result) {{
  const bool all[] = {{ {}{} true }};
  for (unsigned i = 0; i < {}; i++) result[i] = all[i];
}}
extern \"C\" void mlxm_variables(::metal::host::Variable **start, ::metal::host::Variable **stop) {{
  *start = ::metal::host::__start_host_variables;
  *stop = ::metal::host::__stop_host_variables;
}}
",
        conditions.join(", "),
        if conditions.is_empty() { "" } else { "," },
        conditions.len()
    )
}

fn condition<T>(parameter: &Parameter<T>) -> String {
    let condition = parameter.condition.as_deref().unwrap_or("true");
    format!("({condition})")
}

fn write_file(path: &std::path::Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::Cache {
        path: path.to_owned(),
        source,
    })
}
