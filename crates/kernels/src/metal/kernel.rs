//! Kernels and the source text that is compiled for them.

use std::fmt::Write;

/// A file of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Products with weights.
    Linear,
    /// Attention, rotary embedding and writes to the KV cache.
    Attention,
    /// Embedding, norms, element-wise functions, gathers, argmax.
    Misc,
}

impl Source {
    /// Whether its compiler may reorder sums and assume that there is no NaN.
    ///
    /// Products are the same bits for every number of rows, which reordered sums of other code would not be.
    pub fn has_fast_math(self) -> bool {
        self != Self::Linear
    }

    /// Text that all kernels of the file share: helpers, templates, no instantiations.
    fn text(self) -> &'static [&'static str] {
        match self {
            Self::Linear => &[
                include_str!("common.metal"),
                include_str!("quant.metal"),
                include_str!("linear.metal"),
                include_str!("linear_tile.metal"),
            ],
            Self::Attention => &[
                include_str!("common.metal"),
                include_str!("kv_cache.metal"),
                include_str!("rope.metal"),
                include_str!("attention.metal"),
                include_str!("attention_tiles.metal"),
            ],
            Self::Misc => &[
                include_str!("common.metal"),
                include_str!("quant.metal"),
                include_str!("misc.metal"),
            ],
        }
    }
}

/// An argument of a function template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TemplateArgument {
    /// An integer, or a `bool` as 0 or 1.
    Int(u32),
    /// A type by its name in Metal: `float`, `half`, `ushort` or one that `common.metal` defines.
    Type(&'static str),
}

/// A function template of a source file with its arguments: what a pipeline is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kernel {
    /// The file.
    pub source: Source,
    /// The template.
    pub function: &'static str,
    arguments: [Option<TemplateArgument>; Kernel::MAX_ARGUMENTS],
}

impl Kernel {
    /// Most arguments of a template.
    pub const MAX_ARGUMENTS: usize = 10;

    /// An instantiation of `function`.
    ///
    /// # Panics
    /// If there are more than [`Kernel::MAX_ARGUMENTS`].
    pub fn new(source: Source, function: &'static str, arguments: &[TemplateArgument]) -> Self {
        let mut all = [None; Self::MAX_ARGUMENTS];
        for (place, argument) in all[..arguments.len()].iter_mut().zip(arguments) {
            *place = Some(*argument);
        }
        Self {
            source,
            function,
            arguments: all,
        }
    }

    /// The template arguments.
    pub fn arguments(&self) -> impl Iterator<Item = TemplateArgument> + '_ {
        self.arguments.iter().flatten().copied()
    }

    /// The name of the instantiation.
    pub fn host_name(&self) -> String {
        let mut name = self.function.to_owned();
        for argument in self.arguments() {
            // Writing to a string cannot fail.
            let _ = match argument {
                TemplateArgument::Int(value) => write!(name, "_{value}"),
                TemplateArgument::Type(value) => write!(name, "_{value}"),
            };
        }
        name
    }

    fn instantiation(&self) -> String {
        let mut arguments = String::new();
        for argument in self.arguments() {
            if !arguments.is_empty() {
                arguments.push_str(", ");
            }
            let _ = match argument {
                TemplateArgument::Int(value) => write!(arguments, "{value}"),
                TemplateArgument::Type(value) => write!(arguments, "{value}"),
            };
        }
        let call = if arguments.is_empty() {
            self.function.to_owned()
        } else {
            format!("{}<{arguments}>", self.function)
        };
        format!(
            "template [[host_name(\"{}\")]] [[kernel]] decltype({call}) {call};\n",
            self.host_name()
        )
    }

    /// The source text that instantiates `kernels`, which are all of one file.
    pub fn library(source: Source, kernels: &[Self]) -> String {
        let mut text = source.text().join("\n");
        for kernel in kernels {
            debug_assert_eq!(kernel.source, source);
            text.push_str(&kernel.instantiation());
        }
        text
    }
}
