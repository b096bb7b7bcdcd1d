"""How fast a vocabulary is learned and text encoded, beside the plain trainer, Hugging Face's tokenizers and tiktoken.

    python benchmarks/bench_tokenizers.py [TEXT ...]

writes benchmarks/results/tokenizers.md. Without TEXT the text is what every Python has: its manual, then the .py files
of its library and of the packages installed with it, so that nothing is repeated to fill it up. Seconds are those of
the processor, on one thread.
"""

import datetime
import os
import platform
import random
import sys
import sysconfig
import time
from importlib.metadata import version
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"  # of tokenizers
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

from tinyllm.data import python_manual, read_text  # noqa: E402
from tinyllm.tokenizers import PATTERNS, BPETokenizer, bpe_plain  # noqa: E402
from tinyllm.tokenizers.pretokenize import split  # noqa: E402

PATTERN = "gpt4"
PLAIN, SMALL, LARGE = (100_000, 512), (1_000_000, 4096), (20_000_000, 32_768)  # characters, vocabulary
RESULTS = ROOT / "benchmarks/results/tokenizers.md"


def texts(paths):
    """Texts up to the size of the largest case; library files in an order that is mixed, but always the same."""
    if paths:
        yield from map(read_text, paths)
        return
    yield python_manual()
    files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    random.Random(0).shuffle(files)
    for path in files:
        try:
            yield read_text(path)
        except ValueError:  # empty, or not UTF-8
            pass


def collect(paths, size):
    parts, n = [], 0
    for text in texts(paths):
        parts.append(text)
        n += len(text)
        if n >= size:
            break
    return "\n".join(parts)[:size]


def train_plain(text, vocab_size):
    """minbpe's way: count every pair anew for each merge, and rewrite every piece. Merges, as a list."""
    pieces, merges = [list(piece.encode("utf-8")) for piece in split(text, PATTERN)], []
    while len(merges) < vocab_size - 256:
        counts = {}
        for ids in pieces:
            for pair in zip(ids, ids[1:]):
                counts[pair] = counts.get(pair, 0) + 1
        merges.append(max(counts, key=counts.get))
        pieces = [bpe_plain.merge(ids, merges[-1], 255 + len(merges)) for ids in pieces]
    return merges


def train_there(text, vocab_size):
    """Hugging Face's tokenizers, with the same pattern."""
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(PATTERNS[PATTERN]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def seconds(call):
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def train_ours(text, vocab_size):
    return BPETokenizer.train(text, vocab_size, PATTERN)


def main(paths):
    text = collect(paths, LARGE[0])
    rows, trained = [], None
    for size, vocab_size in (PLAIN, SMALL, LARGE):
        part = text[:size]
        trainers_ = (train_ours, train_there, train_plain)[: 3 if size == PLAIN[0] else 2]
        times = {}
        for trainer in trainers_:
            times[trainer], result = seconds(lambda: trainer(part, vocab_size))
            if trainer is train_ours:
                trained = result
            if trainer is train_plain and BPETokenizer.train(part, vocab_size, PATTERN).merges != result:
                raise AssertionError("the plain trainer and the fast one made different merges")
        what = f"train {vocab_size:,} tokens on {len(part) / 1e6:,.1f} million characters"
        rows.append((what, *(times.get(trainer) for trainer in (train_ours, train_there, train_plain)), None))
    part = text[: SMALL[0]]
    theirs, tiktoken = Tokenizer.from_str(trained.to_json()), trained.to_tiktoken()
    trained.encode("warm")
    ours, ids = seconds(lambda: trained.encode(part))
    there, others = seconds(lambda: theirs.encode(part).ids)
    direct, same = seconds(lambda: tiktoken.encode_ordinary(part))
    by_merges, again = seconds(lambda: trained.encode_by_merges(part))
    if not ids.tolist() == others == same == again.tolist():
        raise AssertionError("the encoders give different ids")
    rows.append((f"encode {len(part) / 1e6:,.1f} million characters with it", ours, there, None, direct))
    rows.append(("the same in Python (encode_by_merges)", by_merges, None, None, None))
    letters, _ = seconds(lambda: train_ours("a" * 1_000_000, 4096))
    rows.append(("train on a million times the letter a", letters, None, None, None))
    table = report(rows, paths)
    RESULTS.write_text(table, encoding="utf-8")
    print(table)


def report(rows, paths):
    source = ", ".join(path.name for path in map(Path, paths)) or "Python's manual and library"
    lines = [f"Processor seconds on one thread, and how many times as long as tinyllm's. Pattern {PATTERN}, text: "
             f"{source}. Made by `python benchmarks/bench_tokenizers.py` on {datetime.date.today()}: "
             f"{platform.machine()}, Python {platform.python_version()}, tokenizers {version('tokenizers')}, "
             f"tiktoken {version('tiktoken')}.", "",
             "| | tinyllm | tokenizers | plain (minbpe's way) | tiktoken |", "|---|---|---|---|---|"]  # fmt: skip
    for what, ours, *others in rows:
        cells = ("" if other is None else f"{other:.2f} ({other / ours:.2g}×)" for other in others)
        lines.append(f"| {what} | {ours:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
