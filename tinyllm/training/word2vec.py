"""The training of word2vec, and the folder it leaves behind.

    word2vec.json        the words with their counts, and the Word2VecConfig
    model.safetensors    input.weight and output.weight, a row for each word
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..data import DataLoader
from ..data.skipgrams import SkipGrams, vocabulary, words
from ..files import read_json, replace_text
from ..models.embeddings import Embeddings
from ..models.pretrained import save_arrays
from ..models.tensor_file import read_tensors
from ..models.word2vec import Word2Vec
from ..optim import AdamW
from .run import has_checkpoint
from .state import Diverged

WORDS, WEIGHTS = "word2vec.json", "model.safetensors"


def train_word2vec(config, text, report=lambda step, steps, loss: None):
    """Learn a vector for each word of a text as `config` (a Word2VecConfig) says: (model, words, counts).

    After each step, report(how many were made, of how many, its loss) is called.
    """
    found = words(text)
    vocab, counts = vocabulary(found, config.min_count)
    place = {word: i for i, word in enumerate(vocab)}
    ids = np.array([place[word] for word in found if word in place])
    pairs = SkipGrams(ids, counts, config.window, config.negatives, config.subsample)
    loader = DataLoader(pairs, config.batch_size, shuffle=True, num_workers=1, collate_fn=tuple, seed=config.seed)
    model = Word2Vec(len(vocab), config.n_embd, config.seed)
    optimizer = AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    steps = config.epochs * len(loader)
    for step, batch in enumerate((batch for _ in range(config.epochs) for batch in loader), 1):
        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - (step - 1) / steps)
        report(step, steps, train_step(model, optimizer, batch, step))
    return model, vocab, counts


def train_step(model, optimizer, batch, step):
    """One step on (centres, contexts, negatives); gives its loss, None where subsampling left no pair."""
    if len(batch[0]) == 0:
        return None
    loss = model.loss(*batch)
    if not np.isfinite(loss.item()):
        raise Diverged(f"step {step}: the training diverged (loss {loss.item()}); lower --learning-rate. Nothing was "
                       "written")
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def refuse_if_taken(folder):
    """Raise where no folder can be, or where one holds a model."""
    for place in (Path(folder), *Path(folder).parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{place} is a file; --out-dir names a folder to make")
    if has_checkpoint(folder) or Path(folder, WEIGHTS).exists():
        raise FileExistsError(f"{folder} holds a model ({WEIGHTS}); name another folder with --out-dir")


def save_word2vec(folder, config, model, vocab, counts):
    """Write the two files of the folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    content = {"words": dict(zip(vocab, counts.tolist())), "config": asdict(config)}
    replace_text(Path(folder, WORDS), json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    save_arrays(Path(folder, WEIGHTS), model.state_dict(), {"format": "pt"})


def is_word2vec(folder):
    return Path(folder, WORDS).is_file()


def load_word2vec(folder):
    """What `save_word2vec` wrote: Embeddings of the input vectors, the counts of their words, the config as a dict."""
    path = Path(folder, WORDS)
    content = read_json(path, limit=1_000_000_000)
    try:
        counts, config = content["words"], content["config"]
        embeddings = Embeddings(counts, read_tensors(Path(folder, WEIGHTS))["input.weight"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} is not what `tinyllm train-embeddings` wrote: {error}; train it again") from error
    return embeddings, list(counts.values()), config
