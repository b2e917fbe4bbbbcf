"""Chat completions with the OpenAI client."""

from __future__ import annotations

import math

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from server import MODEL

QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the capital of France? Answer in one sentence."}
]
STORY: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a story about a lighthouse."}]


def text(completion: ChatCompletion) -> str:
    content = completion.choices[0].message.content
    assert content is not None
    return content


def test_completion_has_content_usage_and_finish_reason(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=40)
    assert completion.object == "chat.completion"
    assert completion.model == MODEL
    (choice,) = completion.choices
    assert choice.message.role == "assistant"
    assert "Paris" in text(completion)
    assert choice.finish_reason == "stop"
    usage = completion.usage
    assert usage is not None
    assert 0 < usage.completion_tokens < 40
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_completion_stops_at_max_tokens(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(model=MODEL, messages=STORY, max_completion_tokens=5)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None and completion.usage.completion_tokens == 5


def test_all_messages_are_part_of_the_prompt(openai: OpenAI) -> None:
    def prompt_tokens(messages: list[ChatCompletionMessageParam]) -> int:
        completion = openai.chat.completions.create(model=MODEL, messages=messages, max_tokens=1)
        assert completion.usage is not None
        return completion.usage.prompt_tokens

    system: ChatCompletionMessageParam = {"role": "system", "content": "You answer with a rhyme, always."}
    parts: ChatCompletionMessageParam = {"role": "user", "content": [{"type": "text", "text": STORY[0]["content"]}]}  # type: ignore[list-item, typeddict-item]
    answered: list[ChatCompletionMessageParam] = [{"role": "assistant", "content": "Once upon a time."}, *STORY]
    assert prompt_tokens([system, *STORY]) != prompt_tokens(STORY)
    assert prompt_tokens([parts]) == prompt_tokens(STORY)
    assert prompt_tokens([*STORY, *answered]) > prompt_tokens(STORY) + 5


def test_temperature_zero_is_greedy(openai: OpenAI) -> None:
    texts = {
        text(openai.chat.completions.create(model=MODEL, messages=STORY, temperature=0, max_tokens=24, seed=seed))
        for seed in (1, 2)
    }
    assert len(texts) == 1


def test_seed_reproduces_a_completion(openai: OpenAI) -> None:
    def sample(seed: int) -> str:
        return text(
            openai.chat.completions.create(model=MODEL, messages=STORY, temperature=1.5, max_tokens=24, seed=seed)
        )

    assert sample(7) == sample(7)
    assert sample(7) != sample(8)


def test_n_returns_different_choices(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(
        model=MODEL, messages=STORY, n=3, temperature=1.5, seed=1, max_tokens=16
    )
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in completion.choices}) == 3
    assert completion.usage is not None and completion.usage.completion_tokens == 48


@pytest.mark.parametrize("many", [False, True])
def test_stop_string_ends_completion_and_is_removed(openai: OpenAI, many: bool) -> None:
    whole = text(openai.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=40))
    completion = openai.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        temperature=0,
        max_tokens=40,
        stop=["not generated", "France"] if many else "France",
    )
    assert text(completion) == whole.partition("France")[0]
    assert completion.choices[0].finish_reason == "stop"


def test_logprobs_are_sorted_and_cover_the_content(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(
        model=MODEL, messages=STORY, temperature=0, max_tokens=6, logprobs=True, top_logprobs=3
    )
    logprobs = completion.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert len(logprobs.content) == 6
    for entry in logprobs.content:
        assert len(entry.top_logprobs) == 3
        assert entry.logprob == entry.top_logprobs[0].logprob, "the greedy token is the most probable one"
        assert [top.logprob for top in entry.top_logprobs] == sorted(
            (top.logprob for top in entry.top_logprobs), reverse=True
        )
        assert sum(math.exp(top.logprob) for top in entry.top_logprobs) <= 1 + 1e-3
    spelled = b"".join(bytes(entry.bytes or []) for entry in logprobs.content)
    assert spelled.decode() == text(completion)


def test_logprobs_are_absent_by_default(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=2)
    assert completion.choices[0].logprobs is None


def test_logit_bias_excludes_a_token(openai: OpenAI) -> None:
    first = openai.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, max_tokens=1, logprobs=True, top_logprobs=1
    )
    word = text(first)
    tokens = openai.post("../tokenize", cast_to=dict[str, object], body={"prompt": word})["tokens"]
    assert isinstance(tokens, list) and len(tokens) == 1
    other = openai.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, max_tokens=1, logit_bias={str(tokens[0]): -100}
    )
    assert text(other) != word


def test_request_id_is_returned_or_generated(openai: OpenAI) -> None:
    named = openai.chat.completions.with_raw_response.create(
        model=MODEL, messages=QUESTION, max_tokens=1, extra_headers={"X-Request-ID": "mine-1"}
    )
    assert named.headers["x-request-id"] == "mine-1"
    assert openai.models.with_raw_response.list().headers["x-request-id"].startswith("req_")


def test_unknown_field_is_named_in_a_warning(openai: OpenAI) -> None:
    response = openai.chat.completions.with_raw_response.create(
        model=MODEL, messages=QUESTION, max_tokens=1, user="me", extra_body={"brand_new": 1}
    )
    assert "brand_new" in response.headers["warning"]
    assert "user" not in response.headers["warning"]
