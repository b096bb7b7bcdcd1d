"""A run as it is watched, measured and looked into: in a terminal, in a pipe, by a program, or not at all."""

import contextlib
import hashlib
import io
import json
import math
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.numpy import load_file

from tinyllm import GPT
from tinyllm.cli import main
from tinyllm.cli.curve import curve
from tinyllm.cli.display import Picture
from tinyllm.cli.summary import print_summary
from tinyllm.cli.text import duration, scaled
from tinyllm.evaluation import score_text
from tinyllm.models.pretrained import save_arrays
from tinyllm.training.build import initial_state
from tinyllm.training.config import TrainConfig, preset_path
from tinyllm.training.corpus import Corpus
from tinyllm.training.evaluate import evaluate
from tinyllm.training.progress import Progress
from tinyllm.training.run import load_run
from tinyllm.training.train import train

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 40
TINY = {"data": "cats.txt", "n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 8, "batch_size": 4, "max_iters": 6,
        "eval_interval": 3}  # fmt: skip


def flags(**changes):
    """Those of a run that takes no time, as they are typed."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in (TINY | changes).items()]


def tinyllm(*arguments):
    """What a command prints; it must succeed, and have nothing to complain about."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(map(str, arguments))
    assert (left.value.code, err.getvalue()) == (0, "")
    return out.getvalue()


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """A folder with a text in it; short samples and no picture of the loss, which are others' concern."""
    (tmp_path / "cats.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyllm.training.train.SAMPLE_TOKENS", 20)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@pytest.fixture
def run():
    """The folder of a run of six steps."""
    tinyllm("train", *flags(), "--quiet")
    return Path("runs/cats")


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def table(printed):
    """{name: value} of the rows of two columns."""
    return dict(re.findall(r"^(?:# )?(\w[\w -]*?)  +(\S.*)$", printed, re.MULTILINE))


# lines


def test_without_a_terminal_there_are_lines_with_the_facts_first():
    lines = tinyllm("train", *flags()).splitlines()
    assert lines[0] == "1,072 parameters · 192 tokens · numpy float32 · 5.76 kFLOP a token · about 0 s · to runs/cats"
    for step, line in enumerate(lines[1:7], start=1):
        evaluated = r"   validation loss \d\.\d{4}" if step in (3, 6) else ""
        assert re.fullmatch(rf"step +{step} of 6   loss \d\.\d{{4}}   learning rate \d\.\d\de-0\d   "
                            rf"gradient norm \d\.\d\d   [\d,]+ tokens/s{evaluated}", line)  # fmt: skip
    assert not any("\x1b" in line for line in lines)


def test_a_long_run_has_a_line_now_and_then_and_one_for_every_evaluation():
    lines = tinyllm("train", *flags(max_iters=120, eval_interval=50)).splitlines()
    steps = [int(line.split()[1]) for line in lines if line.startswith("step ")]
    assert steps == sorted({1, 50, 100, 120, *range(3, 121, 3)})


def test_the_summary_names_the_best_validation_loss(run):
    printed = tinyllm("train", *flags(), "--out-dir=again")
    best = min((entry for entry in metrics(run) if "val_loss" in entry), key=lambda entry: entry["val_loss"])
    last = metrics(run)[-1]
    rows = table(printed.partition("what it writes now:")[2])
    assert rows["steps"] == "6 (192 tokens)"
    assert rows["training loss"].startswith(f"{last['loss']:.4f}")
    assert rows["validation loss"].startswith(f"{last['val_loss']:.4f} nats a token (perplexity ")
    assert rows["lowest"].startswith(f"{best['val_loss']:.4f} after step {best['step']}")
    assert rows["folder"] == "again"


