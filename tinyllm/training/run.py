"""The folder of a run, from which a training that was stopped at any instant goes on.

    config.toml                  the TrainConfig: --config takes it, --resume reads it
    config.json                  the sizes of the model, and
    model.safetensors            its weights at the last checkpoint: a Hugging Face folder
    best.safetensors             the weights that had the lowest validation loss
    tokenizer.json               text to ids and back
    training_state.safetensors   weights, moments, step: the checkpoint that --resume takes
    training_state.json          what it says about itself, to read
    metrics.jsonl                one object a step
    samples.txt                  what the model wrote at each evaluation
    environment.json             what it ran on
    loss.png                     the curve, where matplotlib is installed

A checkpoint is made the moment training_state.safetensors is put in place, the last of its files: each is whole at
any instant, and a run that goes on makes again, to the bit, those that were newer.
"""

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

from filelock import FileLock, Timeout

from ..data.hub import local_model
from ..files import replace_file, replace_text, sync
from ..models import GPT
from ..models.pretrained import WEIGHTS, save_arrays
from ..tokenizers import has_tokenizer
from ..tokenizers import load as load_tokenizer
from .config import TrainConfig, read_toml
from .environment import environment
from .plot import draw_loss
from .progress import read_metrics
from .state import read_facts

BEST, STATE, CONFIG = "best.safetensors", "training_state.safetensors", "config.toml"
METRICS, SAMPLES = "metrics.jsonl", "samples.txt"


class Run:
    """`with Run(folder, task) as run:` holds the folder for this process alone."""

    def __init__(self, folder, task):
        self.folder, self.task = Path(folder), task
        self.laid_out = False
        self._writer, self._checkpoint = ThreadPoolExecutor(1, "tinyllm-checkpoint"), None
        self._lock = FileLock(self.folder / ".lock")

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise BlockingIOError(f"another process is training in {self.folder}; wait for it, stop it, or choose "
                                  "another folder with --out-dir") from error
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self.settle()
        except Exception as late:  # of the last checkpoint; what ended the run is told first
            if not error:
                late.add_note(last_checkpoint(self.folder))
                raise
            error.add_note(f"and its last checkpoint could not be written: {late}")
        finally:
            self._writer.shutdown()
            self._lock.release()
        if error and self.laid_out:
            error.add_note(last_checkpoint(self.folder))

    def begin(self, state, config):
        """Lay out the folder for a new run."""
        refuse_if_taken(self.folder)
        with self._writing():
            self._describe(config)
            state.tokenizer.save(self.folder)
            replace_text(self.folder / METRICS, "")
            replace_text(self.folder / SAMPLES, "")

    def resume(self, state, config):
        """Bring `state` to the last checkpoint, and the folder back to it."""
        facts = state.load(self.folder / STATE)
        kept = [entry for entry in read_metrics(self.folder / METRICS) if entry["step"] <= state.step]
        samples = self.folder / SAMPLES
        written = samples.read_bytes()[: facts["samples_bytes"]] if samples.exists() else b""
        with self._writing():
            self._describe(config)
            replace_text(self.folder / METRICS, "".join(json.dumps(entry) + "\n" for entry in kept))
            replace_file(samples, lambda aside: aside.write_bytes(written))

    def _describe(self, config):
        self.laid_out = True
        replace_text(self.folder / CONFIG, config.to_toml())
        replace_text(self.folder / "environment.json", json.dumps(environment(config), indent=2) + "\n")

    def log(self, progress):
        """Write down a step, and the sample that was drawn after it."""
        with self._writing():
            with open(self.folder / METRICS, "a", encoding="utf-8", newline="\n") as file:
                file.write(progress.to_json() + "\n")
            if progress.sample is not None:
                with open(self.folder / SAMPLES, "a", encoding="utf-8", newline="\n") as file:
                    title = f"step {progress.step}, validation loss {progress.val_loss:.4f}"
                    file.write(f"{title}\n{'-' * len(title)}\n{progress.sample}\n\n")

    def save(self, state):
        """Make a checkpoint. Of a GPU the state is copied, and written while the next steps run (see `settle`)."""
        self.settle()
        with self._writing():
            samples_bytes = (self.folder / SAMPLES).stat().st_size
        if hasattr(state.optimizer, "on_host"):
            work = copy_context().run, self._save, state.on_host(), samples_bytes
            self._checkpoint = self._writer.submit(*work)
        else:
            self._save(state, samples_bytes)

    def settle(self):
        """Wait until the checkpoint that is being written is made; raise what kept it from that."""
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint:
            checkpoint.result()

    def _save(self, state, samples_bytes):
        with self._writing():
            state.check_finite()
            for name in (METRICS, SAMPLES):
                sync(self.folder / name)
            with state.unrounded():
                if state.best_step == state.step:
                    save_arrays(self.folder / BEST, self.task.best_arrays(state.model), {"format": "pt"})
                self.task.save_model(state.model, self.folder)
            task = {"command": self.task.command, "part_of_run": self.task.part_of_run}
            state.save(self.folder / STATE, **task, samples_bytes=samples_bytes)
            draw_loss(read_metrics(self.folder / METRICS), self.folder / "loss.png")

    @contextmanager
    def _writing(self):
        try:
            yield
        except OSError as error:
            raise OSError(f"{self.folder} cannot be written: {error.strerror or error}; make room there, or give "
                          "permission") from error


