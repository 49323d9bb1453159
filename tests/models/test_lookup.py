"""Model names: known ones are fetched and converted once, whole or not at all."""

import hashlib
import os
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest

from o1coder_gym.errors import MissingExtraError, UnknownNameError, WeightsError
from o1coder_gym.models import lookup
from o1coder_gym.models.lookup import KNOWN_MODELS, find_model, model_path
from o1coder_gym.models.sources import weights
from o1coder_gym.models.sources.weights import HubFile, WeightFile, Wheel
from tests.command_line import call

WIDTH, VOCABULARY = 32, 261
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"


def byte_letters():
    """The printable letters that stand for the 256 bytes in GPT-2's vocabulary, in order of the bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) if byte in plain else chr(256 + others.index(byte)) for byte in range(256)]


def write_tiny_gguf(path):
    """Writes a llama with one layer, whose output head repeats the embeddings less precisely."""
    gguf = pytest.importorskip("gguf")
    np = pytest.importorskip("numpy")
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // 2)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_letters(), "hi", "ho"])
    writer.add_token_types([3, 3, 3, *[1] * 258])
    writer.add_token_merges(["h i", "h o"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    shapes = {f"attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
    shapes |= {"ffn_gate": (2 * WIDTH, WIDTH), "ffn_up": (2 * WIDTH, WIDTH), "ffn_down": (WIDTH, 2 * WIDTH)}
    shapes |= {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}
    tensors = {f"blk.0.{name}.weight": random.normal(size=shape) for name, shape in shapes.items()}
    tensors["output_norm.weight"] = np.ones(WIDTH)
    tensors["output.weight"] = random.normal(size=(VOCABULARY, WIDTH))
    tensors["token_embd.weight"] = tensors["output.weight"].round(1)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("O1CODER_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture
def tiny(tmp_path, cache, monkeypatch):
    """Makes a small model known whose one wheel lies in a local index; returns its tensors."""
    pytest.importorskip("transformers")
    tensors = write_tiny_gguf(tmp_path / "tiny.gguf")
    content = (tmp_path / "tiny.gguf").read_bytes()
    name, info = "o1coder_tiny", "o1coder_tiny-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/tiny.gguf", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    source = WeightFile(
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        hub=HubFile("o1coder/tiny", "0" * 40, "tiny.gguf"),
        wheels=(Wheel("o1coder-tiny", "1.0", f"{name}/tiny.gguf", len(content)),),
    )
    known = lookup.KnownModel("tiny", "Tiny", "MIT", 40_000, tied=True, weights=source)
    monkeypatch.setitem(KNOWN_MODELS, "tiny", known)
    return tensors


@pytest.fixture
def fetched(tiny, cache, tmp_path):
    """Has the weight file of the small model lie where a download puts it; returns the folder."""
    downloads = cache / "downloads" / "tiny"
    downloads.mkdir(parents=True)
    shutil.copy(tmp_path / "tiny.gguf", downloads / "weights.gguf")
    return downloads


@pytest.mark.model
def test_a_known_model_is_fetched_converted_and_kept(tiny, cache):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    stages = []
    folder = model_path("tiny", on_progress=lambda stage, done, total: stages.append(stage))
    assert folder == cache / "models" / "tiny"
    assert stages[0] == "Hugging Face Hub not reachable; using the package index"
    assert stages[-1] == "converting to safetensors"
    assert not (cache / "downloads" / "tiny").exists()
    assert {path.name for path in (cache / "models").iterdir()} == {"tiny", "tiny.lock"}

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    state = model.state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    output = torch.tensor(tiny["output.weight"]).to(torch.bfloat16)
    down = torch.tensor(tiny["blk.0.ffn_down.weight"]).to(torch.bfloat16)
    assert torch.equal(state["lm_head.weight"], output)
    assert torch.equal(state["model.embed_tokens.weight"], output)
    assert torch.equal(state["model.layers.0.mlp.down_proj.weight"], down)
    assert model.config.tie_word_embeddings
    assert not hasattr(model.config, "quantization_config")
    assert model.generation_config.eos_token_id == [2, 0]
    assert model.generation_config.pad_token_id == 2

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    turns = [{"role": "user", "content": "hi é\n"}]
    ids = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    assert (ids[0], ids[1], ids[-1]) == (1, 259, 2)
    assert tokenizer.decode(ids) == "<|im_start|>hi é\n<|im_end|>"

    shutil.rmtree(cache / "downloads")
    assert model_path("tiny") == find_model("tiny") == folder


@pytest.mark.usefixtures("fetched")
def test_two_askers_convert_a_model_once(cache, monkeypatch):
    converted = []

    def convert(model, gguf, target, on_progress):
        converted.append(gguf.read_bytes())
        shutil.copytree(gguf.parent, target)

    monkeypatch.setattr(lookup, "_convert", convert)
    found = []
    threads = [threading.Thread(target=lambda: found.append(model_path("tiny"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cache / "models" / "tiny"] * 2
    assert len(converted) == 1


def test_a_failed_conversion_leaves_the_verified_file_and_no_model(fetched, cache, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\necho 'ValueError: no such architecture' >&2\necho 'in a note' >&2\nexit 1\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(lookup.sys, "executable", str(python))
    with pytest.raises(WeightsError, match=r"^cannot convert tiny: ValueError: no such architecture$"):
        model_path("tiny")
    assert {path.name for path in (cache / "models").iterdir()} == {"tiny.lock"}
    assert [path.name for path in fetched.iterdir()] == ["weights.gguf"]
    assert find_model("tiny") is None


def test_leftovers_of_a_killed_process_are_swept_away(fetched, cache, monkeypatch):
    leftovers = [cache / "models" / ".tiny-dead", fetched / "partial-dead"]
    for leftover in leftovers:
        leftover.mkdir(parents=True)
    monkeypatch.setattr(lookup, "_convert", lambda model, gguf, target, on_progress: target.mkdir())
    model_path("tiny")
    assert not any(leftover.exists() for leftover in leftovers)


def test_a_cache_that_cannot_be_written_is_one_line(tiny, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("O1CODER_CACHE", str(file))
    with pytest.raises(WeightsError, match=f"^cannot keep models under {file}: Not a directory$"):
        model_path("tiny")


def test_a_disk_too_small_is_told_before_anything_is_fetched(tiny, cache, monkeypatch):
    usage = shutil.disk_usage(cache.parent)._replace(free=1_000_000)
    monkeypatch.setattr(lookup.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match=r"tiny needs 0\.1 GB under .*cache, 0\.0 GB are free"):
        model_path("tiny")
    assert not (cache / "downloads").exists()


def test_a_missing_extra_is_told_before_anything_is_fetched(cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"torch is not installed; run: pip install 'o1coder-gym\[hf\]'"
    ):
        model_path("smollm2-135m")
    assert not cache.exists()


def test_a_local_folder_is_a_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert model_path(str(tmp_path)) == find_model(str(tmp_path)) == tmp_path


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"without config.json"):
        model_path(str(tmp_path))


@pytest.mark.parametrize("name", ["gpt-17", "a/b/c", "", "no such model"])
def test_an_unknown_name_is_one_line_with_the_known_ones(name, cache):
    told = r"unknown model .*nown: qwen2\.5-coder-0\.5b, smollm2-135m, .*; or give a folder or owner/model$"
    with pytest.raises(UnknownNameError, match=told) as error:
        model_path(name)
    assert "\n" not in str(error.value)


def test_a_misspelt_model_is_answered_with_the_nearest(cache):
    for command in ("path", "fetch"):
        done = call("models", command, "tniy")
        assert done.exit_code == 2
        assert done.stderr.startswith("usage: unknown model 'tniy'; did you mean 'tiny'? Known: ")


def test_a_hub_id_without_internet_is_one_line(cache):
    pytest.importorskip("huggingface_hub")
    with pytest.raises(
        WeightsError, match=r"'o1coder/absent' is not on this machine and .* cannot be reached"
    ):
        model_path("o1coder/absent")


def test_the_known_models_are_pinned():
    for name, model in KNOWN_MODELS.items():
        assert model.name == name
        assert len(model.weights.sha256) == 64
        assert len(model.weights.hub.revision) == 40
        assert model.weights.wheels
    assert lookup.DEFAULT_MODEL in KNOWN_MODELS


def test_the_cache_is_the_users_unless_chosen(monkeypatch):
    monkeypatch.setattr(lookup.sys, "platform", "linux")
    monkeypatch.delenv("O1CODER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert lookup.cache_folder() == Path("/somewhere/o1coder-gym")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert lookup.cache_folder() == Path.home() / ".cache" / "o1coder-gym"


def test_a_user_without_a_home_has_a_cache(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("O1CODER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(lookup.Path, "home", homeless)
    assert lookup.cache_folder() == Path(tempfile.gettempdir(), f"o1coder-gym-{os.getuid()}")


def test_progress_may_be_ignored():
    assert weights.ignore_progress("stage", 1, 2) is None
