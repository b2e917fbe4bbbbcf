"""Streamed chat completions with the OpenAI client."""

from __future__ import annotations

from openai import OpenAI

from server import MODEL
from test_openai_chat import QUESTION, STORY, text


def test_chunks_concatenate_to_the_completion(openai: OpenAI) -> None:
    whole = openai.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=40)
    chunks = list(
        openai.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            temperature=0,
            max_tokens=40,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *parts, last = chunks
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.object == "chat.completion.chunk" and chunk.model == MODEL for chunk in chunks)
    assert parts[0].choices[0].delta.role == "assistant"
    assert len([chunk for chunk in parts if chunk.choices[0].delta.content]) > 1
    assert "".join(chunk.choices[0].delta.content or "" for chunk in parts) == text(whole)
    reasons = [chunk.choices[0].finish_reason for chunk in parts]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert all(chunk.usage is None for chunk in parts)
    assert last.choices == []
    assert last.usage is not None and whole.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens


def test_usage_is_absent_unless_requested(openai: OpenAI) -> None:
    chunks = openai.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=3, stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_stream_interleaves_several_choices(openai: OpenAI) -> None:
    whole = openai.chat.completions.create(model=MODEL, messages=STORY, n=2, temperature=1.5, seed=3, max_tokens=12)
    texts = ["", ""]
    reasons: list[str | None] = [None, None]
    stream = openai.chat.completions.create(
        model=MODEL, messages=STORY, n=2, temperature=1.5, seed=3, max_tokens=12, stream=True
    )
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert reasons == ["length", "length"]


def test_chunks_have_logprobs_of_their_tokens(openai: OpenAI) -> None:
    stream = openai.chat.completions.create(
        model=MODEL, messages=STORY, temperature=0, max_tokens=6, logprobs=True, top_logprobs=2, stream=True
    )
    choices = [choice for chunk in stream for choice in chunk.choices]
    entries = [entry for choice in choices if choice.logprobs for entry in choice.logprobs.content or []]
    assert len(entries) == 6
    spelled = b"".join(bytes(entry.bytes or []) for entry in entries).decode()
    assert spelled == "".join(choice.delta.content or "" for choice in choices)


def test_stream_helper_accumulates_the_completion(openai: OpenAI) -> None:
    whole = openai.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=40)
    with openai.chat.completions.stream(
        model=MODEL, messages=QUESTION, temperature=0, max_tokens=40, stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == text(whole)
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None and final.usage.completion_tokens > 0