def has_checkpoint(folder):
    return (Path(folder) / STATE).is_file()


def last_checkpoint(folder):
    """A sentence on what there is to go back to."""
    if not has_checkpoint(folder):
        return f"there is no checkpoint in {folder} yet"
    step = read_facts(Path(folder, STATE))["step"]
    return f"the checkpoint of step {step} is whole; go on from it: {resume_command(folder)}"


def resume_command(folder):
    facts = read_facts(Path(folder, STATE))
    return f"tinyllm {facts['command']} --resume {quoted(Path(folder).parent if facts['part_of_run'] else folder)}"


def quoted(path):
    """A path as a shell takes it, and no flag."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def refuse_if_taken(folder):
    """Raise where no folder can be, or a new run would overwrite a model."""
    for place in (Path(folder), *Path(folder).parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{place} is a file; --out-dir names a folder to make")
    if has_checkpoint(folder):
        raise FileExistsError(f"{folder} holds a run: go on with it, {resume_command(folder)}\n"
                              "or name another folder with --out-dir")
    killed_in_its_first_save = (Path(folder) / METRICS).exists()
    if (Path(folder) / WEIGHTS).exists() and not killed_in_its_first_save:
        raise FileExistsError(f"{folder} holds a model ({WEIGHTS}); name another folder with --out-dir")


def read_config(folder):
    """The TrainConfig of a run."""
    return TrainConfig(**read_toml(Path(folder, CONFIG)))


def check_text(folder, text_sha256):
    """Raise where a text is not the one that a run learns."""
    if has_checkpoint(folder) and read_facts(Path(folder, STATE))["text_sha256"] != text_sha256:
        raise ValueError(f"the run in {folder} belongs to another text, or the text has changed since it began (its "
                         f"sha256 is {text_sha256[:12]}… now); give the one it learned with --data")


def load_run(folder, best=False, without_tokenizer=False):
    """The model and the tokenizer of a run, of a Hugging Face folder, or of a model that was downloaded, by its name.

    best: as the model was when its validation loss was lowest. without_tokenizer: None will do where there is none.
    """
    folder, weights = local_model(folder), BEST if best else WEIGHTS
    if best and (folder / WEIGHTS).is_file() and not (folder / BEST).is_file():
        raise FileNotFoundError(f"{folder} holds no {BEST} yet: it was not evaluated; leave --best out")
    if not (folder / weights).is_file() and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a run: it holds no {weights}; "
                                "`tinyllm train` makes one")
    model = GPT.from_pretrained(folder, weights)
    if without_tokenizer and not has_tokenizer(folder):
        return model, None
    tokenizer = load_tokenizer(folder)
    there, known = model.config.vocab_size, tokenizer.vocab_size
    if known > there or known < there and (folder / CONFIG).is_file():  # others fill up to a size that computes faster
        raise ValueError(f"{folder}: the tokenizer has {known:,} tokens, the model {there:,}; they do not fit")
    return model, tokenizer
