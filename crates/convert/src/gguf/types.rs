//! The tensor types of GGUF: numbers, names and block sizes.

/// The type of a tensor (`ggml_type`). Unsupported types are listed too, so that errors can name them and the extent of
/// their data is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(non_camel_case_types, reason = "the names in the GGUF specification")]
pub(super) enum TensorType {
    F32,
    F16,
    BF16,
    F64,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
    IQ4_XS,
    MXFP4,
    /// Any other type: its name, values per block and bytes per block.
    Other(&'static str, usize, usize),
}

impl TensorType {
    /// The type with number `id`.
    pub(super) fn from_id(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            9 => Self::Other("Q8_1", 32, 36),
            10 => Self::Q2_K,
            11 => Self::Q3_K,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            15 => Self::Other("Q8_K", 256, 292),
            16 => Self::Other("IQ2_XXS", 256, 66),
            17 => Self::Other("IQ2_XS", 256, 74),
            18 => Self::Other("IQ3_XXS", 256, 98),
            19 => Self::Other("IQ1_S", 256, 50),
            20 => Self::IQ4_NL,
            21 => Self::Other("IQ3_S", 256, 110),
            22 => Self::Other("IQ2_S", 256, 82),
            23 => Self::IQ4_XS,
            24 => Self::Other("I8", 1, 1),
            25 => Self::Other("I16", 1, 2),
            26 => Self::Other("I32", 1, 4),
            27 => Self::Other("I64", 1, 8),
            28 => Self::F64,
            29 => Self::Other("IQ1_M", 256, 56),
            30 => Self::BF16,
            34 => Self::Other("TQ1_0", 256, 54),
            35 => Self::Other("TQ2_0", 256, 66),
            39 => Self::MXFP4,
            40 => Self::Other("NVFP4", 64, 36),
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F64 => "F64",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2_K => "Q2_K",
            Self::Q3_K => "Q3_K",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
            Self::IQ4_NL => "IQ4_NL",
            Self::IQ4_XS => "IQ4_XS",
            Self::MXFP4 => "MXFP4",
            Self::Other(name, ..) => name,
        }
    }

    /// Values per block, and bytes per block.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::F64 => (1, 8),
            Self::Q4_0 | Self::IQ4_NL => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2_K => (256, 84),
            Self::Q3_K => (256, 110),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
            Self::IQ4_XS => (256, 136),
            Self::MXFP4 => (32, 17),
            Self::Other(_, values, bytes) => (values, bytes),
        }
    }

    /// Whether the values are plain floats.
    pub(super) fn is_dense(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::F64)
    }
}
