"""Run MLX-format language models on your own machine.

>>> import mlxm
>>> model = mlxm.Model("path/to/model")
>>> print(model.generate("The capital of France is", max_tokens=8).text)
"""

from ._mlxm import (
    CacheGroup,
    Completion,
    Generation,
    MemoryPlan,
    Model,
    ModelInfo,
    Piece,
    Quantization,
    Statistics,
    TokenLogprob,
    Tokenizer,
    __version__,
)
from .errors import GenerationError, LoadError, MlxmError, ModelNotFoundError, RequestError, TemplateError

__all__ = [
    "CacheGroup",
    "Completion",
    "Generation",
    "GenerationError",
    "LoadError",
    "MemoryPlan",
    "MlxmError",
    "Model",
    "ModelInfo",
    "ModelNotFoundError",
    "Piece",
    "Quantization",
    "RequestError",
    "Statistics",
    "TemplateError",
    "TokenLogprob",
    "Tokenizer",
    "__version__",
]
