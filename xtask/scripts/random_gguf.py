"""Writes a llama-shaped GGUF file with random f16 weights: a model of any size to measure speed with.

The tokenizer comes from another GGUF file, whose vocabulary sets the number of embeddings. The same arguments write the
same file. The seed names the weights; nothing else about them matters but that activations stay in the range of halves.
"""

import argparse

import numpy as np
from gguf import GGUFReader, GGUFWriter

TOKENIZER_FIELDS = (
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.padding_token_id",
    "tokenizer.ggml.add_space_prefix",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.chat_template",
)


def shapes(options, vocabulary):
    """Names, shapes (rows, columns) and standard deviations, in the order of the file; a norm has no deviation."""
    hidden, feed_forward = options.hidden, options.feed_forward
    key_value = options.key_value_heads * options.head_dim
    query = options.heads * options.head_dim
    yield "token_embd.weight", (vocabulary, hidden), 0.05
    for layer in range(options.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (hidden,), None
        for name, rows, columns in (
            ("attn_q", query, hidden),
            ("attn_k", key_value, hidden),
            ("attn_v", key_value, hidden),
            ("attn_output", hidden, query),
            ("ffn_gate", feed_forward, hidden),
            ("ffn_up", feed_forward, hidden),
            ("ffn_down", hidden, feed_forward),
        ):
            yield f"{block}{name}.weight", (rows, columns), 0.6 / columns**0.5
        yield block + "ffn_norm.weight", (hidden,), None
    yield "output_norm.weight", (hidden,), None


def weight(generator, shape, deviation):
    if deviation is None:
        return np.ones(shape, np.float32)
    values = generator.standard_normal(shape, dtype=np.float32)
    values *= deviation
    return values.astype(np.float16)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True, help="GGUF file to take the tokenizer from")
    parser.add_argument("--output", required=True)
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--feed-forward", type=int, required=True)
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--key-value-heads", type=int, required=True)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    fields = GGUFReader(options.tokenizer).fields
    vocabulary = len(fields["tokenizer.ggml.tokens"].data)
    writer = GGUFWriter(options.output, "llama")
    writer.add_name(f"random-{options.hidden}x{options.layers}")
    writer.add_context_length(options.context)
    writer.add_embedding_length(options.hidden)
    writer.add_block_count(options.layers)
    writer.add_feed_forward_length(options.feed_forward)
    writer.add_head_count(options.heads)
    writer.add_head_count_kv(options.key_value_heads)
    writer.add_key_length(options.head_dim)
    writer.add_value_length(options.head_dim)
    writer.add_rope_dimension_count(options.head_dim)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(1)
    for name in TOKENIZER_FIELDS:
        if field := fields.get(name):
            kinds = field.types
            writer.add_key_value(name, field.contents(), kinds[0], kinds[1] if len(kinds) > 1 else None)

    tensors = list(shapes(options, vocabulary))
    for name, shape, deviation in tensors:
        kind = np.dtype(np.float32 if deviation is None else np.float16)
        writer.add_tensor_info(name, shape, kind, int(np.prod(shape)) * kind.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    # One tensor in memory at a time.
    generator = np.random.default_rng(options.seed)
    for _, shape, deviation in tensors:
        writer.write_tensor_data(weight(generator, shape, deviation))
    writer.close()


if __name__ == "__main__":
    main()
