"""Numbers as people read them."""


def duration(seconds):
    """48 s, 2 min 20 s, 3 h 5 min"""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600:,} h {seconds % 3600 // 60} min"


def scaled(number, unit):
    """4.9 MFLOP, 97 MB: with the prefix that leaves 1 to 1,000."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5:
            break
        number /= 1000
    else:
        prefix = "P"
    return f"{number:,.0f} {prefix}{unit}" if number >= 999.5 else f"{number:.3g} {prefix}{unit}"


def visible(text):
    """Text as a terminal may have it: what would steer it, as escape codes do, is shown as a box."""
    return "".join(c if c == "\n" or c.isprintable() else "\u25a1" for c in text.expandtabs(4))
