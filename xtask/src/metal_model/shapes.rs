//! Sizes of the published models and of their weights.

/// A decoder, from its `config.json`.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    pub hidden_size: usize,
    pub layers: usize,
    pub vocabulary: usize,
    pub attention: Attention,
    /// Gated delta net in three of four layers.
    pub linear_attention: Option<LinearAttention>,
    pub mlp: Mlp,
}

/// Grouped-query attention.
#[derive(Clone, Copy)]
pub struct Attention {
    pub heads: usize,
    pub key_value_heads: usize,
    pub head_width: usize,
    /// An output gate as wide as the queries.
    pub gated: bool,
    pub kind: AttentionKind,
}

/// What mlx-lm dispatches around the attention itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AttentionKind {
    /// q, k and v, `RoPE` on q and k.
    Plain,
    /// Also a norm of each q and k head.
    QkNorm,
    /// Also biases of q, k and v.
    Bias,
    /// One product for q, k and v, and one for gate and up; a scaled `RoPE`.
    Fused,
}

/// Gated delta net.
#[derive(Clone, Copy)]
pub struct LinearAttention {
    pub key_heads: usize,
    pub value_heads: usize,
    pub head_width: usize,
    /// One layer of so many has full attention instead.
    pub full_attention_interval: usize,
}

#[derive(Clone, Copy)]
pub enum Mlp {
    Dense {
        width: usize,
    },
    Moe {
        experts: usize,
        active: usize,
        width: usize,
        /// Width of the expert that every token uses; 0 without one.
        shared_width: usize,
    },
}

/// How weights are stored.
#[derive(Clone, Copy)]
pub struct Format {
    pub name: &'static str,
    pub bits_per_weight: f64,
    /// Of the router, which mlx-lm quantizes to 8 bits in groups of 64.
    pub router_bits_per_weight: f64,
}

impl Format {
    /// MLX's affine quantization: codes, and a scale and a bias of 16 bits per group.
    const fn affine(name: &'static str, bits: f64, group: f64) -> Self {
        Self {
            name,
            bits_per_weight: bits + 32.0 / group,
            router_bits_per_weight: 8.5,
        }
    }

    pub const fn is_quantized(&self) -> bool {
        self.bits_per_weight < 16.0
    }
}

pub const BF16: Format = Format {
    name: "bf16",
    bits_per_weight: 16.0,
    router_bits_per_weight: 16.0,
};
pub const Q8: Format = Format::affine("q8", 8.0, 64.0);
pub const Q6: Format = Format::affine("q6", 6.0, 64.0);
pub const Q5: Format = Format::affine("q5", 5.0, 64.0);
pub const Q5_G32: Format = Format::affine("q5 g32", 5.0, 32.0);
pub const Q4: Format = Format::affine("q4", 4.0, 64.0);
pub const Q4_G32: Format = Format::affine("q4 g32", 4.0, 32.0);
/// Codes of 4 bits and an 8-bit scale for each 16 of them.
pub const NVFP4: Format = Format {
    name: "nvfp4",
    bits_per_weight: 4.5,
    router_bits_per_weight: 8.5,
};
/// llama.cpp: 18 bytes for 32 weights. Its output matrix has more bits, which is left out here.
pub const Q4_0: Format = Format {
    name: "Q4_0",
    bits_per_weight: 4.5,
    router_bits_per_weight: 4.5,
};
/// llama.cpp: 4.58 GiB for the 8.03 billion weights of Llama 3.1 8B.
pub const Q4_K_M: Format = Format {
    name: "Q4_K_M",
    bits_per_weight: 4.9,
    router_bits_per_weight: 4.9,
};

const fn attention(
    heads: usize,
    key_value_heads: usize,
    head_width: usize,
    kind: AttentionKind,
) -> Attention {
    Attention {
        heads,
        key_value_heads,
        head_width,
        gated: false,
        kind,
    }
}

const fn dense(
    name: &'static str,
    hidden_size: usize,
    layers: usize,
    vocabulary: usize,
    attention: Attention,
    width: usize,
) -> Shape {
    Shape {
        name,
        hidden_size,
        layers,
        vocabulary,
        attention,
        linear_attention: None,
        mlp: Mlp::Dense { width },
    }
}

use AttentionKind::{Bias, Fused, Plain, QkNorm};

