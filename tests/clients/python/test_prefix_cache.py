"""Prefix cache: usage reports the reused tokens."""

from __future__ import annotations

from anthropic import Anthropic
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from server import MODEL


def test_second_turn_reuses_the_first(openai: OpenAI) -> None:
    opening = "Here is a list of words for later: " + ", ".join(f"word{number}" for number in range(60)) + ". Say hello."
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": opening}]
    first = openai.chat.completions.create(model=MODEL, messages=messages, temperature=0, max_tokens=24)
    assert first.usage is not None and first.usage.prompt_tokens_details is not None
    messages += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "And now say goodbye."},
    ]
    second = openai.chat.completions.create(model=MODEL, messages=messages, temperature=0, max_tokens=24)
    assert second.usage is not None and second.usage.prompt_tokens_details is not None
    cached = second.usage.prompt_tokens_details.cached_tokens
    assert cached is not None
    assert first.usage.prompt_tokens * 0.8 < cached < second.usage.prompt_tokens
    again = openai.chat.completions.create(model=MODEL, messages=messages, temperature=0, max_tokens=24)
    assert again.choices[0].message.content == second.choices[0].message.content


def test_anthropic_usage_counts_cached_tokens(anthropic: Anthropic) -> None:
    text = "Remember these animals: " + ", ".join(f"animal{number}" for number in range(60)) + "."

    def ask() -> tuple[int, int]:
        message = anthropic.messages.create(model=MODEL, max_tokens=4, messages=[{"role": "user", "content": text}])
        return message.usage.input_tokens, message.usage.cache_read_input_tokens or 0

    computed, cached = ask()
    computed_again, cached_again = ask()
    assert cached_again > 100
    assert computed + cached == computed_again + cached_again, "computed and cached tokens add up to the prompt"
