"""What a user can get wrong: one clear message, exit code 2, nothing on standard output, and nothing lost.

A message says what came, what was expected and what to do. It all runs in this process, for speed, but where it
matters that the streams are real.
"""

import contextlib
import errno
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinyllm.cli import main

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 40
SIZES = "--n-layer=1 --n-head=2 --n-embd=8 --block-size=8 --batch-size=4"
STEPS = "--max-iters=6 --eval-interval=3"
NEW = "train --data=cats.txt --out-dir=new"  # a run that would work, and with these flags at once:
TINY = f"{NEW} {SIZES} {STEPS}"

FLOATS = ("learning-rate", "min-lr", "weight-decay", "grad-clip", "dropout", "beta1", "beta2")
COUNTS = ("n-layer", "n-head", "n-embd", "block-size", "batch-size", "gradient-accumulation", "max-iters",
          "eval-interval", "workers")  # fmt: skip
PATHS = ("data", "preset", "config", "resume", "out-dir")
WHOLE = (*COUNTS, "warmup-iters", "seed")


def tinyllm(line):
    """The exit code of a command line, and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(shlex.split(line))
    return left.value.code, out.getvalue(), err.getvalue()


def complaint(line):
    """The message that a command line gets, which is all that it does."""
    before = files()
    code, out, err = tinyllm(line)
    assert (code, out) == (2, ""), err
    assert err.startswith("tinyllm: ") and 1 <= len(err.splitlines()) <= 3
    assert files() == before
    return err


def files():
    return {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a text and a run of it, called run."""
    folder = tmp_path_factory.mktemp("mistakes")
    with contextlib.chdir(folder):
        Path("cats.txt").write_text(TEXT, encoding="utf-8")
        assert tinyllm(f"{TINY} --quiet") == (0, "", "")
        Path("new").rename("run")
    return folder


