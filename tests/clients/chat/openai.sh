curl -N http://127.0.0.1:8080/v1/chat/completions \
  -H 'content-type: application/json' \
  -d '{
  "model": "starter",
  "messages": [
    {
      "role": "system",
      "content": "Be brief."
    },
    {
      "role": "user",
      "content": "Say \"hello\", and don'\''t stop."
    }
  ],
  "temperature": 0,
  "top_p": 0.9,
  "top_k": 20,
  "min_p": 0.05,
  "repetition_penalty": 1.1,
  "logit_bias": {
    "2": -100
  },
  "seed": 7,
  "stop": [
    "\n\n\n"
  ],
  "max_tokens": 16,
  "chat_template_kwargs": {
    "enable_thinking": false
  },
  "stream": true
}'
