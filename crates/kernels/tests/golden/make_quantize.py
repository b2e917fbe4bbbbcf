#!/usr/bin/env python3
"""make_quantize.py: write quantize.safetensors to the directory of this script: rows of floats, quantized by MLX.

    pip install "mlx[cpu]"

Tensors: `x.DTYPE` [rows, 128], and for every combination `DTYPE.MODE.BITS.GROUP.{weight,scales,biases,values}` (no
biases but in affine mode), values being MLX's own dequantization in float32. The rows are normal numbers and the
cases where an encoder goes wrong: zeros, one sign only, constants, tiny and huge values, integers, a single outlier.
"""

import pathlib

import mlx.core as mx
import numpy as np

COLUMNS = 128
rng = np.random.default_rng(7)
rows = rng.standard_normal((10, COLUMNS)).astype(np.float32) * 0.05
rows[0] = 0
rows[1] = np.abs(rows[1]) + 1
rows[2] = -np.abs(rows[2]) - 0.01
rows[3, :64] = 0.3
rows[3, 64:] = -0.3
rows[4] *= 1e-5
rows[5] *= 2e4
rows[6] = rng.integers(-6, 7, COLUMNS)
rows[7, 17] = 40
# Halves and quarters of a power of two lie between the values of small floats: every rounding is a tie.
rows[8] = rng.integers(-24, 25, COLUMNS) / 4
rows[9, ::2] = 0

out = {}
for name in ("float32", "float16", "bfloat16"):
    dtype = getattr(mx, name)
    x = mx.array(rows).astype(dtype)
    out[f"x.{name}"] = x
    every = name == "float32"
    affine = [("affine", b, g) for b in ((2, 3, 4, 5, 6, 8) if every else (3, 4)) for g in ((32, 64, 128) if every else (64,))]
    for mode, bits, group in affine + [("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)]:
        key = f"{name}.{mode}.{bits}.{group}"
        weight, scales, *biases = mx.quantize(x, group_size=group, bits=bits, mode=mode)
        out[f"{key}.weight"] = weight
        out[f"{key}.scales"] = scales
        wide = [t.astype(mx.float32) for t in biases]
        if biases:
            out[f"{key}.biases"] = biases[0]
            scales = scales.astype(mx.float32)
        values = mx.dequantize(weight, scales, *wide, group_size=group, bits=bits, mode=mode, dtype=mx.float32)
        if every:
            out[f"{key}.values"] = values.astype(mx.float32)
mx.save_safetensors(str(pathlib.Path(__file__).with_name("quantize.safetensors")), out)
