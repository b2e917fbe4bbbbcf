//! How keys and values are stored.

use std::{fmt, str::FromStr};

/// How the elements of a [`crate::KvCache`] are stored. They are converted to f32 as they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvCacheDtype {
    /// Single precision.
    F32,
    /// IEEE half precision, rounded to nearest: an error of at most 2⁻¹¹ of the element, or 2⁻²⁵ where that is more. An
    /// element beyond ±65504 becomes ±65504.
    F16,
    /// Signed bytes with a scale per position, head and run of 32 elements: an error of at most 1/252 of the largest
    /// magnitude in the run. A run with an element that is not finite becomes NaN.
    ///
    /// On normally distributed queries, keys and values the output of attention differs from that over f32 by less
    /// than 1.5% of its norm.
    Int8,
}

/// Elements of a head that share a scale.
pub(crate) const GROUP: usize = 32;

impl KvCacheDtype {
    /// Every type, the most precise first.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// Bytes of one element.
    pub(crate) fn element_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Int8 => 1,
        }
    }

    /// Scales of a head of this many elements at one position.
    pub(crate) fn scales(self, elements: usize) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Int8 => elements.div_ceil(GROUP),
        }
    }

    /// Bytes of a head at one position, stored with `padded` elements of which `elements` are used.
    pub(crate) fn head_bytes(self, elements: usize, padded: usize) -> usize {
        padded * self.element_bytes() + self.scales(elements) * size_of::<u16>()
    }
}

impl fmt::Display for KvCacheDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for KvCacheDtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|dtype| dtype.to_string() == text)
            .ok_or_else(|| format!("unknown KV cache dtype {text:?}: use f32, f16 or int8"))
    }
}
