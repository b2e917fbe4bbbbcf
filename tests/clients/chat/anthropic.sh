curl -N http://127.0.0.1:8080/v1/messages \
  -H 'content-type: application/json' \
  -H 'anthropic-version: 2023-06-01' \
  -d '{
  "model": "starter",
  "max_tokens": 16,
  "system": "Be brief.",
  "messages": [
    {
      "role": "user",
      "content": "Say \"hello\", and don'\''t stop."
    }
  ],
  "temperature": 0,
  "top_p": 0.9,
  "top_k": 20,
  "stop_sequences": [
    "\n\n\n"
  ],
  "thinking": {
    "type": "disabled"
  },
  "stream": true
}'
