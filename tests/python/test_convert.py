"""`mlxm convert` against mlx-lm: the same tensors from the same checkpoint, and models that mlx-lm loads."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_files
from cases import TOKEN_BY_TOKEN, case
from gguf_layouts import NORM_PLUS_ONE
from oracle import architectures, build, config, logits_through_cache, read

FORMATS: dict[str, dict[str, Any]] = {
    "4-bit g64": {"bits": 4, "group_size": 64},
    "3-bit g32": {"bits": 3, "group_size": 32},
    "8-bit g128": {"bits": 8, "group_size": 128},
    "mxfp4": {"bits": 4, "group_size": 32, "mode": "mxfp4"},
    "nvfp4": {"bits": 4, "group_size": 16, "mode": "nvfp4"},
    "mxfp8": {"bits": 8, "group_size": 32, "mode": "mxfp8"},
    "mixed_3_6": {"recipe": "mixed_3_6"},
}


@pytest.fixture(scope="session")
def binary() -> Path:
    named = os.environ.get("MLXM_BIN")
    if not named:
        pytest.skip("MLXM_BIN is not set: `cargo xtask test` builds the program and sets it")
    return Path(named)


def convert(binary: Path, source: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, "convert", source, output, *options], capture_output=True, text=True, check=False)


def converted(binary: Path, source: Path, output: Path, *options: str) -> dict[str, Any]:
    """Tensors of the output."""
    done = convert(binary, source, output, *options)
    assert done.returncode == 0, done.stderr
    return tensors(output)


def tensors(folder: Path) -> dict[str, Any]:
    import mlx.core as mx

    found: dict[str, Any] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        found |= mx.load(str(path))
    return found


def raw(array: Any) -> bytes:
    import mlx.core as mx

    return np.array(array.view(mx.uint8) if array.ndim else array[None].view(mx.uint8)).tobytes()


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert raw(found[name]) == raw(array), name


def flags(settings: dict[str, Any]) -> list[str]:
    return [part for key, value in settings.items() for part in (f"--{key.replace('_', '-')}", str(value))]


def mlx_lm_converts(source: Path, output: Path, settings: dict[str, Any], dtype: str | None = None) -> None:
    """The steps of mlx_lm.convert without its tokenizer, which tiny checkpoints do not need."""
    import mlx.core as mx
    from mlx.utils import tree_map
    from mlx_lm.convert import mixed_quant_predicate_builder
    from mlx_lm.utils import load_model, quantize_model, save_config, save_model

    model, config = load_model(source, lazy=True)
    if dtype:
        model.update(tree_map(lambda array: array.astype(getattr(mx, dtype)), model.parameters()))
    predicate = None
    if recipe := settings.get("recipe"):
        predicate = mixed_quant_predicate_builder(recipe, model, settings.get("group_size", 64))
    model, config = quantize_model(
        model,
        config,
        settings.get("group_size"),
        settings.get("bits"),
        mode=settings.get("mode", "affine"),
        quant_predicate=predicate,
    )
    save_model(output, model)
    save_config(config, output / "config.json")


def logits(folder: Path, ids: np.ndarray) -> np.ndarray:
    import mlx.core as mx
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    model, settings = load_model(folder)
    if settings["model_type"] in TOKEN_BY_TOKEN:
        return logits_through_cache(model, ids, 0)
    return np.array(model(mx.array(ids[None]))[0].astype(mx.float32))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("architecture", architectures())
def test_quantizes_as_mlx_lm_does(binary: Path, tmp_path: Path, architecture: str, form: str) -> None:
    settings = FORMATS[form]
    source = build(case(architecture))
    try:
        mlx_lm_converts(source, tmp_path / "theirs", settings)
    except ValueError as error:
        assert "recipe" in settings and "expected keys for mixed quant" in str(error)
        rejected = convert(binary, source, tmp_path / "ours", *flags(settings))
        assert rejected.returncode != 0 and "down_proj" in rejected.stderr
        return
    if architecture == "plamo" and settings.get("group_size") == 128:
        # The heads of its output projection are reordered, which a group of two heads does not allow.
        rejected = convert(binary, source, tmp_path / "ours", *flags(settings))
        assert rejected.returncode != 0 and "must divide" in rejected.stderr
        return
    assert_same(converted(binary, source, tmp_path / "ours", *flags(settings)), tensors(tmp_path / "theirs"))
    ids, _ = read(source)
    assert np.array_equal(logits(tmp_path / "ours", ids), logits(tmp_path / "theirs", ids))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_casts_before_it_quantizes(binary: Path, tmp_path: Path, dtype: str) -> None:
    source = build(case("llama"))
    settings = {"bits": 4, "group_size": 64}
    mlx_lm_converts(source, tmp_path / "theirs", settings, dtype)
    ours = converted(binary, source, tmp_path / "ours", *flags(settings), "--dtype", dtype)
    assert_same(ours, tensors(tmp_path / "theirs"))
    assert json.loads((tmp_path / "ours/config.json").read_text())["torch_dtype"] == dtype


def test_overrides_reach_single_layers(binary: Path, tmp_path: Path) -> None:
    source = build(case("qwen3"))
    ours = converted(
        binary, source, tmp_path / "out", "--bits", "4", "--override", "*.down_proj=8:32", "--override", "*.0.self_attn.v_proj=dense"
    )
    dense = tensors(source)
    columns = dense["model.layers.1.mlp.down_proj.weight"].shape[1]
    assert ours["model.layers.1.mlp.down_proj.weight"].shape[1] == columns // 4
    assert raw(ours["model.layers.0.self_attn.v_proj.weight"]) == raw(dense["model.layers.0.self_attn.v_proj.weight"])
    ids, _ = read(source)
    assert np.isfinite(logits(tmp_path / "out", ids)).all()


@pytest.mark.parametrize("form", ["4-bit g64", "3-bit g32", "mxfp4", "nvfp4", "mxfp8"])
def test_dequantizes(binary: Path, tmp_path: Path, form: str) -> None:
    import mlx.core as mx
    from mlx_lm.utils import dequantize_model, load_model
    from mlx.utils import tree_flatten

    settings = {"mode": "affine"} | FORMATS[form]
    source = build(case("llama", settings))
    ours = converted(binary, source, tmp_path / "out", "--dequantize", "--dtype", "float32")
    assert "quantization" not in json.loads((tmp_path / "out/config.json").read_text())
    mx.set_default_device(mx.cpu)
    model, _ = load_model(source)
    expected = dict(tree_flatten(dequantize_model(model).parameters()))
    assert sorted(ours) == sorted(expected)
    for name, array in expected.items():
        found, wanted = np.array(ours[name]), np.array(array.astype(mx.float32))
        # mlx rounds the values of small-float formats to bfloat16.
        tolerance = 2**-8 if array.dtype == mx.bfloat16 else 1e-6
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=1e-6, err_msg=name)


def test_copies_quantized_weights(binary: Path, tmp_path: Path) -> None:
    source = build(case("llama", {"bits": 4, "group_size": 64}))
    assert_same(converted(binary, source, tmp_path / "out"), tensors(source))
    ids, _ = read(source)
    assert np.array_equal(logits(tmp_path / "out", ids), logits(source, ids))


def test_shards_and_stale_indices_do_not_matter(binary: Path, tmp_path: Path) -> None:
    sharded = build(case("llama", shards=3))
    whole = build(case("llama"))
    assert_same(converted(binary, sharded, tmp_path / "out", "--bits", "4"), converted(binary, whole, tmp_path / "other", "--bits", "4"))
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {"model.safetensors"}


@pytest.mark.parametrize("variant", gguf_files.CASES)
def test_gguf_gives_the_checkpoint_it_was_made_from(binary: Path, tmp_path: Path, variant: str) -> None:
    architecture, changes, form = gguf_files.CASES[variant]
    model_type = gguf_files.MODEL_TYPES.get(architecture, architecture)
    source = build(case(model_type, settings=gguf_files.settings(architecture, config(model_type)) | changes))
    gguf_files.write(source, tmp_path / "model.gguf", architecture, form)
    ours = converted(binary, tmp_path / "model.gguf", tmp_path / "out")
    expected = tensors(source)
    assert sorted(ours) == sorted(expected)
    for name, array in expected.items():
        found, wanted = np.array(ours[name]), np.array(array)
        if name.endswith("norm.weight") and architecture in NORM_PLUS_ONE:
            # One was added and taken away again.
            np.testing.assert_allclose(found, wanted, atol=2e-7, err_msg=name)
        else:
            assert np.array_equal(found, wanted), name
    ids, expected_logits = read(source)
    found = logits(tmp_path / "out", ids)
    spread = expected_logits.max() - expected_logits.min()
    assert np.abs(found - expected_logits).max() <= 2e-6 * spread


@pytest.mark.parametrize("kind", gguf_files.ROUND_TRIPS)
def test_gguf_blocks_have_the_values_gguf_says(binary: Path, tmp_path: Path, kind: str) -> None:
    import mlx.core as mx

    path = tmp_path / "model.gguf"
    expected = gguf_files.write_one_matrix(path, kind)
    ours = converted(binary, path, tmp_path / "out", "--dequantize", "--dtype", "float32")
    np.testing.assert_array_equal(np.array(ours["model.embed_tokens.weight"].astype(mx.float32)), expected)


def test_sentencepiece_tokenizes_as_before(binary: Path, tmp_path: Path) -> None:
    import sentencepiece
    from tokenizers import Tokenizer

    text = (Path(__file__).parent / "oracle.py").read_text() + "\nNaïve café — 日本語 ünïcödé, déjà vu; 3.14159\t\t  two  spaces\n"
    (tmp_path / "text").write_text(text)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"),
        model_prefix=str(tmp_path / "sp"),
        model_type="bpe",
        vocab_size=600,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        minloglevel=2,
    )
    reference = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "sp.model"))
    gguf_files.write_sentencepiece(tmp_path / "model.gguf", reference)
    converted(binary, tmp_path / "model.gguf", tmp_path / "out")
    tokenizer = Tokenizer.from_file(str(tmp_path / "out/tokenizer.json"))
    lines = [line for line in text.splitlines() if line.strip()] + ["🎉 party 🎉", "  leading", "trailing  ", "aaaaaaaa", "x" * 50]
    for line in lines:
        ids = tokenizer.encode(line).ids
        assert ids[0] == reference.bos_id()
        assert ids[1:] == reference.encode(line), line
        assert tokenizer.decode(ids) == line


def test_bad_sources_are_named(binary: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF\x03\0\0\0\xff")
    bad = convert(binary, tmp_path / "bad.gguf", tmp_path / "out")
    assert bad.returncode != 0 and "truncated" in bad.stderr
    (tmp_path / "empty").mkdir()
    empty = convert(binary, tmp_path / "empty", tmp_path / "out")
    assert empty.returncode != 0 and "config.json" in empty.stderr
    assert not (tmp_path / "out").exists()
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]
