"""Measures OpenVINO GenAI on the CPU once, after one warm-up, and prints a line of JSON.

One sequence goes through LLMPipeline, more than one through ContinuousBatchingPipeline. With --load nothing is warmed
up or measured: the process loads, generates one token for a text and ends, and whoever started it holds the clock.
"""

import argparse
import json
import random
import time

import numpy as np
import openvino as ov
import openvino_genai as genai


def generation(tokens):
    config = genai.GenerationConfig()
    config.max_new_tokens = tokens
    config.min_new_tokens = tokens
    config.ignore_eos = True
    config.do_sample = False
    config.apply_chat_template = False
    return config


def prompt(generator, tokens, vocabulary):
    ids = [generator.randrange(3, vocabulary) for _ in range(tokens)]
    return ov.Tensor(np.array([ids], dtype=np.int64))


def single(options, properties, generator):
    pipeline = genai.LLMPipeline(options.model, "CPU", **properties)
    for _ in range(2):
        ids = prompt(generator, options.prompt_tokens, options.vocabulary)
        metrics = pipeline.generate(ids, generation(options.generated_tokens)).perf_metrics
    result = {"prefill_tps": 1e3 * options.prompt_tokens / metrics.get_ttft().mean}
    if options.generated_tokens > 1:
        result["decode_tps"] = 1e3 / metrics.get_tpot().mean
    return result


def batch(options, properties, generator):
    length = options.prompt_tokens + options.generated_tokens
    scheduler = genai.SchedulerConfig()
    scheduler.max_num_seqs = options.sequences
    scheduler.max_num_batched_tokens = max(options.sequences * length, 2048)
    scheduler.enable_prefix_caching = False
    # Room for these sequences and no more; a block of the CPU holds 32 tokens.
    scheduler.num_kv_blocks = options.sequences * (length // 32 + 2)
    pipeline = genai.ContinuousBatchingPipeline(options.model, scheduler, "CPU", properties)
    for run in range(2):
        handles = [
            pipeline.add_request(
                run * options.sequences + index,
                prompt(generator, options.prompt_tokens, options.vocabulary),
                generation(options.generated_tokens),
            )
            for index in range(options.sequences)
        ]
        decode_tps = together(pipeline, handles, options.generated_tokens)
    return {"decode_tps": decode_tps}


def together(pipeline, handles, wanted):
    """Tokens per second of all requests from the time the last has its first token until the first has its last one."""
    generated = [0] * len(handles)
    begin = end = 0.0
    counted = 0
    while pipeline.has_non_finished_requests():
        pipeline.step()
        now = time.perf_counter()
        fresh = 0
        for index, handle in enumerate(handles):
            while handle.can_read():
                tokens = sum(len(output.generated_ids) for output in handle.read().values())
                generated[index] += tokens
                fresh += tokens
        if begin and not end:
            counted += fresh
            if max(generated) >= wanted:
                end = now
        if not begin and min(generated) > 0:
            begin = now
    return counted / (end - begin)


def load(options, properties):
    pipeline = genai.LLMPipeline(options.model, "CPU", **properties)
    print(json.dumps({"text": str(pipeline.generate(options.load, generation(1)))}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--prompt-tokens", type=int, default=1)
    parser.add_argument("--generated-tokens", type=int, default=1)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--load", metavar="TEXT", help="only load and generate one token for this text")
    options = parser.parse_args()
    properties = {"INFERENCE_NUM_THREADS": options.threads}
    if options.load is not None:
        load(options, properties)
        return
    measure = single if options.sequences == 1 else batch
    print(json.dumps(measure(options, properties, random.Random(0))))


if __name__ == "__main__":
    main()
