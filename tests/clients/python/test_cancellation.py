"""A client that goes away stops costing anything."""

from __future__ import annotations

from anthropic import Anthropic
from openai import OpenAI

from server import MODEL, Server, wait_until
from test_openai_chat import STORY

#: More than a test would ever wait for, were it generated to its end.
ENDLESS = 1900


def idle(server: Server) -> bool:
    return server.metric("mlxm_num_requests_running") == server.metric("mlxm_num_requests_waiting") == 0


def test_openai(openai: OpenAI, server: Server) -> None:
    wait_until("nothing runs", lambda: idle(server))
    before = server.metric("mlxm_requests_aborted_total")
    stream = openai.chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=ENDLESS, stream=True, extra_body={"ignore_eos": True}
    )
    pieces = 0
    for chunk in stream:
        pieces += bool(chunk.choices[0].delta.content)
        if pieces == 2:
            break
    assert server.metric("mlxm_num_requests_running") == 1
    stream.close()
    wait_until("the answer is cancelled", lambda: server.metric("mlxm_requests_aborted_total") == before + 1)
    wait_until("nothing runs", lambda: idle(server))
    assert server.metric("mlxm_generation_tokens_total") > 0


def test_anthropic(anthropic: Anthropic, server: Server) -> None:
    wait_until("nothing runs", lambda: idle(server))
    before = server.metric("mlxm_requests_aborted_total")
    with anthropic.messages.stream(
        model=MODEL,
        messages=[{"role": "user", "content": "Tell me everything about lighthouses."}],
        max_tokens=ENDLESS,
        extra_body={"ignore_eos": True},
    ) as stream:
        next(iter(stream.text_stream))
    wait_until("the answer is cancelled", lambda: server.metric("mlxm_requests_aborted_total") == before + 1)
    wait_until("nothing runs", lambda: idle(server))
