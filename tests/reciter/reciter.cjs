// A checkpoint that recites given texts, whatever the prompt: its chat template chooses one of them. As a program it writes one with
// the texts of `texts/`; see README.md.
//
// It is a llama of one layer whose attention and MLP are zero, so that the next token depends only on the last one. Each piece of
// a text is a token of its own, spelled `piece⟦7⟧`, and the decoder removes the mark. A prompt ends in the start token of a text.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const WIDTH = 256;
const MLP_WIDTH = 32;

/** Characters of a piece. */
const PIECE = 6;

const END = "<|im_end|>";

/** The start token of the text `name`. */
function startToken(name) {
  return `<|recite:${name}|>`;
}

/** Normally distributed numbers, the same in every run. */
function* normalNumbers(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  for (;;) {
    yield Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  }
}

/** Tokens, and for each text the chain of its tokens. A text whose name is in `endless` starts again at its end. */
function buildVocabulary(texts, endless) {
  const vocabulary = new Map();
  const add = (token) => {
    if (!vocabulary.has(token)) {
      vocabulary.set(token, vocabulary.size);
    }
    return vocabulary.get(token);
  };
  const special = [END, "<|im_start|>", ...Object.keys(texts).map(startToken)];
  special.forEach(add);
  for (let byte = 0; byte < 256; byte++) {
    add(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  }
  for (let code = 32; code < 127; code++) {
    add(String.fromCharCode(code));
  }
  add("\n");
  const chains = Object.entries(texts).map(([name, text]) => {
    const chain = [vocabulary.get(startToken(name))];
    const isEndless = endless.includes(name);
    // By characters, as half of a surrogate pair is not text.
    const characters = [...(isEndless ? `${text}\n\n` : text)];
    for (let at = 0; at < characters.length; at += PIECE) {
      chain.push(add(`${characters.slice(at, at + PIECE).join("")}⟦${vocabulary.size}⟧`));
    }
    return [...chain, isEndless ? chain[1] : vocabulary.get(END)];
  });
  return { vocabulary, special, chains };
}

/** Tensors `[name, shape, values]` that map each token of a chain to the next one. */
function buildTensors(size, chains) {
  const embedding = new Float32Array(size * WIDTH);
  const numbers = normalNumbers(1);
  for (let row = 0; row < size; row++) {
    const values = embedding.subarray(row * WIDTH, (row + 1) * WIDTH);
    let squares = 0;
    for (let column = 0; column < WIDTH; column++) {
      values[column] = numbers.next().value;
      squares += values[column] ** 2;
    }
    for (let column = 0; column < WIDTH; column++) {
      values[column] /= Math.sqrt(squares);
    }
  }
  const head = new Float32Array(size * WIDTH);
  for (const chain of chains) {
    for (let at = 0; at + 1 < chain.length; at++) {
      for (let column = 0; column < WIDTH; column++) {
        head[chain[at + 1] * WIDTH + column] += 8 * embedding[chain[at] * WIDTH + column];
      }
    }
  }
  const zeros = (name, rows, columns) => [`model.layers.0.${name}.weight`, [rows, columns], new Float32Array(rows * columns)];
  const ones = (name) => [`${name}.weight`, [WIDTH], new Float32Array(WIDTH).fill(1)];
  return [
    ["model.embed_tokens.weight", [size, WIDTH], embedding],
    ["lm_head.weight", [size, WIDTH], head],
    ...["q_proj", "k_proj", "v_proj", "o_proj"].map((name) => zeros(`self_attn.${name}`, WIDTH, WIDTH)),
    zeros("mlp.gate_proj", MLP_WIDTH, WIDTH),
    zeros("mlp.up_proj", MLP_WIDTH, WIDTH),
    zeros("mlp.down_proj", WIDTH, MLP_WIDTH),
    ones("model.layers.0.input_layernorm"),
    ones("model.layers.0.post_attention_layernorm"),
    ones("model.norm"),
  ];
}

function writeSafetensors(file, tensors) {
  const header = {};
  let offset = 0;
  for (const [name, shape, values] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + values.byteLength] };
    offset += values.byteLength;
  }
  const text = JSON.stringify(header);
  // Padded, so that the values are aligned.
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const data = tensors.map(([, , values]) => Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  fs.writeFileSync(file, Buffer.concat([length, json, ...data]));
}

