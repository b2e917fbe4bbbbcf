//! Published measurements, with their sources.

use super::chips::{
    Chip, M1, M1_MAX, M2, M2_MAX, M2_ULTRA, M3_PRO, M3_ULTRA, M4, M4_MAX, M5_MAX, M5_PRO,
};
use super::dispatches::Engine;
use super::shapes::{
    BF16, Format, LLAMA_3_1_8B, LLAMA_3_2_3B, MISTRAL_7B, NVFP4, PHI_4_MINI, Q4, Q4_0, Q4_G32,
    Q4_K_M, Q5, Q5_G32, Q6, Q8, QWEN2_5_0_5B, QWEN3_0_6B, QWEN3_4B, QWEN3_5_4B, QWEN3_5_35B_A3B,
    QWEN3_8B, QWEN3_30B_A3B, Shape,
};

/// One measurement.
#[derive(Clone, Copy)]
pub struct Row {
    pub chip: Chip,
    pub shape: Shape,
    pub format: Format,
    pub engine: Engine,
    pub run: Run,
    /// Prompt tokens per second.
    pub prefill: Option<f64>,
    /// Generated tokens per second.
    pub decode: f64,
    pub source: &'static str,
}

/// How it was measured.
#[derive(Clone, Copy)]
pub struct Run {
    pub prompt: f64,
    pub generated: f64,
    pub clock: Clock,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// `mlx_lm.benchmark`: the time of the prompt contains the first token; the rate of generation counts it, but its time does
    /// not.
    MlxLm,
    /// Tokens per second of the steps themselves, as far as the source says.
    Steps,
}

/// 2048 prompt tokens, 128 generated.
const BENCHMARK: Run = Run {
    prompt: 2048.0,
    generated: 128.0,
    clock: Clock::MlxLm,
};

const fn steps(prompt: f64, generated: f64) -> Run {
    Run {
        prompt,
        generated,
        clock: Clock::Steps,
    }
}

/// For sources that do not give the lengths.
const UNKNOWN: Run = steps(64.0, 128.0);

const MLX_LM: &str = "mlx-lm, BENCHMARKS.md";

const fn m4_max(shape: Shape, format: Format, prefill: f64, decode: f64) -> Row {
    Row {
        chip: M4_MAX,
        shape,
        format,
        engine: Engine::MlxLm,
        run: BENCHMARK,
        prefill: Some(prefill),
        decode,
        source: MLX_LM,
    }
}

/// A MacBook Pro with 64 GB; mlx 0.29.2 at commit 85a8824a8, mlx-lm 0.28.2, October 2025.
pub const DENSE: [Row; 7] = [
    m4_max(QWEN3_4B, BF16, 1780.63, 52.47),
    m4_max(QWEN3_4B, Q8, 1606.573, 86.907),
    m4_max(QWEN3_4B, Q6, 1576.73, 104.68),
    m4_max(QWEN3_4B, Q5_G32, 1570.80, 110.29),
    m4_max(QWEN3_4B, Q5, 1584.33, 116.39),
    m4_max(QWEN3_4B, Q4_G32, 1610.03, 126.00),
    m4_max(QWEN3_4B, Q4, 1622.27, 134.52),
];

/// The rows that calibrate the model.
pub const CALIBRATION: [&Row; 2] = [&DENSE[0], &DENSE[6]];

/// The same machine and versions.
pub const MIXTURE: [Row; 4] = [
    m4_max(QWEN3_30B_A3B, Q8, 1719.47, 83.16),
    m4_max(QWEN3_30B_A3B, Q6, 1667.45, 94.14),
    m4_max(QWEN3_30B_A3B, Q5, 1664.24, 101.00),
    m4_max(QWEN3_30B_A3B, Q4, 1753.90, 113.33),
];

const fn row(chip: Chip, shape: Shape, format: Format, decode: f64, source: &'static str) -> Row {
    Row {
        chip,
        shape,
        format,
        engine: Engine::MlxLm,
        run: UNKNOWN,
        prefill: None,
        decode,
        source,
    }
}

/// Sources whose text was not found again.
const UNSEEN: &str = "mlx #1864, lengths unknown";
const UNSEEN_7B: &str = "mlx #979, model and lengths unknown";

