"""Run MLX-format language models on your own machine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Literal, SupportsIndex, final, overload

import numpy as np
import numpy.typing as npt

from .errors import GenerationError as GenerationError
from .errors import LoadError as LoadError
from .errors import MlxmError as MlxmError
from .errors import ModelNotFoundError as ModelNotFoundError
from .errors import RequestError as RequestError
from .errors import TemplateError as TemplateError

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

__version__: str

_Message = Mapping[str, Any]
_Prompt = str | Sequence[_Message] | Iterable[SupportsIndex]

@final
class Model:
    """A loaded language model. Safe to use from several threads; the GIL is released during computation.

    Requests from several threads are batched if `max_sequences` allows it.
    """

    def __new__(
        cls,
        path_or_id: str | PathLike[str],
        activation_dtype: Literal["int8", "f32"] = "int8",
        threads: int | None = None,
        context_length: int | None = None,
        *,
        device: Literal["auto", "cpu", "metal"] = "auto",
        kv_cache_dtype: Literal["f32", "f16", "int8"] | None = None,
        max_sequences: int = 1,
        memory_bytes: int | None = None,
        revision: str | None = None,
        pull: bool = False,
    ) -> Model:
        """Load a checkpoint: a directory, a repository id, or a unique part of the name of a local model.

        `activation_dtype="int8"` quantizes activations in matrix products with quantized weights, with a scale per group;
        "f32" does not. Models are downloaded only with `pull=True`. `context_length` limits the tokens of prompt and completion
        together: by default the largest of the model's maximum, 64k, 32k, 16k and 8k that fits in memory. `max_sequences` limits
        the concurrent sequences, `memory_bytes` the memory of the model.
        `kv_cache_dtype` is the data type of the KV cache: by default f32 with `activation_dtype="f32"`, else f16.

        Raises ModelNotFoundError (also a FileNotFoundError) or LoadError.
        """

    def logits(self, ids: Iterable[SupportsIndex], chunk: int | None = None) -> npt.NDArray[np.float32]:
        """Logits of all positions, [tokens, vocabulary]; `chunk` is the number of tokens per forward pass."""

    def token_logprobs(self, ids: Iterable[SupportsIndex]) -> npt.NDArray[np.float32]:
        """Natural logarithm of the probability of each token after those before it: one value fewer than tokens."""

    def generate(
        self,
        prompt: _Prompt,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        repetition_context: int | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        logit_bias: Mapping[int, float] | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        logprobs: bool | int | None = None,
        ignore_eos: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> Completion:
        """Complete a prompt: plain text, token ids, or a list of messages for the chat template.

        None keeps the model's default. Without `max_tokens` the completion ends at an end-of-sequence token or when the context
        is full. `temperature=0` is greedy decoding; `seed` makes sampling reproducible. `logprobs=True` returns the
        log-probabilities of the generated tokens, a number also those of that many most likely tokens.

        Raises RequestError (also a ValueError) if the request is invalid. Ctrl-C cancels the generation.
        """

    def stream(
        self,
        prompt: _Prompt,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        repetition_context: int | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        logit_bias: Mapping[int, float] | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        logprobs: bool | int | None = None,
        ignore_eos: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> Generation:
        """As `generate`, but returns an iterator of pieces. Dropping or closing it cancels the generation."""

    @overload
    def chat(
        self,
        messages: Sequence[_Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        response_format: Mapping[str, Any] | None = None,
        stream: Literal[False] = False,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        repetition_context: int | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        logit_bias: Mapping[int, float] | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        logprobs: bool | int | None = None,
        ignore_eos: bool = False,
        thinking_budget: int | None = None,
        parallel_tool_calls: bool = True,
        continue_final_message: bool = False,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> ChatCompletion: ...
    @overload
    def chat(
        self,
        messages: Sequence[_Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        response_format: Mapping[str, Any] | None = None,
        *,
        stream: Literal[True],
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        repetition_context: int | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        logit_bias: Mapping[int, float] | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        logprobs: bool | int | None = None,
        ignore_eos: bool = False,
        thinking_budget: int | None = None,
        parallel_tool_calls: bool = True,
        continue_final_message: bool = False,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> ChatStream:
        """Continue a conversation and parse the output into reasoning, content and tool calls, as the server does.

        `tools`, `tool_choice` and `response_format` are those of OpenAI's chat completions; `response_format` also has the
        types "regex" and "grammar" (Lark). `thinking_budget` limits the reasoning tokens. `stream=True` returns an iterator of
        chunks instead of the whole message; dropping or closing it cancels the generation.

        Raises TemplateError without a valid chat template, RequestError if the request is invalid. Ctrl-C cancels the
        generation.
        """

    @overload
    def apply_chat_template(
        self,
        messages: Sequence[_Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        tokenize: Literal[True] = True,
        **variables: Any,
    ) -> list[int]: ...
    @overload
    def apply_chat_template(
        self,
        messages: Sequence[_Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        *,
        tokenize: Literal[False],
        **variables: Any,
    ) -> str:
        """Render a conversation with the model's chat template, to token ids or to text.

        `variables` are passed to the template, such as `enable_thinking=False`.
        """

    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def info(self) -> ModelInfo: ...
    @property
    def memory_plan(self) -> MemoryPlan: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None:
        """Release the model; its memory is freed after running generations have ended."""

    def __enter__(self) -> Model: ...
    def __exit__(
        self, *_exception: type[BaseException] | BaseException | TracebackType | None
    ) -> None: ...

@final
class Generation(Iterator[Piece]):
    """A completion while it is generated. The properties are None until it is complete."""

    def __iter__(self) -> Generation: ...
    def __next__(self) -> Piece: ...
    @property
    def finish_reason(self) -> Literal["stop", "length"] | None: ...
    @property
    def stop_string(self) -> str | None: ...
    @property
    def metrics(self) -> RequestMetrics | None: ...
    def close(self) -> None:
        """Cancel the generation."""

    def __enter__(self) -> Generation: ...
    def __exit__(
        self, *_exception: type[BaseException] | BaseException | TracebackType | None
    ) -> None: ...

@final
class Piece:
    """The text of a token.

    The text is empty while a UTF-8 character or a possible stop string is incomplete. Text that is held back until the end is
    in a last piece whose token is None.
    """

    @property
    def text(self) -> str: ...
    @property
    def token(self) -> int | None: ...
    @property
    def logprob(self) -> TokenLogprob | None: ...

@final
class Completion:
    """A complete generation."""

    @property
    def text(self) -> str: ...
    @property
    def tokens(self) -> list[int]: ...
    @property
    def finish_reason(self) -> Literal["stop", "length"]: ...
    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the completion."""

    @property
    def logprobs(self) -> list[TokenLogprob] | None: ...
    @property
    def metrics(self) -> RequestMetrics: ...

