"""Closing a stream cancels its generation."""

from __future__ import annotations

from anthropic import Anthropic
from openai import OpenAI

from server import MODEL, Server, wait_until
from test_openai_chat import STORY

#: Far more tokens than the test reads.
MANY_TOKENS = 1900


def idle(server: Server) -> bool:
    return server.metric("mlxm_num_requests_running") == server.metric("mlxm_num_requests_waiting") == 0


def test_closed_openai_stream_is_cancelled(openai: OpenAI, server: Server) -> None:
    wait_until("the server is idle", lambda: idle(server))
    before = server.metric("mlxm_requests_aborted_total")
    stream = openai.chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=MANY_TOKENS, stream=True, extra_body={"ignore_eos": True}
    )
    pieces = 0
    for chunk in stream:
        pieces += bool(chunk.choices[0].delta.content)
        if pieces == 2:
            break
    assert server.metric("mlxm_num_requests_running") == 1
    stream.close()
    wait_until("the request is aborted", lambda: server.metric("mlxm_requests_aborted_total") == before + 1)
    wait_until("the server is idle", lambda: idle(server))
    assert server.metric("mlxm_generation_tokens_total") > 0


def test_closed_anthropic_stream_is_cancelled(anthropic: Anthropic, server: Server) -> None:
    wait_until("the server is idle", lambda: idle(server))
    before = server.metric("mlxm_requests_aborted_total")
    with anthropic.messages.stream(
        model=MODEL,
        messages=[{"role": "user", "content": "Tell me everything about lighthouses."}],
        max_tokens=MANY_TOKENS,
        extra_body={"ignore_eos": True},
    ) as stream:
        next(iter(stream.text_stream))
    wait_until("the request is aborted", lambda: server.metric("mlxm_requests_aborted_total") == before + 1)
    wait_until("the server is idle", lambda: idle(server))