@pytest.fixture(autouse=True)
def here(trained, tmp_path, monkeypatch):
    """A copy of it, to make mistakes in."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyllm.training.train.SAMPLE_TOKENS", 20)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


def test_the_run_that_the_mistakes_are_made_with_works():
    assert tinyllm(f"{TINY} --quiet") == (0, "", "")


# commands and flags


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian", 'Unknown command "trian". Did you mean "train"?'),
        ("--trian", "--trian"),
        ("train --presett x", "Unknown option: --presett. Did you mean --preset?"),
        ("train --n-layr 2", "Unknown option: --n-layr. Did you mean --n-layer?"),
        ("train --no-json", "Unknown option: --no-json. Did you mean --json?"),
        ("train --bias=maybe", "--bias"),
        ("train --n-layer 2 --n-layer 3", "--n-layer specified multiple times"),
        ("train foo", "do not know what to do with 'foo'; --help lists what there is"),
        ("train cats.txt", "--data cats.txt"),
        ("train --lr 0.1", "--learning-rate"),
        ("generate run cats", "do not know what to do with 'cats'"),
        ("generate", "RUN requires an argument"),
        ("generate run --promt the", "Did you mean --prompt?"),
        ("eval", "RUN requires an argument"),
        ("eval run --stride=0", "stride must be from 1 to block_size=8, not 0"),
        ("eval run --stride=9", "stride must be from 1 to block_size=8, not 9"),
        ("eval run --limit=2", "--limit is for a --task or a --template; a text is measured whole"),
        ("eval run --task=lambda --data=cats.txt", "there is no task 'lambda'; choose one of hellaswag, lambada"),
        ("eval run --task=lambada", "--task lambada asks the questions of a file: give it with --data"),
        ("eval run --task=lambada --data=cats.txt --stride=2", "leave --stride out"),
        ("eval run --task=lambada --data=cats.txt --limit=0", "--limit must be 1 or more, not 0"),
        ("eval run --task=lambada --data=cats.txt", "cats.txt, line 1 is no question of lambada: {"),
        ("eval run --task=lambada --data=dogs.txt", "dogs.txt: No such file or directory"),
        ("info", "RUN requires an argument"),
        ("doctor run", "do not know what to do with 'run'"),
        ("train --preset hamlet", "there is no preset 'hamlet'; choose one of shakespeare-char, shakespeare-char-cpu, "
                                  "or give a file of your own with --config"),
        ("train --preset shakespeare-chra", "there is no preset 'shakespeare-chra' (did you mean 'shakespeare-char'?)"),
        ("train --preset shakespeare-char --config run/config.toml", "--preset and --config each set all flags"),
        ("train --preset shakespeare-char --resume run", "--preset and --resume each set all flags; give one of them"),
        ("train --resume run --out-dir new", "--resume run goes on in its own folder; leave --out-dir out"),
        (f"{TINY} --quiet --json", "--dry-run, --quiet and --json each say what to print; give one of them"),
        (f"{TINY} --dry-run --quiet", "give one of them"),
        *((f"train --{flag}", f"--{flag} requires") for flag in PATHS + WHOLE + FLOATS),
        *((f"{TINY} --{flag}=", f"--{flag} is empty")
          for flag in ("preset", "config")),
        (f"train --data=cats.txt {SIZES} {STEPS} --out-dir=", "--out-dir is empty"),
        ("train --resume=", "--resume is empty"),
        (f"train --data= {SIZES} {STEPS} --out-dir=new", "--data is empty"),
        ("train --config= --quiet", "--config is empty"),
    ],
)  # fmt: skip
def test_commands_and_flags(line, message):
    assert message in complaint(line)


@pytest.mark.parametrize("value", ["0", "-1"])
@pytest.mark.parametrize("flag", COUNTS)
def test_counts_begin_at_one(flag, value):
    assert complaint(f"train --{flag}={value}") == f"tinyllm: --{flag} must be 1 or more, not {value}\n"


@pytest.mark.parametrize("flag", ["seed", "warmup-iters"])
def test_a_seed_and_a_warm_up_begin_at_zero(flag):
    assert complaint(f"train --{flag} -1") == f"tinyllm: --{flag} must be 0 or more, not -1\n"


@pytest.mark.parametrize("value", ["2.5", "1e3", "nan", ""])
@pytest.mark.parametrize("flag", [*(f"train --{flag}" for flag in WHOLE), "generate run --max-new-tokens",
                                  "generate run --top-k", "generate run --seed"])  # fmt: skip
def test_whole_numbers_are_whole(flag, value):
    message = complaint(f"{flag}={value}")
    assert flag.split()[-1] in message and value in message


@pytest.mark.parametrize("value", ["2.5", "1e3", "1,000", "0x2", "inf", "two"])
def test_what_is_no_whole_number_is_said_in_words(value):
    assert complaint(f"train --n-layer={value}") == f"tinyllm: --n-layer must be a whole number, not {value}\n"


@pytest.mark.parametrize("value", ["ten", "1,5"])
@pytest.mark.parametrize("flag", [*(f"train --{flag}" for flag in FLOATS), "generate run --temperature",
                                  "generate run --top-p"])  # fmt: skip
def test_numbers_are_numbers(flag, value):
    message = complaint(f"{flag}={value}")
    assert flag.split()[-1] in message and value in message


@pytest.mark.parametrize("value", ["-1.0", "nan", "inf", "-inf"])
@pytest.mark.parametrize("flag", ["learning-rate", "min-lr", "weight-decay", "grad-clip"])
def test_rates_are_not_negative_and_finite(flag, value):
    assert complaint(f"train --{flag}={value}") == f"tinyllm: --{flag} must be 0 or more, not {value}\n"


@pytest.mark.parametrize("value", ["1.0", "-0.1", "nan", "inf"])
@pytest.mark.parametrize("flag", ["dropout", "beta1", "beta2"])
def test_shares_are_below_one(flag, value):
    assert complaint(f"train --{flag}={value}") == f"tinyllm: --{flag} must be from 0 to below 1, not {value}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --min-lr 1", "--min-lr must be at most --learning-rate 0.001, not 1.0"),
        ("train --warmup-iters 2000", "--warmup-iters must be below --max-iters 2000, not 2000"),
        ("train --workers 99999999", "--workers must be at most 1024, not 99999999"),
        ("train --dtype float16", "--dtype must be float32 or float64, not float16"),
        ("train --backend tpu", "backend 'tpu' is unknown; choose one of numpy, cupy"),
        (f"{NEW} --n-head 3", "n_embd=128 is not divisible by n_head=3; choose 126 or 129"),
        (f"{NEW} --n-embd 100 --n-head 12 --dry-run", "choose 96 or 108"),
        (f"{NEW} --block-size 192", "the validation text, the last tenth of 1,920 characters, has 192: too few for a "
                                    "window of --block-size 192; give a longer text, or a smaller block"),
        (f"{NEW} --n-embd 10000000", "a step of this model (4,800,001,330,000,000 parameters) needs about 7"),
        (f"{NEW} --n-layer 10000000000000", "choose a smaller --batch-size"),
        (f"{NEW} --n-layer 99999999999999999999999999", "GB, this machine has"),
        (f"{NEW} --batch-size 10000000000", "(and more --gradient-accumulation), --block-size, --n-embd or --n-layer"),
        (f"{NEW} --gradient-accumulation 100000000000", "--gradient-accumulation"),
        (f"{TINY} --learning-rate 1e300", "the training diverged (loss nan, gradient norm nan); lower --learning-rate"),
        ("train --resume run --max-iters 9 --warmup-iters 9", "--warmup-iters must be below --max-iters 9, not 9"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(line, message):
    assert message in complaint(line)


# texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "text.txt: no such file; give the path of a text file"),
        (b"", "text.txt is empty; give a file with text in it"),
        (b"caf\xe9 au lait", "text.txt is not UTF-8 text: byte 0xe9 at offset 3; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "text.txt is not UTF-8 text: byte 0x00 at offset 8; is it binary, or UTF-16?"),
        (TEXT.encode("utf-16"), "text.txt is not UTF-8 text: byte 0x00 at offset 3; is it binary, or UTF-16?"),
        (b"hello", "the last tenth of 5 characters, has 1: too few for a window of --block-size 8; give a longer text"),
        (b"a", "too few for a window"),
    ],
    ids=["missing", "empty", "Latin-1", "a picture", "UTF-16", "short", "one character"],
)
def test_texts_to_train_on(content, message):
    if content is not None:
        Path("text.txt").write_bytes(content)
    assert message in complaint(TINY.replace("cats.txt", "text.txt"))
    if content not in (b"hello", b"a"):
        assert message in complaint("eval run --data text.txt")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --data=folder", "folder is a folder without .txt files; give a folder with some, or files by name"),
        ("train --data=cats.txt --data=dogs.txt", "dogs.txt: no such file"),
        ("train --data=shakespear", "shakespeare"),
        ("train --data=https://example.com/a.txt", "https://example.com/a.txt"),
        ("eval run --data=folder", "folder is a folder without .txt files"),
        ("eval run --data=short.txt", "a text of 1 tokens has none to score: the first is what the second is"),
        ("eval run --data=other.txt", "'Q' (U+0051) at position 4 is not in the vocabulary"),
    ],
)  # fmt: skip
def test_sources_of_texts(line, message):
    Path("folder").mkdir()
    Path("folder/notes.md").write_text("some text")
    Path("short.txt").write_text("a")
    Path("other.txt").write_text("the Quick brown fox")
    assert message in complaint(line)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--prompt=", "the prompt is empty; give at least one token"),
        ("--prompt='the Q'", "'Q' (U+0051) at position 4 is not in the vocabulary (distinct unknown characters in the "
                             r"text: 1), which holds 15 characters: '\n .acdeghlmnost'; take out what is unknown"),
        ("--prompt='thé\U0001f600'", "'é' (U+00E9) at position 2 is not in the vocabulary"),
        ("--temperature=nan", "temperature must be 0 (greedy) or a positive number, not nan"),
        ("--temperature=-1", "temperature must be 0 (greedy) or a positive number, not -1.0"),
        ("--temperature=inf", "temperature must be 0 (greedy) or a positive number, not inf"),
        ("--top-k=0", "top_k must be 1 or more, not 0"),
        ("--top-p=2", "top_p must be above 0 and at most 1, not 2.0"),
        ("--top-p=0", "top_p must be above 0 and at most 1, not 0.0"),
        ("--top-p=nan", "top_p must be above 0 and at most 1, not nan"),
        ("--max-new-tokens=-1", "max_new_tokens must be 0 or more, not -1"),
        ("--seed=-1", "seed must be 0 or more, not -1"),
    ],
)  # fmt: skip
def test_ways_to_generate(options, message):
    assert message in complaint(f"generate run {options}")


# folders


@pytest.mark.parametrize("command", ["generate", "eval", "info"])
@pytest.mark.parametrize("folder", ["nowhere", "empty", "cats.txt", "run/model.safetensors", "."])
def test_what_is_not_the_folder_of_a_run(command, folder):
    Path("empty").mkdir()
    message = f"{folder} is not the folder of a run: it holds no model.safetensors; `tinyllm train` makes one"
    assert message in complaint(f"{command} {folder}")


@pytest.mark.parametrize("folder", ["nowhere", "empty", "cats.txt", "run/model.safetensors", "."])
def test_what_is_no_run_to_go_on_with(folder):
    Path("empty").mkdir()
    message = f"{folder} holds no checkpoint (training_state.safetensors) to go on from; give the folder of a run"
    assert message in complaint(f"train --resume {folder}")


def test_a_run_that_was_stopped_before_its_first_checkpoint_is_begun_again():
    os.remove("run/training_state.safetensors")
    message = complaint("train --resume run")
    assert "start it again: tinyllm train --config run/config.toml --out-dir run" in message


def test_a_second_run_in_the_same_folder():
    message = complaint(TINY.replace("new", "run"))
    assert "run holds a run: go on with it, tinyllm train --resume run\nor name another folder with --out-" in message
    Path("model").mkdir()
    shutil.copy("run/model.safetensors", "model")
    message = "model holds a model (model.safetensors); name another folder with --out-dir"
    assert message in complaint(TINY.replace("new", "model"))


def test_a_run_that_is_finished():
    message = complaint("train --resume run")
    assert ("run is finished: 6 of 6 steps. To train it further give more --max-iters; to let it write: tinyllm "
            "generate run") in message  # fmt: skip
    assert tinyllm("train --resume run --max-iters 8 --quiet") == (0, "", ""), "the advice works"


@pytest.mark.parametrize(
    ("out_dir", "message"),
    [
        ("cats.txt", "cats.txt is a file"),
        ("cats.txt/new", "cats.txt is a file"),
    ],
)
def test_a_place_where_no_folder_can_be(out_dir, message):
    assert message in complaint(f"{TINY.replace('--out-dir=new', '')} --out-dir={out_dir}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written():
    Path("locked").mkdir(mode=0o500)
    code, _, err = tinyllm(f"{TINY.replace('=new', '=locked/new')}")
    assert code == 2 and "locked/new: Permission denied" in err and not list(Path("locked").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--n-embd=16", "run/training_state.safetensors does not fit the configuration: n_embd is 8, must be 16; and"),
        ("--data=other.txt", "belongs to another text"),
    ],
)  # fmt: skip
def test_going_on_with_something_else(options, message):
    Path("other.txt").write_text(TEXT.replace("cat", "cow"))
    before = files()
    code, _, err = tinyllm(f"train --resume run --max-iters 9 {options}")
    assert code == 2 and message in err and files() == before


@pytest.mark.parametrize("options", ["--n-embd=16", "--data=other.txt"])
def test_what_cannot_go_on_says_so_at_once(options):
    Path("other.txt").write_text(TEXT.replace("cat", "cow"))
    complaint(f"train --resume run --max-iters 9 {options}")


@pytest.mark.parametrize("line", ["eval run", "train --resume run --max-iters 9"])
def test_a_text_that_was_changed_or_is_gone(line):
    Path("cats.txt").rename("moved.txt")
    assert "cats.txt: no such file; give the path of a text file" in complaint(line)
    Path("cats.txt").write_text(TEXT.replace("cat", "hat"))
    code, _, err = tinyllm(line)
    assert code == 2 and "text" in err and "--data" in err
    assert tinyllm(f"{line} --data=moved.txt")[0] == 0, "the advice works"


# files that were damaged or edited


def edit(path, **changes):
    """Change values of a JSON file; ... takes one out."""
    content = json.loads(Path(path).read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in content.items() if value is not ...}
    Path(path).write_text(json.dumps(kept), encoding="utf-8")


def write(path, content):
    Path(path).write_bytes(content)


def cut(path, size):
    Path(path).write_bytes(Path(path).read_bytes()[:size])


def flip(path, place):
    content = bytearray(Path(path).read_bytes())
    content[place] ^= 255
    Path(path).write_bytes(content)


def replace(path, old, new):
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ((write, b"{"), "run/config.json is not JSON"),
        ((write, b""), "run/config.json is not JSON"),
        ((write, b"\xff\xfe"), "run/config.json is not JSON"),
        ((write, b"[]"), "run/config.json is not the configuration of a GPT: no vocab_size, n_positions, n_layer"),
        ((edit, {"n_layer": ...}), "run/config.json is not the configuration of a GPT: no n_layer"),
        ((edit, {"n_layer": "two"}), "n_layer must be a positive integer, not 'two'"),
        ((edit, {"n_layer": 1.0}), "n_layer must be a positive integer, not 1.0"),
        ((edit, {"n_layer": -1}), "n_layer must be a positive integer, not -1"),
        ((edit, {"n_layer": None}), "n_layer must be a positive integer, not None"),
        ((edit, {"n_layer": 2}), "run: config.json and model.safetensors do not fit: the weights do not fit GPT: miss"),
        ((edit, {"n_embd": 16}), "do not fit: the weights do not fit GPT: wte.weight is (15, 8), must be (15, 16)"),
        ((edit, {"n_positions": 16}), "wpe.weight is (8, 8), must be (16, 8)"),
        ((edit, {"vocab_size": 16}), "wte.weight is (15, 8), must be (16, 8)"),
        ((edit, {"n_head": 3}), "n_embd=8 is not divisible by n_head=3; choose 6 or 9"),
        ((edit, {"n_head": 0}), "n_head must be a positive integer, not 0"),
        ((edit, {"bias": False}), "unexpected h.0.attn.c_attn.bias"),
        ((edit, {"tie_word_embeddings": False}), "missing lm_head.weight (15, 8)"),
        ((edit, {"resid_pdrop": 2}), "dropout must be a probability from 0 to below 1, not 2"),
        ((edit, {"resid_pdrop": "x"}), "dropout must be"),
        ((edit, {"n_layer": True}), "n_layer must be"),
        ((edit, {"bias": "no"}), "bias must be"),
        ((edit, {"tie_word_embeddings": "no"}), "tie"),
        ((edit, {"activation_function": "relu"}), "activation_function"),
        ((edit, {"layer_norm_epsilon": 0.1}), "layer_norm_epsilon"),
        ((edit, {"model_type": "llama"}), "model_type"),
        ((edit, {"n_embd": 10**30}), "run: config.json and model.safetensors do not fit"),
        ((edit, {"vocab_size": 10**15}), "config.json"),
        ((edit, {"n_layer": 10**12}), "config.json"),
    ],
)  # fmt: skip
def test_an_edited_config_json(damage, message):
    change, content = damage
    change("run/config.json", **content) if change is edit else change("run/config.json", content)
    assert message in complaint("generate run")


@pytest.mark.parametrize("command", ["generate run", "eval run", "info run", "generate run --best"])
@pytest.mark.parametrize("damage", [(cut, 0), (cut, -4), (flip, 30), (write, b"not a model")],
                         ids=["emptied", "without its end", "its header", "a text"])  # fmt: skip
def test_damaged_weights(damage, command):
    path = "run/best.safetensors" if "--best" in command else "run/model.safetensors"
    change, how = damage
    change(path, how)
    message = complaint(command)
    assert f"{path} cannot be read (" in message
    assert "it was cut short or changed; take another checkpoint, or train it again" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "run/tokenizer.json is not JSON"),
        (b"", "run/tokenizer.json is not JSON"),
        (b"\xff", "run/tokenizer.json is not JSON"),
        (b"[]", "run/tokenizer.json must be a JSON object, not '[]'"),
        (b"{}", "run/tokenizer.json: model.type is None; only 'BPE' is read"),
        (b'{"type": "bpe"}', "but its type is 'bpe'"),
        (b'{"type": "char"}', "the vocabulary must be a string of at least one character, not None"),
        (b'{"type": "char", "characters": 5}', "the vocabulary must be a string of at least one character, not 5"),
        (b'{"type": "char", "characters": ""}', "the vocabulary must be a string of at least one character, not ''"),
        (b'{"type": "char", "characters": "aa"}', "run/tokenizer.json: CharTokenizer: 'a' (U+0061) is in the"),
        (b'{"type": "char", "characters": "abc"}', "run: the tokenizer has 3 tokens, the model 15; they do not fit"),
    ],
)
def test_an_edited_tokenizer(content, message):
    write("run/tokenizer.json", content)
    assert message in complaint("generate run")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "config.toml"])
def test_a_file_that_was_taken_out(name):
    os.remove(f"run/{name}")
    assert f"run/{name}: no such file" in complaint("eval run").lower().replace(" or directory", "")


@pytest.mark.parametrize("damage", [(cut, 0), (cut, 100), (cut, 9000), (flip, 3), (flip, 50), (write, b"not a state")],
                         ids=["emptied", "its beginning", "without its end", "length", "header", "a text"])  # fmt: skip
def test_a_damaged_checkpoint(damage):
    change, how = damage
    change("run/training_state.safetensors", how)
    message = "run/training_state.safetensors is not the state of a training"
    assert message in complaint("train --resume run --max-iters 9")
    assert message in complaint("eval run")


def test_a_checkpoint_with_another_number_in_it():
    flip("run/training_state.safetensors", -10)
    before = files()
    code, _, err = tinyllm("train --resume run --max-iters 9")
    assert code == 2 and "run/training_state.safetensors was changed after it was written" in err and files() == before


@pytest.mark.parametrize("content", [None, b"[1]\n", b'{"loss": 1}\n'], ids=["missing", "a list", "no step"])
def test_metrics_that_were_edited_do_not_keep_a_run_from_going_on(content):
    os.remove("run/metrics.jsonl")
    if content:
        write("run/metrics.jsonl", content)
    assert tinyllm("train --resume run --max-iters 9 --quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_layer = 1", "n_layr = 1", "run/config.toml: there is no 'n_layr' (did you mean 'n_layer'?); "
                                      "`tinyllm train --help` lists what can be set"),
        ("n_layer = 1", "n-layer = 1", "there is no 'n-layer' (did you mean 'n_layer'?)"),
        ("n_layer = 1", "n_layer =", "run/config.toml is not TOML: Invalid value (at line 2, column 10)"),
        ("n_layer = 1", "n_layer = 1\nn_layer = 1", "run/config.toml is not TOML: Cannot overwrite a value (at line 3"),
        ("n_layer = 1", "[train]\nn_layer = 1", "run/config.toml: there is no 'train'"),
        ("n_layer = 1", "n_layer = 0", "--n-layer must be 1 or more, not 0"),
        ("batch_size = 4", "batch_size = -4", "--batch-size must be 1 or more, not -4"),
        ("learning_rate = 0.001", "learning_rate = nan", "--learning-rate must be 0 or more, not nan"),
        ('dtype = "float32"', "dtype = 32", "dtype must be "),
        ("min_lr = 0.0001", "min_lr = 1.0", "--min-lr must be at most --learning-rate 0.001, not 1.0"),
        ("n_layer = 1", 'n_layer = "one"', "n_layer must be a whole number, not 'one'"),
        ("n_layer = 1", "n_layer = 1.5", "n_layer must be a whole number, not 1.5"),
        ("n_layer = 1", "n_layer = true", "n_layer must be a whole number, not True"),
        ("n_layer = 1", "n_layer = [1]", "n_layer must be a whole number, not [1]"),
        ("batch_size = 4", "batch_size = 2.5", "batch_size must be a whole number, not 2.5"),
        ("batch_size = 4", 'batch_size = "4"', "batch_size must be a whole number, not '4'"),
        ("seed = 1337", "seed = 1979-05-27", "seed must be a whole number, not"),
        ("learning_rate = 0.001", 'learning_rate = "fast"', "learning_rate must be a number, not 'fast'"),
        ("bias = true", 'bias = "no"', "bias must be true or false, not 'no'"),
        ('data = ["cats.txt"]', "data = 5", "data must be a text or a list of texts, not 5"),
        ('data = ["cats.txt"]', "data = [5]", "data must be a text or a list of texts, not [5]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("line", ["eval run", "info run", "train --resume run --max-iters 9",
                                  "train --config run/config.toml --out-dir new"])  # fmt: skip
def test_an_edited_config_toml(old, new, message, line):
    replace("run/config.toml", old, new)
    assert message in complaint(line)


@pytest.mark.parametrize("line", ["eval run", "info run", "train --resume run --max-iters 9",
                                  "train --config run/config.toml --out-dir new"])  # fmt: skip
@pytest.mark.parametrize("content", [b"\xff", b"\0", b"hello"])
def test_what_is_not_toml(content, line):
    write("run/config.toml", content)
    assert "run/config.toml is not TOML: " in complaint(line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "mine.toml: no such file; give the path of a TOML file of training flags"),
        ("n_layr = 2", "mine.toml: there is no 'n_layr' (did you mean 'n_layer'?)"),
        ('preset = "shakespeare-char"', "mine.toml: there is no 'preset'"),
        ('n_layer = "two"', "n_layer"),
        ("n_layer = 2.5", "2.5"),
        ("n_layer = {a = 1}", "n_layer"),
        ('data = "dogs.txt"', "dogs.txt: no such file"),
    ],
)
def test_a_file_of_flags(content, message):
    if content:
        Path("mine.toml").write_text(content)
    assert message in complaint("train --config mine.toml")


def test_a_folder_in_the_place_of_a_file_of_flags():
    assert "run is a folder" in complaint("train --config run")


# streams


def python_m(line, **options):
    command = [sys.executable, "-m", "tinyllm", *shlex.split(line)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", **options)


@pytest.mark.parametrize("line", ["generate run", "info run", "eval run --json", f"{TINY} --dry-run"])
def test_a_reader_that_has_gone(line):
    with python_m(line, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == "tinyllm: standard output was closed\n"
    assert process.returncode == 141


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_training_whose_reader_has_gone_is_kept(options):
    """`tinyllm train | head -1`"""
    line = f"{NEW} {SIZES} --max-iters=100000 --warmup-iters=1 --eval-interval=50 {options}"
    with python_m(line, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        message = process.stderr.read()
    assert process.returncode == 141
    step, command = re.fullmatch(r"tinyllm: stopped after step ([\d,]+) \(standard output was closed\), and saved. "
                                 r"Go on with: tinyllm (.*)\n", message).groups()  # fmt: skip
    assert tinyllm(f"{command} --max-iters={int(step.replace(',', '')) + 2} --quiet") == (0, "", "")


@pytest.mark.skipif(os.name != "posix", reason="a shell's way to say it")
@pytest.mark.parametrize("line", ["generate run", TINY])
def test_no_standard_output(line):
    shell = ["sh", "-c", f'"$0" -m tinyllm {line} >&-', sys.executable]
    result = subprocess.run(shell, stderr=subprocess.PIPE, encoding="utf-8")
    assert (result.returncode, result.stderr) == (0, "")
    assert line != TINY or Path("new/training_state.safetensors").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", ["generate run", TINY])
def test_a_full_disk_behind_standard_output(line):
    with open("/dev/full", "w") as full, python_m(line, stdout=full) as process:
        message = process.stderr.read()
    first, *rest = message.splitlines()
    assert process.returncode == 2 and first == "tinyllm: standard output: No space left on device"
    assert rest == (["there is no checkpoint in new yet"] if line == TINY else [])


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_disk_that_gets_full_behind_standard_output_costs_no_step(options, monkeypatch):
    class Disk(io.StringIO):
        def flush(self):
            if len(self.getvalue()) > 400:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    err = io.StringIO()
    with contextlib.redirect_stdout(Disk()), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(shlex.split(f"{NEW} {SIZES} --max-iters=6 {options}"))
    assert left.value.code != 0
    assert re.match(r"tinyllm: stopped after step [45] \(standard output: No space left on device\)", err.getvalue())
    assert tinyllm("train --resume new --quiet") == (0, "", "")
