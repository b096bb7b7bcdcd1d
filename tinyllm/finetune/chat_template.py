"""How a conversation is written as one text: what stands around what each one says."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..files import read_json, replace_text
from ..generation.slots import check_slots

FILE = "chat_template.json"  # in the folder of a model that was tuned with one


@dataclass(frozen=True)
class ChatTemplate:
    """begin, then each message as its role's text with the slot filled; `assistant` stands before an answer, `end`
    after it. What is learned is the answer and the end, by which it is known to be over.
    """

    begin: str
    system: str  # slot {content}
    user: str  # slots {content} and {input}
    input: str  # slot {content}; what takes the place of {input} where there is one
    assistant: str
    answer: str  # slot {content}
    end: str

    def __post_init__(self):
        check_slots("system", self.system, {"content"})
        check_slots("user", self.user, {"content", "input"})
        check_slots("input", self.input, {"content"})
        check_slots("answer", self.answer, {"content"})
        if not self.stop:
            raise ValueError("the template's end is empty; give a text by which an answer is known to be over")

    @property
    def stop(self):
        """What ends an answer that is generated."""
        return self.end.rstrip()

    def parts(self, messages):
        """(text, whether it is learned) for a conversation; one that ends with a question ends where to answer it."""
        asked, parts = self.begin, []
        for message in messages:
            if message.role == "assistant":
                if self.stop in message.content:
                    raise ValueError(f"an answer has {self.stop!r} in it, by which answers are known to be over; "
                                     "choose another template")
                parts += [(asked, False), (self.answer.format(content=message.content) + self.end, True)]
                asked = ""
            elif message.role == "system":
                asked = self.system.format(content=message.content) + asked
            else:
                about = self.input.format(content=message.input) if message.input else ""
                asked += self.user.format(content=message.content, input=about) + self.assistant
        return [*parts, (asked, False)] if asked else parts

    def save(self, folder):
        replace_text(Path(folder, FILE), json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")


TEMPLATES = {
    "alpaca": ChatTemplate(  # Taori et al. 2023, github.com/tatsu-lab/stanford_alpaca
        begin="Below is an instruction that describes a task. Write a response that appropriately completes the "
              "request.\n\n",
        system="{content}\n\n",
        user="### Instruction:\n{content}\n\n{input}",
        input="### Input:\n{content}\n\n",
        assistant="### Response:\n",
        answer="{content}",
        end="\n\n### End\n\n",
    ),
    "chat": ChatTemplate(  # as `tinyllm chat` shows it
        begin="User:",
        system="{content}\n",
        user=" {content}{input}\n",
        input="\n{content}",
        assistant="Assistant:",
        answer=" {content}",
        end="\nUser:",
    ),
    "chatml": ChatTemplate(  # OpenAI's
        begin="",
        system="<|im_start|>system\n{content}<|im_end|>\n",
        user="<|im_start|>user\n{content}{input}<|im_end|>\n",
        input="\n{content}",
        assistant="<|im_start|>assistant\n",
        answer="{content}",
        end="<|im_end|>\n",
    ),
}  # fmt: skip


def template_named(name):
    """The ChatTemplate that --template names: one of TEMPLATES, or a JSON file of its fields."""
    if name in TEMPLATES:
        return TEMPLATES[name]
    if not Path(name).is_file():
        raise ValueError(f"there is no template {name!r}; choose {', '.join(TEMPLATES)}, or give a JSON file with "
                         f"{', '.join(field.name for field in fields(ChatTemplate))}")
    return read_template(name)


def template_of(folder):
    """The ChatTemplate that the model of a run was tuned with; of any other model, "chat"."""
    path = Path(folder, FILE)
    return read_template(path) if path.is_file() else TEMPLATES["chat"]


def read_template(path):
    """The ChatTemplate of a JSON file."""
    found, names = read_json(path), {field.name for field in fields(ChatTemplate)}
    if not isinstance(found, dict) or set(found) != names or not all(isinstance(v, str) for v in found.values()):
        odd = sorted(set(found) ^ names) if isinstance(found, dict) else []
        raise ValueError(f"{path} must give a text for each of {', '.join(sorted(names))}, and nothing else"
                         + (f"; see {', '.join(odd)}" if odd else ""))
    try:
        return ChatTemplate(**found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
