"""`tinyllm finetune classify` as a task and as it is typed: it learns, goes on to the bit, and says what is wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tinyllm import GPT, GPTConfig
from tinyllm.backend import to_numpy
from tinyllm.cli.app import main
from tinyllm.finetune.base import END
from tinyllm.finetune.classify import Classification
from tinyllm.finetune.classify_config import ClassifyConfig
from tinyllm.finetune.freeze import freeze
from tinyllm.finetune.labelled import Example, Split
from tinyllm.finetune.predict import load_classifier, predict
from tinyllm.models.tensor_file import read_tensors
from tinyllm.observe import Observer, observe
from tinyllm.tokenizers import BPETokenizer
from tinyllm.training.loop import run_task

TINY = {"batch_size": 8, "max_iters": 30, "eval_interval": 10, "learning_rate": 1e-2, "workers": 1}
ANIMALS, PLACES = "cow goat hare mole".split(), "peru chad iran cuba".split()


def sentence(rng, words):
    return f"the {rng.choice(words)} is {rng.choice(['big', 'far', 'old'])} {'and calm ' * rng.integers(3)}today"


def rows(n=60):
    rng = np.random.default_rng(0)
    labels = {"animal": ANIMALS, "place": PLACES}
    return [Example(sentence(rng, words), label, i) for i in range(1, n) for label, words in labels.items()]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder of a small model, with a tokenizer that knows the end of a text."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = BPETokenizer.train([e.text for e in rows()], 300, "gpt4", [END])
    tokenizer.save(folder)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, block_size=16, n_layer=2, n_head=2, n_embd=16)
    GPT(config, seed=0).save_pretrained(folder)
    return folder


def task(base, examples=None, **options):
    config = ClassifyConfig(**{**TINY, **options})
    return Classification(config, Split.of(examples or rows(), config.problem, config.balance, 0), base)


@pytest.mark.parametrize("options", [{}, {"lm_weight": 0.0, "balance": "weights"}, {"freeze": "but-last-block"}])
def test_it_learns_to_tell_animals_from_places(base, tmp_path, options):
    options = {"max_iters": 150, "eval_interval": 50, "token_dropout": 0.0, **options}
    state = run_task(task(base, **options), tmp_path)
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["test_accuracy"] > 0.9 and last["test_f1"] > 0.9 and last["val_accuracy"] > 0.9
    model, tokenizer = load_classifier(tmp_path)
    ids = [np.append(tokenizer.encode("the mole is far today"), tokenizer.special_tokens[END])]
    assert predict(model, ids).argmax() == 0
    assert all(np.array_equal(p.data, dict(model.named_parameters())[name].data)
               for name, p in state.model.named_parameters())  # fmt: skip
    load_classifier(tmp_path, best=True)


def test_several_classes_at_once_and_numbers(base, tmp_path):
    options = {"max_iters": 250, "eval_interval": 250, "lm_weight": 0.0, "token_dropout": 0.0}
    both = [replace(e, label=frozenset({e.label} | ({"old"} if "old" in e.text else set()))) for e in rows()]
    run_task(task(base, both, problem="multi-label", **options), tmp_path / "multi")
    last = json.loads((tmp_path / "multi/metrics.jsonl").read_text().splitlines()[-1])
    assert last["test_accuracy"] > 0.9
    lengths = [replace(e, label=1000.0 * len(e.text.split())) for e in rows()]
    run_task(task(base, lengths, problem="regression", **options), tmp_path / "number")
    last = json.loads((tmp_path / "number/metrics.jsonl").read_text().splitlines()[-1])
    assert last["test_r2"] > 0.9 and last["test_mae"] < 500


def test_a_run_that_goes_on_ends_with_the_same_files(base, tmp_path):
    options = {"dropout": 0.2, "token_dropout": 0.2, "gradient_accumulation": 2}
    run_task(task(base, **options), tmp_path / "whole")
    steps = count(1)
    run_task(task(base, **options), tmp_path / "pieces", should_stop=lambda: next(steps) in (4, 17))
    run_task(task(base, **options), tmp_path / "pieces", should_stop=lambda: next(steps) in (4, 17), resume=True)
    run_task(task(base, **options), tmp_path / "pieces", resume=True)
    for name in ("model.safetensors", "best.safetensors", "training_state.safetensors", "config.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "pieces" / name).read_bytes(), name


def test_a_run_goes_on_with_its_own_data_and_its_own_model(base, tmp_path):
    run_task(task(base), tmp_path / "run", should_stop=lambda: True)
    with pytest.raises(ValueError, match="belongs to another text"):
        run_task(task(base, rows(50)), tmp_path / "run", resume=True)
    model = GPT.from_pretrained(base)
    model.wpe.weight.data = model.wpe.weight.data + 1
    (tmp_path / "other").mkdir()
    model.save_pretrained(tmp_path / "other")
    (tmp_path / "other/tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    with pytest.raises(ValueError, match="was tuned from other weights than these"):
        run_task(task(tmp_path / "other"), tmp_path / "run", resume=True)


class Counter(Observer):
    def __init__(self):
        self.products, self.leaves = 0, set()

    def backward_ran(self, node, dy, grads):
        self.products += node.op.__name__ == "linear" and sum(grad is not None for grad in grads[:2])

    def gradient_added(self, target, before, share, after):
        if hasattr(target, "name"):
            self.leaves.add(target.name)


@pytest.mark.parametrize("what, products", [("none", 2 * (2 * 4 + 1)), ("but-last-block", 2 * (4 + 1)), ("all", 1)])
def test_what_is_frozen_costs_no_gradient_and_does_not_move(base, what, products):
    """Of each matrix product that learns two gradients, that of x and that of the weight; before the first, none."""
    whole = task(base, freeze=what, lm_weight=0.0)
    state = whole.initial_state()
    frozen = {name: p.data.copy() for name, p in state.model.named_parameters() if not p.requires_grad}
    batch = next(whole.batches(state))
    counter = Counter()
    with observe(counter):
        whole.loss(state.model, *(tensor.data for tensor in batch))[0].backward()
    learns = {p.name for p in state.model.parameters() if p.requires_grad}
    assert counter.leaves == learns and counter.products == products
    for _ in range(3):
        whole.step(state, batch)
    for name, p in state.model.named_parameters():
        if name in frozen:
            assert np.array_equal(to_numpy(p.data), frozen[name])
    assert len(state.arrays()) == 3 * len(learns), "a checkpoint keeps what learns, and nothing twice"


def test_freezing_names_the_blocks():
    gpt = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=3, n_head=1, n_embd=4))
    learned = {p.name for p in freeze(gpt, "but-last-block").parameters() if p.requires_grad}
    assert {name.split(".")[0] + name.split(".")[1] for name in learned} == {"h2", "ln_fweight", "ln_fbias"}


# as it is typed


def tinyllm(*arguments, cwd):
    command = [sys.executable, "-W", "error", "-m", "tinyllm", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, encoding="utf-8")


SMALL = ["--max-iters=20", "--eval-interval=10", "--pretrain-iters=5", "--n-layer=1", "--n-head=1", "--n-embd=8",
         "--block-size=16", "--vocab-size=300", "--workers=1", "--learning-rate=0.02"]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "words.tsv").write_text("".join(f"{e.label}\t{e.text}\n" for e in rows()))
    return home


def test_the_command_pre_trains_tunes_and_shows_a_table(home):
    result = tinyllm("finetune", "classify", "--data=words.tsv", "--splits=2", "--seed=4", *SMALL, cwd=home)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    assert "split   tinyllm   naive Bayes" in result.stdout
    table = result.stdout.split("accuracy on the test part")[1].split("class")[0].split()
    assert [table[i] for i in (4, 7, 10)] == ["4", "5", "mean"]
    for seed in (4, 5):
        folder = home / f"runs/words-classify/split-{seed}"
        last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
        assert f"{last['test_accuracy']:.4f}" == table[5 + 3 * (seed - 4)]
    said = tinyllm("classify", "runs/words-classify/split-4", "the goat is old today", "--json", cwd=home)
    found = json.loads(said.stdout)
    assert set(found["classes"]) == {"animal", "place"} and found["label"] in found["classes"]
    assert sum(found["classes"].values()) == pytest.approx(1)


def test_the_data_of_python_itself_and_a_dry_run(home):
    result = tinyllm("finetune", "classify", "--dry-run", *SMALL, cwd=home)
    assert result.returncode == 0, result.stderr
    assert "# classes      code, prose" in result.stdout and "# parameters" in result.stdout
    assert "of them learn" in result.stdout and "# memory" in result.stdout


def test_with_lora_only_adapters_and_the_head_are_kept(home):
    arguments = ["--data=words.tsv", "--out-dir=lora", "--tune=lora", "--lora-rank=2", *SMALL]
    dry = tinyllm("finetune", "classify", "--dry-run", *arguments, cwd=home)
    learned = 2 * (8 + 24) + 2 * (8 + 8) + 2 * (8 + 32) + 2 * (32 + 8) + 2 * 8
    assert f"{learned:,} of them learn" in dry.stdout, dry.stderr
    result = tinyllm("finetune", "classify", *arguments, cwd=home)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    kept = {path.name for path in (home / "lora").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= kept and "model.safetensors" not in kept
    arrays = read_tensors(home / "lora/adapter_model.safetensors")
    assert sum(array.size for array in arrays.values()) == learned
    for best in ([], ["--best"]):
        said = tinyllm("classify", "lora", "the goat is old today", *best, cwd=home)
        assert said.returncode == 0 and "animal" in said.stdout, said.stderr
    arguments[1:4] = "--out-dir=wide", "--tune=lora", "--lora-rank=90"
    wide = tinyllm("finetune", "classify", *arguments, cwd=home)
    assert wide.returncode == 2 and "rank 90 is above the size of the matrix, (8, 24)" in wide.stderr


@pytest.mark.parametrize("when", [3, 8], ids=["while it pre-trains", "while it tunes"])
def test_a_run_that_was_stopped_goes_on_as_it_says(home, when, monkeypatch, capsys):
    monkeypatch.chdir(home)
    arguments = ["finetune", "classify", "--data=words.tsv", "--quiet", *SMALL]
    whole, pieces = Path(f"whole-{when}"), Path(f"pieces-{when}")
    command(*arguments, f"--out-dir={whole}")
    calls = count(1)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("tinyllm.cli.stop.Stop.asked", lambda self: self._heard_at(next(calls) == when), raising=False)
        patch.setattr("tinyllm.cli.stop.Stop._heard_at", _hear, raising=False)
        main([*arguments, f"--out-dir={pieces}"])
    said = capsys.readouterr().err
    assert f"Go on with: tinyllm finetune classify --resume {pieces}" in said
    command("finetune", "classify", "--resume", str(pieces), "--quiet")
    for name in ("model.safetensors", "training_state.safetensors"):
        assert (whole / name).read_bytes() == (pieces / name).read_bytes()


def command(*arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0


def _hear(stop, now):
    stop.reason = stop.reason or ("Ctrl-C" if now else None)
    return stop.reason is not None


MISTAKES = {
    "one class": ("ham\tok\n" * 20, [], "there is nothing to tell apart: all 20 rows are 'ham'"),
    "no label": ("ham\tok\nhello\n", [], "bad.tsv, row 2 has no label"),
    "too few texts": ("a\tok\nb\tno\n", [], "2 rows are too few for a training, a validation and a test part"),
    "an unknown freeze": ("", ["--freeze=half"], "--freeze must be one of none, but-last-block, all, not half"),
    "no model": ("a\tok\nb\tno\n" * 10, ["--model=nowhere"], "nowhere"),
    "no file": (None, ["--data=nowhere.tsv"], "nowhere.tsv: no such file"),
    "no run": (None, ["--resume=nowhere"], "nowhere holds no checkpoint"),
    "an unknown preset": (None, ["--preset=spam"], "there is no preset 'spam'"),
}  # fmt: skip


@pytest.mark.parametrize("content, arguments, message", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_get_one_clear_message(content, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("bad.tsv").write_text(content)
        arguments = ["--data=bad.tsv", *arguments]
    with pytest.raises(SystemExit) as left:
        main(["finetune", "classify", *arguments])
    said = capsys.readouterr().err
    assert left.value.code == 2 and message in said and len(said.splitlines()) <= 3