@pytest.mark.parametrize(
    ("text", "out_dir"),
    [
        (TEXT, "runs/cats"),
        ("it's $HOME, `x` and \"q\"; cats. " * 30, "a folder's"),
        ("--- a title\n" * 60, "runs/a-title"),
        ("--help me\n" * 60, "--out"),
        ("ACGTTGCAAGGTC" * 60, "runs/Ü"),
        ("\n \n\n" * 200, "runs/nothing"),
    ],
    ids=["as usual", "quotes", "dashes", "a flag", "one word", "no word"],
)
def test_the_next_commands_work_when_they_are_typed(text, out_dir):
    Path("cats.txt").write_text(text, encoding="utf-8")
    printed = tinyllm("train", *flags(max_iters=1), f"--out-dir={out_dir}")
    commands = shlex.split(printed.partition("\nnext: ")[2])
    starts = [i for i, word in enumerate(commands) if word == "tinyllm"] + [len(commands)]
    commands = [commands[start + 1 : end] for start, end in zip(starts, starts[1:])]
    assert [command[0] for command in commands] == ["generate", "eval", "info"]
    for command in commands:
        assert tinyllm(*command)


def test_a_text_without_spaces_gives_a_prompt_that_is_short_enough_to_read(capsys):
    progress = Progress(6, 1.0, 1e-3, 1.0, 1e6, 1.0, "ACGTTGCAAGGTC" * 30)
    config = TrainConfig(**TINY)
    state = initial_state(config, Corpus.of(TEXT, config.block_size))
    state.step, state.best_val_loss, state.best_step = 6, 1.0, 6
    print_summary(state, config, progress, Path("runs/dna"))
    command = capsys.readouterr().out.partition("next: ")[2].splitlines()[0]
    assert "ACGTTG" in command and len(command) < 100


def test_the_command_trains_what_the_library_trains(run):
    config = TrainConfig(**TINY)
    train(config, Corpus.of(TEXT, config.block_size), "library")
    for name in ("model.safetensors", "training_state.safetensors", "config.toml", "samples.txt"):
        assert Path("library", name).read_bytes() == (run / name).read_bytes(), name


# nothing, and JSON


def test_quiet_prints_nothing_at_all(capfd):
    with pytest.raises(SystemExit, match="0"):
        main(["train", *flags(), "--quiet"])
    assert capfd.readouterr() == ("", "")
    assert Path("runs/cats/model.safetensors").exists()


def test_json_prints_the_lines_of_the_metrics_and_nothing_else(capfd):
    with pytest.raises(SystemExit, match="0"):
        main(["train", *flags(), "--json"])
    printed = capfd.readouterr()
    assert printed.out == Path("runs/cats/metrics.jsonl").read_text() and printed.err == ""
    always = {"step", "loss", "learning_rate", "grad_norm", "tokens_per_second"}
    for step, line in enumerate(printed.out.splitlines(), start=1):
        entry = json.loads(line)
        assert set(entry) == (always | {"val_loss"} if step in (3, 6) else always)
        assert entry["step"] == step and all(math.isfinite(number) for number in entry.values())


def test_json_has_no_word_on_a_download_either(capfd, monkeypatch):
    def read_texts(sources, progress):
        if progress:
            progress.total = 10
            progress.update(10)
            progress.close()
        return TEXT

    monkeypatch.setattr("tinyllm.cli.corpus.read_texts", read_texts)
    with pytest.raises(SystemExit, match="0"):
        main(["train", *flags(), "--json"])
    assert capfd.readouterr().err == ""


# a terminal


def in_terminal(arguments, columns, rows, environment):
    """The screens of a terminal while a command runs in it, the lines that are left, and all that was written."""
    pyte, pty = pytest.importorskip("pyte"), pytest.importorskip("pty")
    import fcntl
    import termios

    screen = pyte.HistoryScreen(columns, rows, history=1000)
    stream, screens, written = pyte.ByteStream(screen), [], b""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    command = [sys.executable, "-m", "tinyllm", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                          env=kept | {"TERM": "xterm-256color"} | environment) as process:  # fmt: skip
        os.close(theirs)
        with contextlib.suppress(OSError):  # how the end looks from here
            while chunk := os.read(ours, 65536):
                written += chunk
                stream.feed(chunk)
                screens.append("\n".join(screen.display))
        os.close(ours)
    assert process.returncode == 0
    above = ["".join(line[column].data for column in range(columns)) for line in screen.history.top]
    return screens, [line.rstrip() for line in (*above, *screen.display)], written


LONG = flags(n_layer=2, n_embd=32, max_iters=150, eval_interval=50)


