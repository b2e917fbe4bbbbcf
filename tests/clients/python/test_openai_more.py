"""Models and text completions with the OpenAI client."""

from __future__ import annotations

import openai as sdk
import pytest
from openai import OpenAI

from server import MODEL, REPOSITORY


def test_list_has_the_names_of_the_model(openai: OpenAI) -> None:
    models = openai.models.list().data
    assert {MODEL, REPOSITORY} <= {model.id for model in models}
    for model in models:
        assert model.object == "model" and model.owned_by == "mlxm" and model.created > 0
        assert openai.models.retrieve(model.id).id == model.id


@pytest.mark.parametrize("name", [MODEL, REPOSITORY])
def test_model_is_found_by_its_aliases(openai: OpenAI, name: str) -> None:
    model = openai.models.retrieve(name)
    assert model.id == name
    extra = model.model_extra or {}
    assert extra["context_length"] == 2048
    assert extra["capabilities"]["chat"] is True and extra["capabilities"]["embeddings"] is False


def test_unknown_model_is_not_found(openai: OpenAI) -> None:
    with pytest.raises(sdk.NotFoundError) as caught:
        openai.models.retrieve("unknown")
    assert caught.value.code == "model_not_found"


def test_completion_continues_the_prompt_and_echo_repeats_it(openai: OpenAI) -> None:
    completion = openai.completions.create(model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=8)
    assert completion.object == "text_completion"
    assert "Paris" in completion.choices[0].text
    echoed = openai.completions.create(
        model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=8, echo=True
    )
    assert echoed.choices[0].text == "The capital of France is" + completion.choices[0].text


def test_stream_has_the_text_and_usage_of_the_completion(openai: OpenAI) -> None:
    whole = openai.completions.create(model=MODEL, prompt="One, two, three,", temperature=0, max_tokens=12)
    stream = openai.completions.create(
        model=MODEL,
        prompt="One, two, three,",
        temperature=0,
        max_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert last.usage is not None and last.usage.completion_tokens == 12


def test_prompts_can_be_strings_or_token_ids(openai: OpenAI) -> None:
    prompts = ["One, two,", "The sun is"]
    completion = openai.completions.create(model=MODEL, prompt=prompts, temperature=0, max_tokens=4, n=1)
    assert [choice.index for choice in completion.choices] == [0, 1]
    tokens = [
        openai.post("../tokenize", cast_to=dict[str, list[int]], body={"prompt": prompt})["tokens"]
        for prompt in prompts
    ]
    same = openai.completions.create(model=MODEL, prompt=tokens, temperature=0, max_tokens=4)
    assert [choice.text for choice in same.choices] == [choice.text for choice in completion.choices]


def test_logprobs_belong_to_the_greedy_tokens(openai: OpenAI) -> None:
    completion = openai.completions.create(
        model=MODEL, prompt="One, two,", temperature=0, max_tokens=4, logprobs=2
    )
    logprobs = completion.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == completion.choices[0].text
    assert logprobs.text_offset is not None and logprobs.text_offset[0] == 0
    for token, logprob, top in zip(logprobs.tokens or [], logprobs.token_logprobs or [], logprobs.top_logprobs or []):
        assert top is not None and top[token] == logprob == max(top.values())


def test_echo_with_logprobs_scores_the_prompt(openai: OpenAI) -> None:
    def score(text: str) -> float:
        completion = openai.completions.create(
            model=MODEL, prompt=text, temperature=0, max_tokens=1, logprobs=1, echo=True
        )
        logprobs = completion.choices[0].logprobs
        assert logprobs is not None and logprobs.tokens is not None and logprobs.token_logprobs is not None
        assert "".join(logprobs.tokens) == completion.choices[0].text
        # The first token has no log-probability, although the client's type does not allow None.
        assert logprobs.token_logprobs[0] is None
        return sum(logprobs.token_logprobs[1:-1])

    assert score("The capital of France is Paris") > score("The capital of France is Rome")


def test_suffix_is_rejected(openai: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        openai.completions.create(model=MODEL, prompt="a", suffix="b")
    assert caught.value.param == "suffix"
