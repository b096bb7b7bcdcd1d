"""Conversations and preferences from JSON and JSONL files, in the layouts that are common.

    {"instruction": …, "input": …, "output": …}              Alpaca; input may be missing or empty
    {"messages": [{"role": "user", "content": …}, …]}        chat
    {"conversations": [{"from": "human", "value": …}, …]}    ShareGPT
    {"prompt": …, "completion": …}                           and question / answer, prompt / response

Of two answers to a prompt, {"prompt": … or instruction and input, "chosen": …, "rejected": …}, where the answers may
also be lists of messages that begin alike; "margin" says by how much, "tie": true that neither is better.
"""

from dataclasses import dataclass, replace

from ..data.rows import kind, read_rows

ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
         "model": "assistant"}  # fmt: skip
QUESTIONS = (("prompt", "completion"), ("prompt", "response"), ("question", "answer"))
LAYOUTS = "instruction and output, messages, conversations, prompt and completion, or question and answer"


@dataclass(frozen=True)
class Message:
    role: str  # system, user or assistant
    content: str
    input: str = ""  # what an instruction is about, where it stands apart from it


@dataclass(frozen=True)
class Conversation:
    messages: tuple  # of Message
    place: str  # where it stands: "data.json, row 3"


@dataclass(frozen=True)
class Pair:
    """Two answers to the same messages."""

    messages: tuple
    chosen: str
    rejected: str
    margin: float  # by how much the chosen one is better, as a difference of rewards
    tie: bool  # neither is better
    place: str


def read_conversations(path):
    """The Conversations of a file, in order; each ends with an answer."""
    return [Conversation(_messages(row, place), place) for row, place in read_rows(path)]


def read_pairs(path, equal_is_tie=False):
    """The Pairs of a file, in order; equal_is_tie: where both answers are the same, neither is better."""
    pairs = [_pair(row, place) for row, place in read_rows(path)]
    equal = [pair.place for pair in pairs if pair.chosen == pair.rejected and not pair.tie]
    if equal and not equal_is_tie:
        more = f", as in {len(equal) - 1} more rows, the last {equal[-1].rpartition(', ')[2]}" if equal[1:] else ""
        raise ValueError(f"{equal[0]}: chosen and rejected are equal{more}; take such pairs out, or count them as ties "
                         "with --equal-is-tie")
    if all(pair.tie or pair.chosen == pair.rejected for pair in pairs):
        raise ValueError(f"{path}: no row has an answer that is better than the other one, all {len(pairs):,} are "
                         "ties: there is nothing to learn")
    return [replace(pair, tie=True) if pair.chosen == pair.rejected else pair for pair in pairs]


def _messages(row, place):
    if "messages" in row:
        return _turns(row["messages"], "messages", "role", "content", place)
    if "conversations" in row:
        return _turns(row["conversations"], "conversations", "from", "value", place)
    if "instruction" in row:
        return (*_prompt(row, place), Message("assistant", _text(row, "output", place)))
    for question, answer in QUESTIONS:
        if question in row and answer in row:
            return Message("user", _text(row, question, place)), Message("assistant", _text(row, answer, place))
    raise ValueError(f"{place} has {', '.join(row) or 'nothing'}; it must have {LAYOUTS}")


def _prompt(row, place):
    """What the user says in a row of instruction and input, with the system's words before it."""
    if "instruction" not in row:
        return (Message("user", _text(row, "prompt", place)),)
    given = row.get("input") or ""
    if not isinstance(given, str):
        raise ValueError(f"{place}: input must be a text, not {kind(given)}")
    system = (Message("system", _text(row, "system", place)),) if row.get("system") else ()
    return (*system, Message("user", _text(row, "instruction", place), given))


def _turns(turns, name, role, content, place):
    """Messages that are listed: the user and the assistant in turns, the assistant last."""
    if not isinstance(turns, list) or not turns:
        raise ValueError(f"{place}: {name} must be a list of messages")
    found = []
    for n, turn in enumerate(turns, 1):
        who = turn.get(role) if isinstance(turn, dict) else None
        if who not in ROLES:
            raise ValueError(f"{place}: the {role} of message {n} is {who!r}; it must be one of {', '.join(ROLES)}")
        found.append(Message(ROLES[who], _text(turn, content, f"{place}, message {n}")))
    roles = [message.role for message in found if message.role != "system"]
    if roles != ["user", "assistant"] * (len(roles) // 2) or not roles:
        raise ValueError(f"{place}: user and assistant must take turns, and the assistant have the last word; they are "
                         f"{', '.join(roles) or 'none'}")
    return tuple(found)


def _pair(row, place):
    missing = {"chosen", "rejected"} - set(row)
    if missing:
        raise ValueError(f"{place} has no {' and no '.join(sorted(missing))}; a pair has a prompt (or an instruction), "
                         "chosen and rejected")
    if isinstance(row["chosen"], list):
        chosen, rejected = (_turns(row[name], name, "role", "content", place) for name in ("chosen", "rejected"))
        if chosen[:-1] != rejected[:-1]:
            raise ValueError(f"{place}: chosen and rejected answer different messages; only the last may differ")
        messages, chosen, rejected = chosen[:-1], chosen[-1].content, rejected[-1].content
    else:
        messages, chosen, rejected = _prompt(row, place), *(_text(row, name, place) for name in ("chosen", "rejected"))
    margin, tie = row.get("margin", 0), row.get("tie", False)
    if type(margin) not in (int, float) or not 0 <= margin < float("inf") or type(tie) is not bool:
        raise ValueError(f"{place}: margin must be a number from 0 on, and tie true or false; they are {margin!r} and "
                         f"{tie!r}")
    return Pair(messages, chosen, rejected, float(margin), tie, place)


def _text(row, name, place):
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{place}: {name} must be a text, not {kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place}: {name} has half of a character (a lone surrogate); take it out") from error
    if not value.strip():
        raise ValueError(f"{place}: {name} is empty; take the row out, or give it one")
    return value
