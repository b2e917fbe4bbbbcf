"""Writes dequantize.safetensors: packed matrices of every format and what MLX makes of them.

    pip install "mlx[cpu]" numpy
    python make.py

Each case `<mode>.<bits>.<group>.<scale type>` has the tensors `weight`, `scales`, `biases` (affine), `global_scale`
(some nvfp4) and `expected`, the f32 values that `mx.dequantize` gives.
"""

from pathlib import Path

import mlx.core as mx
import numpy as np

ROWS, COLS = 3, 128

mx.set_default_device(mx.cpu)
random = np.random.default_rng(20)
tensors = {}


def add(name, weight, scales, biases=None, global_scale=None, **spec):
    """Keeps a case; scales and biases count in full precision, however they are stored."""
    single = lambda x: x if x is None or x.dtype == mx.uint8 else x.astype(mx.float32)
    expected = mx.dequantize(
        weight, single(scales), single(biases), global_scale=global_scale, dtype=mx.float32, **spec
    )
    parts = dict(weight=weight, scales=scales, biases=biases, global_scale=global_scale, expected=expected)
    tensors.update({f"{name}.{part}": value for part, value in parts.items() if value is not None})


for bits in (2, 3, 4, 5, 6, 8):
    for group in (32, 64, 128):
        for dtype, short in ((mx.float32, "F32"), (mx.float16, "F16"), (mx.bfloat16, "BF16")):
            dense = mx.array(random.standard_normal((ROWS, COLS)), dtype=dtype)
            weight, scales, biases = mx.quantize(dense, group_size=group, bits=bits)
            add(f"affine.{bits}.{group}.{short}", weight, scales, biases, group_size=group, bits=bits)

# Every code, under scales that reach both ends of what scales can be.
every_code = np.arange(ROWS * COLS, dtype=np.uint32).astype(np.uint8).reshape(ROWS, COLS)
nibbles = np.ascontiguousarray(every_code[:, : COLS // 2])
for name, codes, group, bits in (("mxfp4", nibbles, 32, 4), ("mxfp8", every_code, 32, 8)):
    weight = mx.array(codes.view(np.uint32))
    scales = np.array([[0, 1, 100, 127], [128, 130, 140, 115], [126, 200, 110, 90]], dtype=np.uint8)
    add(f"{name}.{bits}.{group}.U8", weight, mx.array(scales), mode=name, group_size=group, bits=bits)

weight = mx.array(nibbles.view(np.uint32))
scales = random.integers(0, 0x7F, (ROWS, COLS // 16), dtype=np.uint8)
scales[0, :3] = 0, 1, 0x7E
spec = dict(mode="nvfp4", group_size=16, bits=4)
add("nvfp4.4.16.U8", weight, mx.array(scales), **spec)
add("nvfp4.4.16.U8.global", weight, mx.array(scales), global_scale=mx.array(3.7), **spec)

mx.save_safetensors(str(Path(__file__).with_name("dequantize.safetensors")), tensors)
