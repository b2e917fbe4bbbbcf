"""Renders chat templates with transformers, for crates/chat/tests/template_corpus.rs to compare with.

The corpus is a directory of templates that is not part of the repository (llama.cpp's models/templates, from the source
distribution of llama-cpp-python):

    python tests/python/template_reference.py --templates CORPUS --tokenizer CHECKPOINT --output REFERENCE.json
    MLXM_TEMPLATE_CORPUS=CORPUS MLXM_TEMPLATE_REFERENCE=REFERENCE.json \
        cargo test -p mlxm-chat --test template_corpus -- --ignored --nocapture

CHECKPOINT is a directory with a tokenizer.json and its configs, such as the converted starter model.

The repository's own templates are compared by every `cargo test`. After changing one of them:

    python tests/python/template_reference.py --templates crates/chat/tests/templates \
        --conversations system,tools,thinking,ends-with-answer --output crates/chat/tests/templates/reference.json
"""

import argparse
import datetime
import json
import pathlib

import tokenizers
import transformers
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2025, 3, 9, 7, 5, 3)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Current weather at a "place" <b>now</b> & later; it\'s in °C.',
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City, e.g. Zürich or 東京"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": ["integer", "null"], "description": "How far ahead", "minimum": 1, "maximum": 10},
                "detail": {"type": "number", "default": 0.5, "exclusiveMaximum": 1e-07},
                "items": {"type": "array", "items": {"type": "string"}, "description": "What to report"},
                "options": {
                    "type": "object",
                    "properties": {"cached": {"type": "boolean", "default": True}, "note": {"type": "string"}},
                    "required": ["cached"],
                },
            },
            "required": ["location"],
        },
        "return": {"type": "string"},
    },
}
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.\nBoth are needed.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number", "description": "The second"}},
            "required": ["a", "b"],
        },
    },
}
NOTHING = {
    "type": "function",
    "function": {"name": "ping", "description": "", "parameters": {"type": "object", "properties": {}}},
}