pub const QWEN3_0_6B: Shape = dense(
    "Qwen3-0.6B",
    1024,
    28,
    151_936,
    attention(16, 8, 128, QkNorm),
    3072,
);
pub const QWEN3_4B: Shape = dense(
    "Qwen3-4B",
    2560,
    36,
    151_936,
    attention(32, 8, 128, QkNorm),
    9728,
);
pub const QWEN3_8B: Shape = dense(
    "Qwen3-8B",
    4096,
    36,
    151_936,
    attention(32, 8, 128, QkNorm),
    12_288,
);
pub const QWEN3_30B_A3B: Shape = Shape {
    mlp: Mlp::Moe {
        experts: 128,
        active: 8,
        width: 768,
        shared_width: 0,
    },
    ..dense(
        "Qwen3-30B-A3B",
        2048,
        48,
        151_936,
        attention(32, 4, 128, QkNorm),
        0,
    )
};
/// Qwen3.6-35B-A3B has the same sizes.
pub const QWEN3_5_35B_A3B: Shape = Shape {
    name: "Qwen3.5-35B-A3B",
    hidden_size: 2048,
    layers: 40,
    vocabulary: 248_320,
    attention: Attention {
        gated: true,
        ..attention(16, 2, 256, QkNorm)
    },
    linear_attention: Some(LinearAttention {
        key_heads: 16,
        value_heads: 32,
        head_width: 128,
        full_attention_interval: 4,
    }),
    mlp: Mlp::Moe {
        experts: 256,
        active: 8,
        width: 512,
        shared_width: 512,
    },
};
pub const QWEN3_5_4B: Shape = Shape {
    name: "Qwen3.5-4B",
    hidden_size: 2560,
    layers: 32,
    attention: Attention {
        gated: true,
        ..attention(16, 4, 256, QkNorm)
    },
    mlp: Mlp::Dense { width: 9216 },
    ..QWEN3_5_35B_A3B
};
pub const PHI_4_MINI: Shape = dense(
    "Phi-4-mini",
    3072,
    32,
    200_064,
    attention(24, 8, 128, Fused),
    8192,
);
pub const MISTRAL_7B: Shape = dense(
    "Mistral-7B",
    4096,
    32,
    32_768,
    attention(32, 8, 128, Plain),
    14_336,
);
pub const QWEN2_5_0_5B: Shape = dense(
    "Qwen2.5-0.5B",
    896,
    24,
    151_936,
    attention(14, 2, 64, Bias),
    4864,
);
pub const LLAMA_3_2_3B: Shape = dense(
    "Llama-3.2-3B",
    3072,
    28,
    128_256,
    attention(24, 8, 128, Plain),
    8192,
);
pub const LLAMA_3_1_8B: Shape = dense(
    "Llama-3.1-8B",
    4096,
    32,
    128_256,
    attention(32, 8, 128, Plain),
    14_336,
);

impl Shape {
    pub fn full_attention_layers(&self) -> usize {
        self.linear_attention.map_or(self.layers, |linear| {
            self.layers / linear.full_attention_interval
        })
    }

    pub fn linear_attention_layers(&self) -> usize {
        self.layers - self.full_attention_layers()
    }

    /// Weights of the projections of one layer with full attention.
    pub fn attention_weights(&self) -> usize {
        let Attention {
            heads,
            key_value_heads,
            head_width,
            gated,
            ..
        } = self.attention;
        let queries = heads * (1 + usize::from(gated));
        self.hidden_size * head_width * (queries + 2 * key_value_heads + heads)
    }

    /// Weights of the key and value projections of one layer with full attention.
    pub fn key_value_weights(&self) -> usize {
        2 * self.hidden_size * self.attention.key_value_heads * self.attention.head_width
    }

    /// Weights of the projections of one layer with linear attention: q, k, v and z, the two gates of each head, output.
    pub fn linear_attention_weights(&self) -> usize {
        self.linear_attention.map_or(0, |linear| {
            let keys = linear.key_heads * linear.head_width;
            let values = linear.value_heads * linear.head_width;
            self.hidden_size * (2 * keys + 3 * values + 2 * linear.value_heads)
        })
    }

    /// Weights of the MLP of one layer that one token uses, without the router.
    pub fn active_mlp_weights(&self) -> usize {
        match self.mlp {
            Mlp::Dense { width } => 3 * self.hidden_size * width,
            Mlp::Moe {
                active,
                width,
                shared_width,
                ..
            } => 3 * self.hidden_size * (active * width + shared_width),
        }
    }

    /// Weights of the router of one layer, and of the gate of its shared expert.
    pub fn router_weights(&self) -> usize {
        match self.mlp {
            Mlp::Dense { .. } => 0,
            Mlp::Moe {
                experts,
                shared_width,
                ..
            } => self.hidden_size * (experts + usize::from(shared_width > 0)),
        }
    }
}