@pytest.mark.parametrize(
    ("columns", "rows", "environment"),
    [(80, 24, {}), (120, 40, {}), (40, 12, {}), (80, 24, {"NO_COLOR": "1"})],
    ids=["80x24", "120x40", "40x12", "no colour"],
)
def test_in_a_terminal_all_is_seen_at_a_glance(columns, rows, environment):
    screens, left, written = in_terminal(["train", *LONG], columns, rows, environment)
    looked_for = [r"step \d+ of 150", r"\d+ s left", "loss", "validation loss", "learning rate", "gradient norm",
                  "tokens/s", r"\d\.\d{4}(.|\n)*\d\.\d{4}", r"\d\.\d\de-0\d", "[\u2801-\u28ff]", r"^[^…]*$",
                  r"(what it wrote after step \d+ .*\n. the cat |(?m:\A.{40}$))"]  # fmt: skip
    screen = max(screens, key=lambda screen: sum(bool(re.search(part, screen)) for part in looked_for))
    for part in looked_for:
        assert re.search(part, screen), screen
    final = metrics(Path("runs/cats"))[-1]
    steps = [line for line in left if line.startswith("step ")]
    assert len(steps) == 1 and steps[0].startswith("step 150 of 150"), "it is drawn in one place, and never runs over"
    assert any(f"{final['loss']:.4f}" in line for line in left if "training loss" not in line)
    assert left[-1] == "" and "tinyllm info runs/cats" in "".join(left[-4:])
    assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l"), "the cursor is back"
    styles = {int(code) for codes in re.findall(rb"\x1b\[([\d;]+)m", written) for code in codes.split(b";")}
    assert bool(styles & {*range(30, 50), *range(90, 108)}) == (not environment), "colours"


def test_a_terminal_that_can_do_nothing_gets_lines():
    _, left, written = in_terminal(["train", *flags()], 120, 40, {"TERM": "dumb"})
    assert b"\x1b" not in written
    assert len([line for line in left if line.startswith("step ")]) == 6


def picture(columns, rows, sample="the cat", val_loss=1.5):
    """What is on such a terminal after the last of 120 steps, as lines of text."""
    console = Console(file=io.StringIO(), force_terminal=True, width=columns, height=rows, legacy_windows=False)
    shown = Picture(TrainConfig(max_iters=120), 0, console)
    for step in range(1, 120):
        shown(Progress(step, 3 - step / 60, 1e-3, 1.0, 1e6))
    shown(Progress(120, 1.0, 1e-3, 1.0, 1e6, val_loss, sample))
    shown.stopping()
    console.print(shown.draw(), no_wrap=False)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("rows", [12, 13, 20, 24, 25, 50])
def test_it_fits_into_any_terminal(columns, rows):
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in picture(columns, rows, sample="the cat\n" * 100)]
    assert max(map(len, lines)) <= columns
    assert len(lines) < rows


def test_what_the_model_writes_does_not_steer_the_terminal():
    lines = picture(80, 24, sample="\x1b[2Jthe \x1b[31mcat\rsat\x07\x0c")
    for code in ("\x1b[2J", "\x1b[31m", "\r", "\x07", "\x0c"):
        assert code not in "".join(lines)


def test_a_loss_that_went_up_a_lot_is_still_a_picture():
    assert len(picture(80, 24, val_loss=123456.789)) == len(picture(80, 24)), "no line of it is broken in two"


# the curve


def drawn(*series, last=8, width=12, height=2):
    """The rows of a curve without their scale."""
    return [line[8:] for line in curve(list(series), last, width, height).plain.split("\n")]


