"""LoRA against peft, its count, what it costs, and that merging is exact; bottlenecks and soft prompts beside it."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.op_checks import assert_close
from tinyllm import GPT, GPTConfig, nn
from tinyllm.finetune.adapter_file import CONFIG, WEIGHTS, load_adapters, save_adapters
from tinyllm.finetune.bottleneck import add_bottlenecks
from tinyllm.finetune.classifier import Classifier
from tinyllm.finetune.freeze import count, freeze
from tinyllm.finetune.lora import LoRA, adapters, add_lora, merge, merged, unmerge
from tinyllm.finetune.soft_prompt import SoftPrompt
from tinyllm.generation import NoCache
from tinyllm.models.tensor_file import read_tensors
from tinyllm.observe import Observer, observe, plain_ops
from tinyllm.training.build import build_optimizer  # loads the kernels, too
from tinyllm.training.config import TrainConfig

SIZES = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8)
IDS = np.random.default_rng(0).integers(11, size=(3, 6))
TARGETS = np.random.default_rng(1).integers(11, size=(3, 6))


def gpt(dtype="float64", seed=3):
    model = GPT(SIZES, dtype=dtype)
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.data = (0.4 * rng.standard_normal(p.shape)).astype(dtype)
    return model


def adapted(model=None, **options):
    """A model with adapters that are no longer 0."""
    model = model or gpt()
    add_lora(model, **{"rank": 2, "alpha": 6.0, **options})
    rng = np.random.default_rng(4)
    for _, adapter in adapters(model):
        for p in (adapter.lora_A.weight, adapter.lora_B.weight):
            p.data = (0.3 * rng.standard_normal(p.shape)).astype(p.dtype)
    return model


def test_it_begins_as_the_model_it_adapts():
    before = gpt()(IDS).data
    model = gpt()
    add_lora(model, rank=2)
    assert np.array_equal(model(IDS).data, before)


@pytest.mark.filterwarnings("ignore")  # of peft and transformers
def test_peft_reads_the_file_and_has_the_same_logits_and_gradients(tmp_path):
    from peft import PeftModel
    from transformers import GPT2LMHeadModel

    gpt().save_pretrained(tmp_path / "base")
    model = adapted()
    save_adapters(model, tmp_path / "adapter")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "base", dtype=torch.float64)
    theirs = PeftModel.from_pretrained(theirs, tmp_path / "adapter", is_trainable=True)
    assert_close("logits", model(IDS).data, theirs(torch.tensor(IDS)).logits.detach().numpy(), 1e-12)
    model.loss(IDS, TARGETS).backward()
    logits = theirs(torch.tensor(IDS)).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(TARGETS).flatten()).backward()
    grads = {name.replace(".default", ""): p.grad for name, p in theirs.named_parameters() if p.requires_grad}
    ours = {f"base_model.model.transformer.{name}": p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert set(ours) == set(grads) and len(ours) == 16
    for name in ours:
        assert_close(name, ours[name], grads[name].numpy(), 1e-10)


@pytest.mark.filterwarnings("ignore")
def test_what_peft_writes_is_read(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2LMHeadModel

    gpt().save_pretrained(tmp_path / "base")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "base", dtype=torch.float64)
    config = LoraConfig(r=3, lora_alpha=5, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True,
                        init_lora_weights=False)  # fmt: skip
    theirs = get_peft_model(theirs, config)
    theirs.save_pretrained(tmp_path / "adapter")
    model = gpt()
    assert load_adapters(model, tmp_path / "adapter") is model
    expected = [f"h.{i}.{name}" for i in range(2) for name in ("attn.c_attn", "mlp.c_fc")]
    assert [path for path, _ in adapters(model)] == expected
    assert_close("logits", model(IDS).data, theirs(torch.tensor(IDS)).logits.detach().numpy(), 1e-6)


@settings(max_examples=20)
@given(st.integers(1, 8), st.floats(0.1, 50), st.booleans(), st.sampled_from(["*", "c_attn", "h.0.*", "c_proj,c_fc"]))
def test_merged_weights_give_the_same_logits_and_unmerging_restores_the_bits(rank, alpha, apart, targets):
    model = adapted(rank=rank, alpha=alpha, qkv_apart=apart, targets=targets)
    weights = {name: p.data.copy() for name, p in model.named_parameters()}
    logits = model(IDS).data
    merge(model)
    merge(model)
    assert_close("merged", model(IDS).data, logits, 1e-11)
    unmerge(model)
    assert all(np.array_equal(p.data, weights[name]) for name, p in model.named_parameters())
    assert np.array_equal(model(IDS).data, logits)
    plain = merged(model)
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in gpt().named_parameters()]
    assert_close("merged", plain(IDS).data, logits, 1e-11)


@pytest.mark.parametrize("layer", [nn.Linear(4, 7), nn.Conv1D(4, 7)], ids=["Linear", "Conv1D"])
def test_both_layouts_are_merged(layer):
    adapter, rng = LoRA(layer, 2, 3.0), np.random.default_rng(0)
    adapter.lora_B.weight.data = rng.standard_normal((7, 2)).astype("float32")
    x = rng.standard_normal((3, 4)).astype("float32")
    y = adapter(x).data
    adapter.merge()
    np.testing.assert_allclose(layer(x).data, y, atol=1e-5)


def test_q_k_and_v_apart_are_three_adapters():
    """As one adapter whose B is 0 but for three blocks."""
    model, together = adapted(qkv_apart=True, targets="c_attn"), adapted(rank=6, alpha=18.0, targets="c_attn")
    for (_, apart), (_, one) in zip(adapters(model), adapters(together)):
        one.lora_A.weight.data = apart.lora_A.weight.data
        one.lora_B.weight.data = np.zeros((24, 6))
        for i in range(3):
            one.lora_B.weight.data[8 * i : 8 * i + 8, 2 * i : 2 * i + 2] = apart.lora_B.weight.data[8 * i : 8 * i + 8]
    assert_close("logits", model(IDS).data, together(IDS).data, 1e-12)


@pytest.mark.parametrize("apart, expected", [(False, 2_371_616), (True, 2_666_528)])
def test_the_124_million_model_at_rank_16(apart, expected):
    with nn.init.skipped():  # zeros, which take no memory
        model = Classifier(GPT(GPTConfig(vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768)), 2)
        add_lora(model, "*", rank=16, qkv_apart=apart)
    assert count(model)[1] == expected


class Products(Observer):
    def __init__(self):
        self.weights, self.gradients = 0, set()

    def backward_ran(self, node, dy, grads):
        if node.op.__name__ == "linear":
            self.weights += grads[1] is not None

    def gradient_added(self, target, before, share, after):
        if isinstance(target, nn.Parameter):
            self.gradients.add(target.name)


def test_frozen_weights_cost_no_gradient_and_stay(tmp_path):
    model, seen = adapted(targets="c_attn,c_fc"), Products()
    frozen = {name: p.data.copy() for name, p in model.named_parameters() if not p.requires_grad}
    with observe(seen):
        model.loss(IDS, TARGETS).backward()
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert seen.gradients == names and len(names) == 8
    assert seen.weights == 8, "two of each adapter, and none of the 9 large matrices"
    optimizer = build_optimizer(TrainConfig(), model)
    optimizer.step()
    assert sum(p.data.size for p in optimizer.state) == count(model)[1]
    for name, p in model.named_parameters():
        assert name not in frozen or np.array_equal(p.data, frozen[name])
    save_adapters(model, tmp_path)
    arrays = read_tensors(tmp_path / WEIGHTS)
    assert sum(array.size for array in arrays.values()) == count(model)[1], "only adapters are saved"


@pytest.mark.parametrize("apart", [False, True])
def test_what_is_saved_is_loaded(tmp_path, apart):
    model = adapted(qkv_apart=apart)
    save_adapters(model, tmp_path)
    again = gpt()
    load_adapters(again, tmp_path)
    assert np.array_equal(again(IDS).data, model(IDS).data)
    assert count(again) == count(model)


def test_generation_with_a_cache_runs_through_adapters():
    plain = merged(adapted()).generate([1, 2], 4, temperature=0.0)
    assert np.array_equal(adapted().generate([1, 2], 4, temperature=0.0), plain)


def test_dropout_drops_inputs_of_the_adapter_alone():
    model = adapted(dropout=0.5)
    first, second = model(IDS).data, model(IDS).data
    assert not np.array_equal(first, second)
    model.eval()
    assert np.array_equal(model(IDS).data, adapted()(IDS).data)


def test_mistakes_name_the_layer(tmp_path):
    with pytest.raises(ValueError, match=r"h.0.attn.c_proj: rank 9 is above the size of the matrix, \(8, 8\)"):
        add_lora(gpt(), "c_proj", rank=9)
    with pytest.raises(ValueError, match="no linear layer is called 'q_proj'; there are c_attn, c_fc, c_proj, lm_head"):
        add_lora(gpt(), "c_attn,q_proj")
    with pytest.raises(ValueError, match="the model has no adapters"):
        save_adapters(gpt(), tmp_path)
    save_adapters(adapted(), tmp_path)
    wide = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=12))
    with pytest.raises(ValueError, match=r"another model: h.0.attn.c_attn is \(8, 24\) there, and \(12, 36\) here"):
        load_adapters(wide, tmp_path)
    shallow = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8))
    with pytest.raises(ValueError, match="adapters for another model: h.1.attn.c_attn is no linear layer of this one"):
        load_adapters(shallow, tmp_path)
    with pytest.raises(ValueError, match="adapters for another model: base_model.model.transformer.h.0"):
        load_adapters(gpt(), _renamed(tmp_path))
    (tmp_path / CONFIG).write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(ValueError, match="its peft_type is none of LORA, BOTTLENECK, PROMPT_TUNING"):
        load_adapters(gpt(), tmp_path)


def _renamed(folder):
    from safetensors.numpy import save_file

    arrays = {name + ".odd": array.copy() for name, array in read_tensors(folder / WEIGHTS).items()}
    save_file(arrays, folder / WEIGHTS)
    return folder


# bottlenecks and soft prompts


@pytest.mark.filterwarnings("ignore")
def test_peft_reads_a_soft_prompt_and_has_the_same_logits(tmp_path):
    from peft import PeftModel
    from transformers import GPT2LMHeadModel

    gpt().save_pretrained(tmp_path / "base")
    model = SoftPrompt(gpt(), 2)
    save_adapters(model, tmp_path / "prompt")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "base", dtype=torch.float64)
    theirs = PeftModel.from_pretrained(theirs, tmp_path / "prompt")
    logits = theirs(torch.tensor(IDS)).logits[:, 2:].detach().numpy()
    assert_close("logits", model(IDS).data, logits, 1e-6)  # peft keeps the vectors in float32


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 99))
def test_the_cache_of_a_soft_prompt_gives_its_scores(n, T, seed):
    model = SoftPrompt(gpt(), n).eval()
    cache, plain = model.new_cache(2, 20), NoCache(model)
    ids = np.random.default_rng(seed).integers(11, size=(2, T))
    for _ in range(10):  # past the window, which is 8 − n
        scores = cache(ids)
        assert_close("scores", scores, plain(ids), 1e-11)
        ids = np.append(ids, scores.argmax(axis=1)[:, None], axis=1)


@pytest.mark.parametrize("change, message", [
    (lambda: SoftPrompt(gpt(), 2), r"prompt_embeddings is \(2, 8\) there, and \(2, 12\) here"),
    (lambda: add_bottlenecks(gpt(), 3), r"h.0.attn.c_proj.down.weight is \(8, 3\) there, and \(12, 3\) here"),
], ids=["soft prompt", "bottlenecks"])  # fmt: skip
def test_other_adapters_are_saved_alone_too(change, message, tmp_path):
    model = change()
    for p in model.parameters():
        p.data = p.data + 0.1 * p.requires_grad
    save_adapters(model, tmp_path)
    assert sum(array.size for array in read_tensors(tmp_path / WEIGHTS).values()) == count(model)[1]
    again = load_adapters(gpt(), tmp_path)
    assert np.array_equal(again(IDS).data, model(IDS).data) and count(again) == count(model)
    with pytest.raises(ValueError, match=f"holds adapters for another model: .*{message}"):
        load_adapters(GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=12)), tmp_path)


def test_bottlenecks_begin_as_nothing_and_learn_alone():
    model = add_bottlenecks(gpt(), 3)
    assert np.array_equal(model(IDS).data, gpt()(IDS).data)
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(learned) == 16 and all(".down." in name or ".up." in name for name in learned)
    assert count(model)[1] == 4 * (2 * 3 * 8 + 3 + 8)
    seen = Products()
    with observe(seen):
        model.loss(IDS, TARGETS).backward()
    assert seen.weights == 8


def test_a_bottleneck_is_its_formula():
    from tinyllm.finetune.bottleneck import Bottleneck

    layer = Bottleneck(nn.Conv1D(4, 5), 2)
    rng = np.random.default_rng(0)
    for p in layer.parameters():
        p.data = rng.standard_normal(p.shape).astype("float32")
    x = rng.standard_normal((3, 4)).astype("float32")
    (W, b), (D, d), (U, u) = ([p.data for p in part.parameters()] for part in (layer.base_layer, layer.down, layer.up))
    h = x @ W + b
    gelu = torch.nn.functional.gelu(torch.tensor(h @ D + d), approximate="tanh").numpy()
    np.testing.assert_allclose(layer(x).data, h + gelu @ U + u, atol=1e-5)


def test_a_soft_prompt_of_tokens_is_those_tokens():
    whole, n = gpt(), 2
    model = SoftPrompt(gpt(), n)
    tokens = [4, 7]
    model.prompt.data = whole.wte.weight.data[tokens].copy()
    expected = whole(np.concatenate([np.tile(tokens, (3, 1)), IDS], axis=1)).data[:, n:]
    assert_close("logits", model(IDS).data, expected, 1e-12)
    assert model.block_size == 6 and count(model)[1] == n * 8
    model.loss(IDS, TARGETS).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"prompt"}
    with pytest.raises(ValueError, match="a soft prompt of 8 vectors leaves no room"):
        SoftPrompt(gpt(), 8)


@pytest.mark.parametrize("adapt", [lambda m: add_lora(m, rank=4, alpha=16.0) and m, lambda m: add_bottlenecks(m, 4),
                                   lambda m: SoftPrompt(m, 2)], ids=["LoRA", "bottlenecks", "soft prompt"])  # fmt: skip
def test_they_learn(adapt):
    model = adapt(gpt("float32"))
    optimizer = build_optimizer(TrainConfig(learning_rate=2e-2, weight_decay=0.0), model)
    losses = []
    for _ in range(60):
        loss = model.loss(IDS, TARGETS)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.005


class Wasted(Observer):
    """Gradients that were worked out and that nobody asked for, by the op."""

    def __init__(self):
        self.ops = set()

    def backward_ran(self, node, dy, grads):
        wasted = any(source is None and grad is not None for source, grad in zip(node.inputs, grads))
        self.ops |= {node.op.__name__} if wasted else set()


FROZEN = {"all": lambda m: freeze(m, "all"), "but-last-block": lambda m: freeze(m, "but-last-block"),
          "lora": lambda m: add_lora(m) and m, "bottleneck": lambda m: add_bottlenecks(m, 2),
          "soft-prompt": lambda m: SoftPrompt(m, 2)}  # fmt: skip


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("way", FROZEN)
def test_no_way_to_tune_works_out_the_gradient_of_a_frozen_weight(way, kernels):
    model, seen = Classifier(FROZEN[way](gpt("float32")), 2), Wasted()
    last, targets, weights = np.array([5, 3, 4]), np.array([0, 1, 0]), np.ones(3, "float32")
    with nullcontext() if kernels else plain_ops(), observe(seen):
        model.loss(IDS, last, targets, weights).backward()
        if way != "all":
            model.transformer.loss(IDS, TARGETS).backward()
    assert seen.ops <= {"add", "multiply", "cat"}, "these hand on what they got, or multiply by a number"


def test_a_lora_layer_shows_itself():
    assert "rank=2, scale=3" in repr(LoRA(nn.Linear(4, 3), 2, 6.0))