def call(identifier, name, arguments):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool_results(*, as_text, content):
    def arguments(value):
        return json.dumps(value, ensure_ascii=False) if as_text else value

    weather = {
        "location": "Zürich",
        "days": 2,
        "detail": 0.25,
        "items": ["rain", "it's <wet>"],
        "options": {"cached": True, "note": None},
    }
    return [
        {"role": "user", "content": "Weather in Zürich and 1.5 + 2?"},
        {
            "role": "assistant",
            "content": content,
            "tool_calls": [
                call("call00001", "get_weather", arguments(weather)),
                call("call00002", "add", arguments({"a": 1.5, "b": 2})),
            ],
        },
        {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": '{"temperature": 11.5}'},
        {"role": "tool", "tool_call_id": "call00002", "name": "add", "content": "3.5"},
    ]


CONVERSATIONS = {
    "system": {
        "messages": [
            {"role": "system", "content": "You are  helpful.\nAnswer briefly. "},
            {"role": "user", "content": " What's the capital of <France>? "},
        ],
        "add_generation_prompt": True,
    },
    "multi-turn": {
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi! How can I help?"},
            {"role": "user", "content": "Say \"日本\" & 'é' 😀\n\n"},
            {"role": "assistant", "content": "日本, é 😀"},
            {"role": "user", "content": "Again."},
        ],
        "add_generation_prompt": True,
    },
    "tools": {
        "messages": [
            {"role": "system", "content": "You may call functions."},
            {"role": "user", "content": "Weather in Zürich?"},
        ],
        "tools": [WEATHER, ADD, NOTHING],
        "kwargs": {"functions": json.dumps([WEATHER, ADD]), "datetime": "2025-03-09"},
        "add_generation_prompt": True,
    },
    "tool-results": {
        "messages": [
            {"role": "user", "content": "What is 1.5 + 2?"},
            {"role": "assistant", "content": "", "tool_calls": [call("call00003", "add", {"a": 1.5, "b": 2})]},
            {"role": "tool", "tool_call_id": "call00003", "name": "add", "content": "3.5"},
            {"role": "assistant", "content": "3.5"},
            {"role": "user", "content": "Thanks. And twice that?"},
        ],
        "tools": [ADD, NOTHING],
        "add_generation_prompt": True,
    },
    "thinking": {
        "messages": [
            {"role": "user", "content": "What is 17 * 23?"},
            {"role": "assistant", "reasoning_content": "17 * 23 = 17 * 20 + 17 * 3 = 391", "content": "391"},
            {"role": "user", "content": "Sure?"},
            {"role": "assistant", "content": "<think>\nLet me check: 391 / 23 = 17\n</think>\n\nYes."},
            {"role": "user", "content": "Good."},
        ],
        "kwargs": {"enable_thinking": True, "thinking": True, "reasoning_effort": "high"},
        "add_generation_prompt": True,
    },
    "thinking-off": {
        "messages": [{"role": "user", "content": "What is 17 * 23?"}],
        "kwargs": {"enable_thinking": False, "thinking": False},
        "add_generation_prompt": True,
    },
    "tool-results-as-text": {
        "messages": [
            {"role": "system", "content": "You may call functions."},
            *tool_results(as_text=True, content="Let me see."),
            {"role": "assistant", "content": "11.5 °C, and 3.5."},
            {"role": "user", "content": "Thanks. And now?"},
        ],
        "tools": [WEATHER, ADD],
        "add_generation_prompt": True,
    },
    "tool-results-last": {
        "messages": tool_results(as_text=False, content=None),
        "tools": [WEATHER, ADD],
        "add_generation_prompt": True,
    },
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "text", "text": "a text."}]},
            {"role": "assistant", "content": "I see."},
            {"role": "user", "content": [{"type": "text", "text": "And?"}]},
        ],
        "add_generation_prompt": False,
    },
    "ends-with-answer": {
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi, I am "},
        ],
        "continue_final_message": True,
    },
}


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def small_tokenizer():
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def render(tokenizer, template, conversation, with_ids):
    arguments = {
        "chat_template": template,
        "tools": conversation.get("tools"),
        "add_generation_prompt": conversation.get("add_generation_prompt", False),
        "continue_final_message": conversation.get("continue_final_message", False),
        **conversation.get("kwargs", {}),
    }
    try:
        result = {"text": tokenizer.apply_chat_template(conversation["messages"], tokenize=False, **arguments)}
        if with_ids:
            result["ids"] = tokenizer.apply_chat_template(
                conversation["messages"], tokenize=True, return_dict=False, **arguments
            )
        return result
    except Exception as error:  # What a template may raise is up to the template.
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, help="compare token ids as well, with this tokenizer")
    parser.add_argument("--conversations", type=lambda names: names.split(","), default=list(CONVERSATIONS))
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()

    transformers.logging.set_verbosity_error()
    chat_template_utils.datetime = FixedTime
    if options.tokenizer:
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(options.tokenizer)
    else:
        tokenizer = small_tokenizer()
    conversations = {name: CONVERSATIONS[name] for name in options.conversations}
    results = {}
    for path in sorted(options.templates.glob("*.jinja")):
        template = path.read_text(encoding="utf-8")
        results[path.name] = {
            name: render(tokenizer, template, conversation, options.tokenizer is not None)
            for name, conversation in conversations.items()
        }
    reference = {
        "now": NOW.isoformat(),
        "tokenizer": str(options.tokenizer.resolve()) if options.tokenizer else None,
        "conversations": conversations,
        "results": results,
    }
    indent = None if options.tokenizer else 1
    options.output.write_text(json.dumps(reference, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")
    failed = sum("error" in result for by_name in results.values() for result in by_name.values())
    total = len(results) * len(conversations)
    print(f"{len(results)} templates, {total} prompts, {failed} of them rejected by the template or by Python")


if __name__ == "__main__":
    main()
