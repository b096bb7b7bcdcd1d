"""A formula in TeX as a line or a few of plain text: \\frac{dy}{n} becomes dy/n."""

import re

SYMBOLS = {
    "cdot": "·", "log": "log ", "max": "max", "min": "min", "sum": "Σ", "mu": "μ", "sigma": "σ", "Phi": "Φ",
    "varphi": "φ", "varepsilon": "ε", "top": "ᵀ", "quad": " ", "leftarrow": "←", "eta": "η", "lambda": "λ",
    "beta": "β", "pi": "π", "partial": "∂", "leq": "≤", "tanh": "tanh ", "ldots": "…", "left": "", "right": "",
    ",": " ", ";": " ", "\\": "\n", "_": "_",
}  # fmt: skip
RAISED = dict(zip("0123456789+-−ijxt⊤ᵀ'", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁱʲˣᵗᵀᵀ′"))
LOWERED = dict(zip("0123456789+-ijtx", "₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₜₓ"))
TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|<\w+>|\s+|.", re.DOTALL)


def plain_math(tex, names=None):
    """The text of a formula; names: {slot: what stands in it}."""
    tex = re.sub(r"\\(begin|end)\{align\*\}", "", tex).replace("&", "")
    tokens = [token for token in TOKEN.findall(tex)]
    text = _sequence(tokens, names or {})
    text = re.sub(r" +", " ", text.replace("-", "−")).replace("( ", "(").replace(" )", ")").replace(" ,", ",")
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())


def _sequence(tokens, names):
    """Everything up to the brace that closes this group."""
    parts = []
    while tokens:
        token = tokens.pop(0)
        if token == "}":
            break
        parts.append(_part(token, tokens, names))
    return "".join(parts)


def _argument(tokens, names):
    """The next group in braces, or the next token."""
    while tokens[0].isspace():
        tokens.pop(0)
    token = tokens.pop(0)
    return _sequence(tokens, names) if token == "{" else _part(token, tokens, names)


def _part(token, tokens, names):
    if token == "{":
        return _sequence(tokens, names)
    if token.startswith("<") and len(token) > 2:
        return names.get(token[1:-1], token[1:-1])
    if token in "^_" and tokens:
        table, sign = (RAISED, "^") if token == "^" else (LOWERED, "_")
        return _shifted(_argument(tokens, names), table, sign)
    if not token.startswith("\\"):
        return token if not token.isspace() else " "
    name = token[1:]
    if name == "frac":
        above, below = _argument(tokens, names), _argument(tokens, names)
        return f"{_bracketed(above)}/{_bracketed(below)}"
    if name == "sqrt":
        return f"√{_bracketed(_argument(tokens, names))}"
    if name in ("hat", "bar"):
        return _argument(tokens, names) + {"hat": "\u0302", "bar": "\u0304"}[name]
    if name == "overline":
        return f"mean({_argument(tokens, names)})"
    if name in ("text", "operatorname"):
        return _argument(tokens, names)
    return SYMBOLS[name]


def _shifted(text, table, sign):
    if all(character in table for character in text):
        return "".join(table[character] for character in text)
    return f"{sign}({text})" if len(text) > 1 else sign + text


def _bracketed(text):
    simple = re.fullmatch(r"[\w.₁₂ₜᵢⱼ²\u0302\u0304]+", text)
    return text if simple else f"({text})"