/**
 * Writes the checkpoint. `texts` maps names to texts; `template` ends each prompt in the start token of one of them; `endless` has
 * the names of texts that are repeated until the limit of tokens; a context has at most `contextLength` tokens.
 */
function writeReciter(folder, texts, template, { endless = [], contextLength = 16384 } = {}) {
  const { vocabulary, special, chains } = buildVocabulary(texts, endless);
  const size = Math.ceil(vocabulary.size / 64) * 64;
  fs.mkdirSync(folder, { recursive: true });
  const write = (name, value) => fs.writeFileSync(path.join(folder, name), JSON.stringify(value));
  writeSafetensors(path.join(folder, "model.safetensors"), buildTensors(size, chains));
  write("config.json", {
    model_type: "llama",
    hidden_size: WIDTH,
    intermediate_size: MLP_WIDTH,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    vocab_size: size,
    max_position_embeddings: contextLength,
    rms_norm_eps: 1e-5,
    rope_theta: 10000.0,
    tie_word_embeddings: false,
    eos_token_id: vocabulary.get(END),
  });
  const addedToken = (content) => ({
    id: vocabulary.get(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const removeMarks = { type: "Replace", pattern: { Regex: "⟦[0-9]+⟧" }, content: "" };
  write("tokenizer.json", {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map(addedToken),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Sequence", decoders: [removeMarks, { type: "ByteFallback" }, { type: "Fuse" }] },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges: [],
    },
  });
  write("tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: END,
    bos_token: "<|im_start|>",
    add_bos_token: false,
    chat_template: template,
  });
}

/**
 * A template that chooses the last text whose name is in the last message of the user, else `hello`. After the result of a tool it
 * chooses `NAME-result`, and `NAME-direct` where thinking is off, if there are such texts.
 */
function namedTemplate(names) {
  return `
{%- set names = ${JSON.stringify(names)} -%}
{%- set ns = namespace(text='hello') -%}
{%- if tools %}<|im_start|>system
{{ tools | tojson }}
For each call: <tool_call>
{"name": "...", "arguments": {}}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages -%}
{%- set content = message.content if message.content is string else (message.content or '') | tojson -%}
<|im_start|>{{ message.role }}
{{ content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% if message.role == 'user' %}
{%- set ns.text = 'hello' -%}
{%- for name in names %}{% if name in content %}{% set ns.text = name %}{% endif %}{% endfor -%}
{%- elif message.role == 'tool' and (ns.text ~ '-result') in names %}{% set ns.text = ns.text ~ '-result' %}
{%- endif %}
{%- endfor %}
{%- if enable_thinking is defined and not enable_thinking and (ns.text ~ '-direct') in names %}
{%- set ns.text = ns.text ~ '-direct' -%}
{%- endif %}
{%- if add_generation_prompt %}<|im_start|>assistant
{# Reasoning is in <think> and </think>. #}{{ '${startToken("TEXT")}' | replace('TEXT', ns.text) }}{% endif %}`;
}

/** The texts of `texts/`, by their names, and the names of those that are endless. */
function namedTexts() {
  const folder = path.join(__dirname, "texts");
  const files = fs.readdirSync(folder).sort();
  const texts = files.map((file) => [path.parse(file).name, fs.readFileSync(path.join(folder, file), "utf8").trimEnd()]);
  return { texts: Object.fromEntries(texts), endless: ["endless"] };
}

function main([folder, file]) {
  if (!folder) {
    throw new Error("usage: node reciter.cjs FOLDER [TEXTS.json]");
  }
  const { texts, endless } = namedTexts();
  const all = { ...texts, ...(file ? JSON.parse(fs.readFileSync(file, "utf8")) : {}) };
  writeReciter(folder, all, namedTemplate(Object.keys(all)), { endless });
}

if (require.main === module) {
  main(process.argv.slice(2));
}

module.exports = { startToken, writeReciter };