@final
class TokenLogprob:
    """Log-probability of a token before filters and temperature, and the most likely alternatives."""

    @property
    def token(self) -> int: ...
    @property
    def logprob(self) -> float: ...
    @property
    def top(self) -> list[tuple[int, float]]: ...

@final
class RequestMetrics:
    """Token counts and times of a request."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int:
        """Prompt tokens from the prefix cache."""

    @property
    def generated_tokens(self) -> int: ...
    @property
    def time_to_first_token_seconds(self) -> float: ...
    @property
    def generation_seconds(self) -> float: ...
    @property
    def prompt_tokens_per_second(self) -> float: ...
    @property
    def generation_tokens_per_second(self) -> float: ...
    @property
    def peak_memory_bytes(self) -> int: ...

@final
class Tokenizer:
    """Encodes text to token ids and decodes them."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...
    def decode(self, ids: Iterable[SupportsIndex], *, skip_special_tokens: bool = False) -> str: ...
    def token_to_id(self, token: str) -> int | None: ...
    def id_to_token(self, id: int) -> str | None: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def bos_token_id(self) -> int | None: ...
    @property
    def eos_token_id(self) -> int | None: ...
    @property
    def eos_token_ids(self) -> list[int]:
        """All end-of-sequence ids, including those of the checkpoint's configuration."""

    def __len__(self) -> int: ...

