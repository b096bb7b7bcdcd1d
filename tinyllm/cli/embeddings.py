"""What `tinyllm info` shows of the vectors of a model's tokens."""

from ..models.embeddings import Embeddings, shown
from ..training.run import load_run, quoted
from ..training.word2vec import is_word2vec, load_word2vec
from .summary import print_table

TO_SHOW, ON_A_MAP = 12, 100  # how many tokens, where none are named


def print_embeddings(folder, near=(), analogy=(), similarity="cosine", top=8, plot=None):
    """Neighbours, analogies and a picture; near: the tokens to look at, by default a dozen telling ones."""
    embeddings = load_embeddings(folder)
    if top < 1:
        raise ValueError(f"--top must be 1 or more, not {top}")
    rows = {shown(token): embeddings.neighbours(token, top, similarity) for token in near}
    rows |= {text: embeddings.analogy(text, top) for text in analogy}
    if not rows:
        rows = {shown(token): embeddings.neighbours(token, top, similarity)
                for token in telling(embeddings.tokens, TO_SHOW)}
    if plot:
        around = [token for row in rows.values() for token, _ in row]
        named = [embeddings.tokens[embeddings.id(token)] for token in near]
        tokens = named + around if near or analogy else telling(embeddings.tokens, ON_A_MAP)
        embeddings.plot(list(dict.fromkeys(tokens)), plot)
    print_table({name: "   ".join(f"{shown(token)} {score:.2f}" for token, score in row) for name, row in rows.items()})
    if plot:
        print(f"\nthe picture is {plot}")


def load_embeddings(folder):
    """The vectors of a folder: of the words of a word2vec, or of the tokens a GPT reads."""
    if is_word2vec(folder):
        return load_word2vec(folder)[0]
    model, tokenizer = load_run(folder)
    return Embeddings([tokenizer.decode([i]) for i in range(tokenizer.vocab_size)], model.wte.weight.data)


def telling(tokens, n):
    """n tokens that say something: of four letters or more, and not of those at the very top, as "that" and "with"."""
    found = [token for token in tokens[len(tokens) // 30 :] if len(token.strip()) >= 4][:n]
    return found if len(found) == n else tokens[:n]


def print_next(folder, words):
    """What to type next."""
    command = f"tinyllm info {quoted(folder)}"
    print(f"\nnext: {command} --near {quoted(telling(words, 1)[0])}\n      {command} --analogy 'king - man + woman'\n"
          f"      {command} --embeddings --plot words.png")