@pytest.mark.parametrize(
    ("points", "rows"),
    [
        ([(0, 2.0), (8, 1.0)], ["⠁   ", "   ⢀"]),  # the highest at the top, the last at the right
        ([(0, 1.0), (8, 2.0)], ["   ⠈", "⡀   "]),
        ([(0, 2.0), (1, 2.0), (2, 1.0)], ["⠉   ", " ⡀  "]),  # two columns of dots in a character
        ([(0, 4.0), (1, 3.0), (2, 2.0), (3, 1.0), (4, 0.0)], ["⠡   ", " ⠡⡀ "]),
        ([(5, 3.0)], ["  ⠈ ", "    "]),
        ([(0, 2.0), (2, 2.0), (4, 2.0), (8, 2.0)], ["⠁⠁⠁⠈", "    "]),  # a constant
    ],
    ids=["down", "up", "two dots", "a slope", "one point", "constant"],
)
def test_points_land_where_they_should(points, rows):
    assert [row.ljust(4) for row in drawn(("", points))] == rows


@pytest.mark.parametrize("series", [[], [("", [])], [("", []), ("bold", [])]])
def test_no_points_leave_the_room_for_them(series):
    assert curve(series, 8, 12, 3).plain == "\n\n"


def test_the_scale_names_the_highest_and_the_lowest():
    rows = curve([("", [(0, 4.17), (8, 1.4)])], 8, 20, 5).plain.split("\n")
    assert [row[:8] for row in rows] == ["  4.170 ", " " * 8, " " * 8, " " * 8, "  1.400 "]
    assert {len(row) for row in rows} == {20}


def test_the_last_series_lies_on_top_and_hides_nothing():
    text = curve([("dim", [(0, 1.0), (1, 1.0)]), ("cyan", [(0, 1.0), (8, 0.0)])], 8, 12, 2)
    assert text.plain.split("\n")[0][8] == "⠉", "both dots of the first series are there"
    styles = {text.plain[span.start]: span.style for span in text.spans if text.plain[span.start] > "\u2800"}
    assert styles == {"⠉": "cyan", "⢀": "cyan"}


# numbers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.4, "0 s"), (1.5, "2 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (60, "1 min 0 s"),
        (140, "2 min 20 s"), (3599.4, "59 min 59 s"), (3599.7, "1 h 0 min"), (11_100, "3 h 5 min"),
        (3600 * 24 * 365, "8,760 h 0 min"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"), (1, "1 B"), (999, "999 B"), (999.4, "999 B"), (999.5, "1 kB"), (1000, "1 kB"), (1234, "1.23 kB"),
        (97_400, "97.4 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (999.6e6, "1 GB"), (4.93e6, "4.93 MB"),
        (999.5e9, "1 TB"), (999.5e12, "1 PB"), (1e15, "1 PB"), (1e18, "1,000 PB"), (1.5e21, "1,500,000 PB"),
    ],
)  # fmt: skip
def test_numbers_with_a_prefix(number, text):
    assert scaled(number, "B") == text


# eval


def test_eval_measures_the_validation_part(run):
    model, _ = load_run(run)
    val_ids = Corpus.of(TEXT, 8).val_ids
    found = json.loads(tinyllm("eval", run, "--json"))
    assert found["loss"] == pytest.approx(evaluate(model, val_ids, batch_size=4), rel=1e-5)
    assert found["loss"] == pytest.approx(metrics(run)[-1]["val_loss"], rel=1e-5)
    assert found["perplexity"] == math.exp(found["loss"])
    assert found["bits_per_token"] == found["loss"] / math.log(2)
    assert found["bits_per_byte"] == pytest.approx(found["bits_per_token"], rel=1e-12), "a character is a byte"
    assert found["tokens"] == found["bytes"] == 184 and found["windows"] == 23, "of 192 characters what fills windows"
    assert found["model"] == str(run) and "windows of 8 tokens, stride 8; each token but" in found["protocol"]
    assert table(tinyllm("eval", run)) == {
        "text": "cats.txt, its validation part",
        "tokens": "184",
        "loss": f"{found['loss']:.4f} nats a token",
        "perplexity": f"{found['perplexity']:.3f}",
        "bits": f"{found['bits_per_token']:.3f} a token, {found['bits_per_token']:.3f} a byte",
        "protocol": found["protocol"],
    }