@final
class ModelInfo:
    """Properties of a checkpoint."""

    @property
    def path(self) -> str: ...
    @property
    def model_type(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def quantization(self) -> Quantization | None: ...
    @property
    def bits_per_weight(self) -> float: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def attention_heads(self) -> int: ...
    @property
    def key_value_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def ignores_images(self) -> bool:
        """Whether the checkpoint is that of a model that reads images as well, of which only the text model is loaded."""

    @property
    def sliding_window(self) -> int | None: ...
    @property
    def max_position_embeddings(self) -> int | None: ...
    @property
    def context_length(self) -> int: ...
    @property
    def block_size(self) -> int: ...
    @property
    def has_chat_template(self) -> bool: ...
    @property
    def supports_tools(self) -> bool: ...
    @property
    def supports_thinking(self) -> bool: ...
    @property
    def eos_token_ids(self) -> list[int]: ...

@final
class Quantization:
    """Quantization of most of a checkpoint's weights."""

    @property
    def bits(self) -> int: ...
    @property
    def group_size(self) -> int: ...
    @property
    def mode(self) -> str: ...

@final
class MemoryPlan:
    """The memory of a loaded model: reserved at load time and never exceeded."""

    @property
    def weights_bytes(self) -> int: ...
    @property
    def kv_cache_dtype(self) -> Literal["f32", "f16", "int8"]: ...
    @property
    def kv_bytes_per_token(self) -> int: ...
    @property
    def kv_pool_bytes(self) -> int: ...
    @property
    def scratch_bytes(self) -> int: ...
    @property
    def total_bytes(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def max_sequences(self) -> int: ...
    @property
    def block_size(self) -> int: ...
    @property
    def groups(self) -> list[CacheGroup]: ...

@final
class CacheGroup:
    """The cache blocks of a group of layers; `window` is None for full attention."""

    @property
    def window(self) -> int | None: ...
    @property
    def layers(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def block_bytes(self) -> int: ...

@final
class ToolCall:
    """A tool call of the model."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str:
        """JSON text; truncated if the completion was."""

@final
class ChatCompletion:
    """A generated message."""

    @property
    def content(self) -> str: ...
    @property
    def reasoning(self) -> str | None: ...
    @property
    def tool_calls(self) -> list[ToolCall]: ...
    @property
    def tokens(self) -> list[int]: ...
    @property
    def finish_reason(self) -> Literal["stop", "length", "tool_calls"]: ...
    @property
    def stop_string(self) -> str | None: ...
    @property
    def logprobs(self) -> list[TokenLogprob] | None: ...
    @property
    def metrics(self) -> RequestMetrics: ...

@final
class ChatStream(Iterator[ChatChunk]):
    """A chat completion while it is generated."""

    def __iter__(self) -> ChatStream: ...
    def __next__(self) -> ChatChunk: ...
    def close(self) -> None:
        """Cancel the generation."""

    def __enter__(self) -> ChatStream: ...
    def __exit__(
        self, *_exception: type[BaseException] | BaseException | TracebackType | None
    ) -> None: ...

@final
class ChatChunk:
    """A chunk of a streamed chat completion. Only the last one has a finish reason and metrics."""

    @property
    def content(self) -> str: ...
    @property
    def reasoning(self) -> str | None: ...
    @property
    def tool_calls(self) -> list[ToolCallDelta]: ...
    @property
    def logprob(self) -> TokenLogprob | None: ...
    @property
    def finish_reason(self) -> Literal["stop", "length", "tool_calls"] | None: ...
    @property
    def stop_string(self) -> str | None: ...
    @property
    def metrics(self) -> RequestMetrics | None: ...

@final
class ToolCallDelta:
    """A part of a tool call. The first one of a call has its id and name."""

    @property
    def index(self) -> int:
        """Index of the call in the message."""

    @property
    def id(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def arguments(self) -> str:
        """JSON text to append."""
