"""Prompts that show a model what to do: a few examples first (few-shot, Brown et al. 2020, arXiv:2005.14165), or
examples that think aloud (chain of thought, Wei et al. 2022, arXiv:2201.11903).

A template is a text with slots in braces. Above a line `---` stands how an example is written, below it what is asked:

    Q: {question}
    A: {answer}
    ---
    Q: {question}
    A:
"""

from dataclasses import dataclass
from pathlib import Path

from .slots import slots_of

SEPARATOR, BETWEEN = "\n---\n", "\n\n"


@dataclass(frozen=True)
class PromptTemplate:
    example: str  # "" where the template has none
    ask: str
    name: str

    @classmethod
    def of(cls, text, name):
        """The template in a text; name: for errors."""
        example, separator, ask = text.rstrip("\n").partition(SEPARATOR)
        example, ask = (example, ask) if separator else ("", example)
        try:
            template = cls(example, ask, name)
            if not slots_of(ask):
                raise ValueError("what is asked has no slot, as {question}; every prompt would be the same")
            if example and (missing := set(slots_of(ask)) - set(slots_of(example))):
                raise ValueError(f"the example lacks the slot {{{min(missing)}}} of what is asked")
        except ValueError as error:
            raise ValueError(f"template {name}: {error}") from error
        return template

    @property
    def slots(self):
        """The slots of what is asked."""
        return list(dict.fromkeys(slots_of(self.ask)))

    @property
    def stop(self):
        """What begins when an answer is over: the next example. None without examples."""
        return BETWEEN + self.example.partition("{")[0].rstrip() if self.example else None

    def prompt(self, row, shots=()):
        """The text to continue: an example for each of shots, then what is asked of row; both {slot: text}."""
        shown = [self._filled(self.example, shot, f"example {n}") for n, shot in enumerate(shots, 1)]
        return BETWEEN.join([*shown, self._filled(self.ask, row, "what is asked")])

    def expected(self, row):
        """How the example goes on where the asking ends: what a model should write. None without an example."""
        if not self.example:
            return None
        whole, asked = (self._filled(text, row, "a row") for text in (self.example, self.ask))
        if not whole.startswith(asked) or whole == asked:
            raise ValueError(f"template {self.name}: the example does not go on from what is asked, so nothing says "
                             "what a right answer is; let it begin as the asking does")
        return whole[len(asked) :]

    def final(self, text):
        """The answer alone, in what a model wrote: behind the words that stand before the example's last slot."""
        before, _, last = self.example.rpartition("{")
        return text.rpartition(before.rpartition("}")[2])[2].removesuffix(last.partition("}")[2])

    def _filled(self, text, row, what):
        for slot in slots_of(text):
            if not isinstance(row.get(slot), str):
                raise ValueError(f"template {self.name}: {what} needs a text for its slot {{{slot}}}; there is "
                                 f"{', '.join(row) or 'nothing'}")
            if not row[slot].strip():
                raise ValueError(f"template {self.name}: {what} has an empty text for its slot {{{slot}}}")
        return text.format(**row)


PROMPT_TEMPLATES = {
    "few-shot": "Q: {question}\nA: {answer}\n---\nQ: {question}\nA:",
    "chain-of-thought": "Q: {question}\nA: Let us think step by step. {reasoning} So the answer is {answer}.\n---\n"
                        "Q: {question}\nA: Let us think step by step.",
}  # fmt: skip


def prompt_template(name):
    """The PromptTemplate that --template names: one of PROMPT_TEMPLATES, or a text file."""
    if name in PROMPT_TEMPLATES:
        return PromptTemplate.of(PROMPT_TEMPLATES[name], name)
    if not Path(name).is_file():
        raise ValueError(f"there is no template {name!r}; choose {', '.join(PROMPT_TEMPLATES)}, or give a text file "
                         "with slots, as {question}")
    try:
        return PromptTemplate.of(Path(name).read_text(encoding="utf-8"), name)
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text; save a template as UTF-8") from error