def test_eval_measures_another_text_whole(run):
    Path("a.txt").write_text("the dog sat. " * 5)
    Path("b.txt").write_text("the cat. " * 5)
    model, tokenizer = load_run(run)
    found = json.loads(tinyllm("eval", run, "--data=a.txt", "--data=b.txt", "--stride=3", "--json"))
    ids = tokenizer.encode("the dog sat. " * 5 + "\n\n" + "the cat. " * 5)
    assert found["tokens"] == len(ids) - 1 and found["stride"] == 3
    assert found["loss"] == score_text(model, ids, 3).loss
    assert "a.txt, b.txt, all of it" in tinyllm("eval", run, "--data=a.txt", "--data=b.txt")


def test_eval_measures_the_best_weights(run):
    model, _ = load_run(run)
    other = GPT(model.config, seed=5)
    save_arrays(run / "best.safetensors", other.state_dict(), {"format": "pt"})
    found = json.loads(tinyllm("eval", run, "--best", "--json"))["loss"]
    assert found == pytest.approx(evaluate(other, Corpus.of(TEXT, 8).val_ids, batch_size=4), rel=1e-5)
    assert found != json.loads(tinyllm("eval", run, "--json"))["loss"]


def test_eval_asks_questions(run):
    Path("q.jsonl").write_text('{"text": "the cat sat"}\n{"text": "the dog mat"}\n{"text": "the log sat"}\n')
    found = json.loads(tinyllm("eval", run, "--task=lambada", "--data=q.jsonl", "--limit=2", "--json"))
    assert found["questions"] == 2 and 0 <= found["acc"] <= 1 and found["perplexity"] > 1
    assert found["data"] == ["q.jsonl"] and found["protocol"].startswith("0-shot. The text up to its last space")
    rows = table(tinyllm("eval", run, "--task=lambada", "--data=q.jsonl"))
    assert rows["task"] == "lambada" and rows["questions"] == "3"
    assert "±" in rows["acc"] and "±" not in rows["perplexity"]


# info


@pytest.mark.parametrize("options", [[], ["--no-tie-weights", "--no-bias", "--dtype=float64"]], ids=["", "not tied"])
def test_info_shows_what_the_file_of_weights_holds(options):
    tinyllm("train", *flags(max_iters=3), *options, "--quiet")
    arrays = load_file("runs/cats/model.safetensors")
    count, size = sum(a.size for a in arrays.values()), sum(a.nbytes for a in arrays.values())
    tree, _, facts = tinyllm("info", "runs/cats").partition("\n\n")
    for name, array in arrays.items():
        path, _, kind = name.rpartition(".")
        own = sum(a.size for other, a in arrays.items() if other.startswith(f"{path}."))
        line = rf"\({path.rpartition('.')[2]}\): .* {own:,}  .*{kind} {re.escape(str(array.shape))}"
        assert re.search(line, tree)
    assert tree.splitlines()[0].split() == ["GPT()", f"{count:,}"]
    facts = table(facts)
    assert facts["parameters"] == f"{count:,}"
    assert facts["weights"] == scaled(size, "B")
    assert facts["training"].startswith("about ") and facts["training"].endswith("kB with batches of 4 x 8")
    assert facts["tokenizer"] == "15 characters" and facts["text"] == "cats.txt"
    assert facts["trained"] == "3 of 3 steps"
    assert facts["validation loss"] == f"{metrics(Path('runs/cats'))[-1]['val_loss']:.4f} at best, after step 3"


# doctor


def test_doctor_lists_every_dependency(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    rows = table(tinyllm("doctor").replace("\n  ", "\n"))
    assert rows["cupy"] == "does not work: backend 'cupy' needs cupy: pip install 'tinyllm-numpy[cuda]'"
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *(name for extra in extras.values() for name in extra)]:
        name = re.match(r"[\w.-]+", requirement)[0]
        named = (e for e, those in extras.items() if any(re.match(rf"{name}(?![\w.-])", other) for other in those))
        extra = None if requirement in project["dependencies"] else next(named)  # it may be in two extras
        try:
            expected = metadata.version(name)
        except metadata.PackageNotFoundError:
            expected = "missing: pip install " + (f"'tinyllm-numpy[{extra}]'" if extra else name)
        assert rows[name] == expected


