"""Instructions to try a fine-tuning on with nothing to download: small tasks on words of letters, made as needed."""

import random

from .conversations import Conversation, Message, Pair

LETTERS = "abcdefgh"
TASKS = {  # what is asked of a word, and its answer
    "Sort": lambda word: "".join(sorted(word)),
    "Repeat": lambda word: word,
    "First of": lambda word: word[0],
    "Last of": lambda word: word[-1],
    "Shout": str.upper,
}


def word_tasks(n=2000, seed=0):
    """n Conversations of one question and its answer: "Sort dbac" gives "abcd"."""
    rng, found = random.Random(seed), []
    for row in range(1, n + 1):
        task = rng.choice(list(TASKS))
        word = _word(rng)
        messages = Message("user", f"{task} {word}"), Message("assistant", TASKS[task](word))
        found.append(Conversation(messages, f"task {row}"))
    return found


def word_pairs(n=1000, seed=1):
    """n Pairs of answers to "Sort …": the letters in order, and in another order."""
    rng, found = random.Random(seed), []
    for row in range(1, n + 1):
        word = _word(rng)
        wrong = right = "".join(sorted(word))
        while wrong == right:
            wrong = "".join(rng.sample(right, len(right)))
        found.append(Pair((Message("user", f"Sort {word}"),), right, wrong, 0.0, False, f"pair {row}"))
    return found


def words_to_sort(n=1000, seed=2):
    """n Conversations that end with the question: "Sort dbac"."""
    rng = random.Random(seed)
    return [Conversation((Message("user", f"Sort {_word(rng)}"),), f"word {row}") for row in range(1, n + 1)]


def _word(rng):
    """Three to six different letters in no order."""
    while True:
        word = "".join(rng.sample(LETTERS, rng.randint(3, 6)))
        if word != "".join(sorted(word)):
            return word
