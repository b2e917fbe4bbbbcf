from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="none")
stream = client.chat.completions.create(
    model="starter",
    messages=[
        {
            "role": "system",
            "content": "Be brief.",
        },
        {
            "role": "user",
            "content": "Say \"hello\", and don't stop.",
        },
    ],
    temperature=0,
    top_p=0.9,
    logit_bias={
        "2": -100,
    },
    seed=7,
    stop=[
        "\n\n\n",
    ],
    max_tokens=16,
    extra_body={
        "top_k": 20,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "chat_template_kwargs": {
            "enable_thinking": False,
        },
    },
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
