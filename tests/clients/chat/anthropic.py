from anthropic import Anthropic

client = Anthropic(base_url="http://127.0.0.1:8080", api_key="none")
with client.messages.stream(
    model="starter",
    max_tokens=16,
    system="Be brief.",
    messages=[
        {
            "role": "user",
            "content": "Say \"hello\", and don't stop.",
        },
    ],
    stop_sequences=[
        "\n\n\n",
    ],
    thinking={
        "type": "disabled",
    },
    extra_body={
        "temperature": 0,
        "top_p": 0.9,
        "top_k": 20,
    },
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