def test_doctor_tries_whether_a_backend_computes(monkeypatch):
    assert "numpy   works\n" in tinyllm("doctor")
    monkeypatch.setattr(sys.modules["tinyllm.gradcheck"], "gradcheck", lambda *arguments: False)
    assert "numpy   does not work: a gradient is wrong" in tinyllm("doctor")


# what a run is made from


def config_of(printed):
    return TrainConfig(**tomllib.loads(printed))


def test_a_dry_run_prints_a_file_for_config_and_makes_nothing():
    printed = tinyllm("train", *flags(max_iters=100, dropout=0.1), "--no-bias", "--dry-run")
    Path("plan.toml").write_text(printed, encoding="utf-8")
    assert config_of(printed) == TrainConfig(**TINY | {"max_iters": 100, "dropout": 0.1, "bias": False})
    assert config_of(tinyllm("train", "--config=plan.toml", "--dry-run")) == config_of(printed)
    rows = table(printed)
    assert rows["parameters"] == "976" and rows["tokens"] == "3,200 in 100 steps of 32"
    assert re.fullmatch(r"\S+ kFLOP a token, \S+ kFLOP a step, \S+ MFLOP in all", rows["arithmetic"])
    assert re.match(r"about \S+ kB( of \S+ GB)?$", rows["memory"]) and re.match(r"about \d+ s, ", rows["expected time"])
    assert not Path("runs").exists()


def test_a_config_file_sets_flags_and_flags_win_over_it():
    Path("mine.toml").write_text('data = "cats.txt"\nn_layer = 1\nn_head = 2\nn_embd = 8\nblock_size = 8\nseed = 5\n'
                                 "learning_rate = 1\n")  # fmt: skip
    found = config_of(tinyllm("train", "--config=mine.toml", "--n-layer=2", "--learning-rate", "0.5", "--dry-run"))
    assert found == TrainConfig("cats.txt", n_layer=2, n_head=2, n_embd=8, block_size=8, seed=5, learning_rate=0.5)
    tinyllm("train", "--config=mine.toml", "--max-iters=1", "--quiet")
    assert Path("runs/mine/model.safetensors").exists(), "the run is called as the file"


def test_a_preset_sets_flags_and_flags_win_over_it():
    preset = tomllib.loads(preset_path("shakespeare-char").read_text(encoding="utf-8"))
    found = config_of(tinyllm("train", "--preset", "shakespeare-char", *flags(), "--warmup-iters=2", "--dry-run"))
    assert found == TrainConfig(**preset | TINY | {"warmup_iters": 2})


def test_the_config_of_a_run_makes_the_same_run_again(run):
    tinyllm("train", "--config", run / "config.toml", "--out-dir=again", "--quiet")
    for name in ("config.toml", "training_state.safetensors", "model.safetensors", "samples.txt"):
        assert Path("again", name).read_bytes() == (run / name).read_bytes()


def test_data_may_be_several_files_and_folders(run):
    for name, text in {"texts/b.txt": "the dog. ", "texts/a/c.txt": "the mat. ", "texts/no.md": "no "}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text * 30)
    tinyllm("train", *flags(max_iters=1), "--data=texts", "--out-dir=both", "--quiet")
    text = f"{TEXT}\n\n{'the mat. ' * 30}\n\n{'the dog. ' * 30}"
    found = json.loads(Path("both/training_state.json").read_text())["text_sha256"]
    assert found == hashlib.sha256(text.encode()).hexdigest()
    tinyllm("train", *flags(max_iters=1, data="texts"), "--quiet")
    assert Path("runs/texts/tokenizer.json").exists() and "no" not in Path("runs/texts/tokenizer.json").read_text()


@pytest.mark.parametrize("arguments", [["--version"], ["info", "runs/cats"], ["trian"]], ids=" ".join)
def test_python_m_tinyllm_is_tinyllm(arguments, run):
    command = shutil.which("tinyllm", path=Path(sys.executable).parent)
    if not command:
        pytest.skip("the command is not installed beside this Python")
    one, other = (subprocess.run([*start, *arguments], capture_output=True, encoding="utf-8")
                  for start in ([command], [sys.executable, "-m", "tinyllm"]))  # fmt: skip
    assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)
    assert one.returncode == (2 if arguments == ["trian"] else 0)
