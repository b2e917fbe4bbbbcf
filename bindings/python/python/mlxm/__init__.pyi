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
    "__version__",
]

__version__: str

_Message = Mapping[str, Any]
_Prompt = str | Sequence[_Message] | Iterable[SupportsIndex]

@final
class Model:
    """A loaded language model. Safe to use from several threads; other Python threads run while it computes.

    Requests from several threads share the forward passes when `max_sequences` allows it.
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
        """Load the checkpoint in a folder, or of a repository id or part of a name that is on this machine.

        `activation_dtype` "int8" quantizes the activations that quantized weights are multiplied with, with a scale per
        group; "f32" does not. Nothing is downloaded unless `pull` is true. `context_length` limits the tokens of prompt and
        completion together, `max_sequences` the concurrent sequences of that length, `memory_bytes` the memory of the model.
        `kv_cache_dtype` is the type of stored keys and values: by default f32 with `activation_dtype="f32"`, else f16.

        Raises ModelNotFoundError (also a FileNotFoundError) or LoadError.
        """

    def logits(self, ids: Iterable[SupportsIndex], chunk: int | None = None) -> npt.NDArray[np.float32]:
        """Logits of every position, [tokens, vocabulary]; `chunk` feeds the cache that many tokens at a time."""

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
        """Answer a prompt: plain text to continue, token ids, or a list of messages for the chat template.

        What is None keeps the model's own default; without `max_tokens` an answer ends where the model ends it or the
        context is full. `temperature=0` always takes the likeliest token; `seed` makes any other reproducible.
        `logprobs=True` reports the chosen tokens' log-probabilities, a number also those of that many likeliest ones.

        Raises RequestError (also a ValueError) before anything is computed. Ctrl-C stops the answer.
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
        """The same answer, piece by piece. Dropping or closing the iterator cancels what is left."""

    def chat(
        self,
        messages: Sequence[_Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        response_format: Mapping[str, Any] | None = None,
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
    ) -> ChatCompletion:
        """Continue a conversation and parse the output into reasoning, content and tool calls, as the server does.

        `tools`, `tool_choice` and `response_format` are those of OpenAI's chat completions; `response_format` also has the
        types "regex" and "grammar" (Lark). `thinking_budget` limits the reasoning tokens.

        Raises TemplateError without a valid chat template, RequestError for an invalid request. Ctrl-C cancels it.
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
        """The prompt that the model's chat template makes of a conversation, as token ids or as text.

        `variables` reach the template, such as `enable_thinking=False`.
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
        """Let go of the model; its memory is free once running answers have ended."""

    def __enter__(self) -> Model: ...
    def __exit__(
        self, *_exception: type[BaseException] | BaseException | TracebackType | None
    ) -> None: ...

@final
class Generation(Iterator[Piece]):
    """An answer while it is written. The properties are None until it is complete."""

    def __iter__(self) -> Generation: ...
    def __next__(self) -> Piece: ...
    @property
    def finish_reason(self) -> Literal["stop", "length"] | None: ...
    @property
    def stop_string(self) -> str | None: ...
    @property
    def metrics(self) -> RequestMetrics | None: ...
    def close(self) -> None:
        """Cancel what is still running."""

    def __enter__(self) -> Generation: ...
    def __exit__(
        self, *_exception: type[BaseException] | BaseException | TracebackType | None
    ) -> None: ...

@final
class Piece:
    """A step of an answer: the text that became certain with a token.

    The text is empty while a character or a possible stop string is incomplete. Text held back to the very end comes
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
    """A whole answer."""

    @property
    def text(self) -> str: ...
    @property
    def tokens(self) -> list[int]: ...
    @property
    def finish_reason(self) -> Literal["stop", "length"]: ...
    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the answer."""

    @property
    def logprobs(self) -> list[TokenLogprob] | None: ...
    @property
    def metrics(self) -> RequestMetrics: ...

@final
class TokenLogprob:
    """Log-probability of a token before filters and temperature, and the likeliest tokens in its place."""

    @property
    def token(self) -> int: ...
    @property
    def logprob(self) -> float: ...
    @property
    def top(self) -> list[tuple[int, float]]: ...

@final
class RequestMetrics:
    """Counts and times of one answer."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int:
        """How many tokens of the prompt were found in the cache."""

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
    """Turns text into token ids and back."""

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
        """All ids that end an answer, those of the checkpoint's configuration included."""

    def __len__(self) -> int: ...

@final
class ModelInfo:
    """Characteristics of a checkpoint."""

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
    """Where the memory of a loaded model goes: decided at load, never exceeded."""

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
    """The cache blocks of one kind of layer; `window` is None where every position is kept."""

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
    """A message generated by the model."""

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
    def metrics(self) -> RequestMetrics:
        """Token counts and times."""
