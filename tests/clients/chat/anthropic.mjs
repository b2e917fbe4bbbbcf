import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: "http://127.0.0.1:8080", apiKey: 'none' });
const stream = client.messages.stream({
  "model": "starter",
  "max_tokens": 16,
  "system": "Be brief.",
  "messages": [
    {
      "role": "user",
      "content": "Say \"hello\", and don't stop."
    }
  ],
  "stop_sequences": [
    "\n\n\n"
  ],
  "thinking": {
    "type": "disabled"
  },
  ...{
    "temperature": 0,
    "top_p": 0.9,
    "top_k": 20
  }
});
stream.on('text', (text) => process.stdout.write(text));
await stream.finalMessage();
