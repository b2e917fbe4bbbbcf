"""Run MLX-format language models on your own machine.

>>> import mlxm
>>> model = mlxm.Model("path/to/model")
>>> print(model.generate("The capital of France is", max_tokens=8).text)
"""

from ._mlxm import (
    CacheGroup,
    ChatChunk,
    ChatCompletion,
    ChatStream,
    Completion,
    Generation,
    MemoryPlan,
    Model,
    ModelInfo,
    Piece,
    Quantization,
    RequestMetrics,
    TokenLogprob,
    Tokenizer,
    ToolCall,
    ToolCallDelta,
    __version__,
)
from .errors import GenerationError, LoadError, MlxmError, ModelNotFoundError, RequestError, TemplateError

__all__ = [
    "CacheGroup",
    "ChatChunk",
    "ChatCompletion",
    "ChatStream",
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
    "RequestMetrics",
    "TemplateError",
    "TokenLogprob",
    "Tokenizer",
    "ToolCall",
    "ToolCallDelta",
    "__version__",
]
