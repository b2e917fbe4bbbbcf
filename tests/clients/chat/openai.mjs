import OpenAI from 'openai';

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: 'none' });
const stream = await client.chat.completions.create({
  "model": "starter",
  "messages": [
    {
      "role": "system",
      "content": "Be brief."
    },
    {
      "role": "user",
      "content": "Say \"hello\", and don't stop."
    }
  ],
  "temperature": 0,
  "top_p": 0.9,
  "logit_bias": {
    "2": -100
  },
  "seed": 7,
  "stop": [
    "\n\n\n"
  ],
  "max_tokens": 16,
  ...{
    "top_k": 20,
    "min_p": 0.05,
    "repetition_penalty": 1.1,
    "chat_template_kwargs": {
      "enable_thinking": false
    }
  },
  "stream": true
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
}
