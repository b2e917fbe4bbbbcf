"""Stream a model's response: `python examples/stream.py MODEL "What is the capital of France?"`."""

import sys

import mlxm


def main(name: str, question: str) -> None:
    try:
        model = mlxm.Model(name)
    except mlxm.LoadError as error:
        sys.exit(str(error))
    with model:
        stream = model.stream([{"role": "user", "content": question}], temperature=0, max_tokens=100)
        try:
            for piece in stream:
                print(piece.text, end="", flush=True)
        except KeyboardInterrupt:
            print(" …", end="")
        print()
        if statistics := stream.metrics:
            speed = statistics.generation_tokens_per_second
            print(f"{stream.finish_reason}, {speed:.0f} tokens per second", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} MODEL QUESTION")
    main(*sys.argv[1:])