/// Other chips: different people, versions and engines.
pub const OTHERS: &[Row] = &[
    Row {
        run: BENCHMARK,
        prefill: Some(615.28),
        ..row(M3_PRO, QWEN3_4B, Q4, 44.62, "mlx-lm #1569")
    },
    Row {
        run: steps(512.0, 128.0),
        ..row(M3_ULTRA, QWEN3_0_6B, Q4, 387.64, "Rapid-MLX #633, short")
    },
    Row {
        run: steps(2048.0, 512.0),
        ..row(M3_ULTRA, QWEN3_0_6B, Q4, 340.12, "Rapid-MLX #633, long")
    },
    Row {
        run: steps(512.0, 128.0),
        ..row(M3_ULTRA, QWEN3_8B, Q4, 112.89, "Rapid-MLX #636, short")
    },
    Row {
        run: steps(2048.0, 512.0),
        ..row(M3_ULTRA, QWEN3_8B, Q4, 103.74, "Rapid-MLX #636, long")
    },
    Row {
        run: steps(512.0, 128.0),
        prefill: Some(2197.19),
        ..row(M3_ULTRA, PHI_4_MINI, Q4, 167.93, "Rapid-MLX #585, short")
    },
    Row {
        run: steps(2048.0, 512.0),
        prefill: Some(2278.37),
        ..row(M3_ULTRA, PHI_4_MINI, Q4, 159.76, "Rapid-MLX #585, long")
    },
    Row {
        run: steps(1479.0, 2023.0),
        prefill: Some(2756.57),
        ..row(
            M5_MAX,
            QWEN3_5_35B_A3B,
            Q4,
            133.48,
            "Mac-MLX #24 (mlx-swift-lm)",
        )
    },
    Row {
        run: BENCHMARK,
        prefill: Some(5416.0),
        ..row(M5_MAX, QWEN3_5_4B, NVFP4, 131.5, "mlx #3961")
    },
    Row {
        run: steps(512.0, 128.0),
        ..row(
            M2_MAX,
            QWEN3_5_35B_A3B,
            Q4,
            79.75,
            "Rapid-MLX #1065 (Qwen3.6), short",
        )
    },
    Row {
        run: steps(2048.0, 512.0),
        ..row(
            M2_MAX,
            QWEN3_5_35B_A3B,
            Q4,
            69.15,
            "Rapid-MLX #1065 (Qwen3.6), long",
        )
    },
    row(
        M5_PRO,
        QWEN3_5_35B_A3B,
        Q4,
        74.05,
        "llmfit #1053 (Qwen3.6; 73.4, 74.7), lengths unknown",
    ),
    row(M2_ULTRA, MISTRAL_7B, Q4, 131.0, UNSEEN),
    row(M4_MAX, MISTRAL_7B, Q4, 104.0, UNSEEN),
    row(M2, MISTRAL_7B, Q4, 22.1, UNSEEN),
    row(M2_ULTRA, QWEN2_5_0_5B, Q4, 368.0, UNSEEN),
    row(M4_MAX, QWEN2_5_0_5B, Q4, 533.0, UNSEEN),
    row(M2, QWEN2_5_0_5B, Q4, 205.0, UNSEEN),
    row(M1_MAX, MISTRAL_7B, Q4, 61.2, UNSEEN_7B),
    row(M1, MISTRAL_7B, Q4, 12.9, UNSEEN_7B),
    Row {
        engine: Engine::LlamaCpp,
        run: steps(512.0, 128.0),
        prefill: Some(3003.08),
        ..row(M2_ULTRA, LLAMA_3_2_3B, Q4_0, 166.0, "llama.cpp #10238")
    },
    Row {
        engine: Engine::LlamaCpp,
        prefill: Some(500.0),
        ..row(
            M1_MAX,
            LLAMA_3_1_8B,
            Q4_K_M,
            46.2,
            "llama.cpp, a report without lengths",
        )
    },
    Row {
        engine: Engine::LlamaCpp,
        prefill: Some(225.0),
        ..row(
            M4,
            LLAMA_3_1_8B,
            Q4_K_M,
            20.9,
            "llama.cpp, a report without lengths",
        )
    },
];
