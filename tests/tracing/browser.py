"""A page that is open in the browser, and what can be read from it."""

import json
import re

GO = """(hash) => new Promise((done) => {
  window.addEventListener("hashchange", done, { once: true });
  if (location.hash === hash) window.dispatchEvent(new Event("hashchange"));
  else location.hash = hash;
}).then(() => {})"""

# At each of a list of places, [step, cell]: what READ gives there. One call for all of them, for each call takes time.
AT_EACH = f"""async (places) => {{
  const go = {GO};
  const seen = [];
  for (const [step, cell] of places) {{
    await go(`#step=${{step}}` + (cell ? `&cell=${{cell}}` : ""));
    seen.push((READ)());
  }}
  return seen;
}}"""

ARITHMETIC = """() => {
  for (let more; (more = document.querySelector(".more")); ) more.click();
  return [...document.querySelectorAll(".equation")].map((line) => [line.querySelector(".lhs").textContent,
    [...line.querySelectorAll(".term")].map((term) => [term.previousSibling.textContent, term.textContent]),
    line.querySelector(".sum b").textContent]);
}"""


class Opened:
    """A page in the browser, with all it asked the network for and all it complained about."""

    def __init__(self, browser, path, address="", size=(1440, 900), **options):
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        self.tab = self.context.new_page()
        self.requests, self.complaints = [], []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.goto(f"file://{path}{address}")

    def go(self, step, cell=None):
        there = f"#step={step}" + (f"&cell={','.join(map(str, cell))}" if cell is not None else "")
        self.tab.evaluate(GO, there)

    def at_each(self, places, read):
        """What the JavaScript function `read` gives at each of the places: steps, or (step, cell)."""
        listed = [(p, None) if isinstance(p, int) else (p[0], ",".join(map(str, p[1]))) for p in places]
        return self.tab.evaluate(AT_EACH.replace("READ", read), listed)

    def press(self, *keys):
        for key in keys:
            self.tab.keyboard.press(key)

    def text(self, selector):
        return self.tab.inner_text(selector)

    @property
    def address(self):
        self.tab.wait_for_timeout(250)  # it follows when the reader pauses
        return self.tab.url

    @property
    def step(self):
        return int(re.search(r"step (\d+) of", self.text("#counter"))[1])


def embedded(html):
    """The recording in a page."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)[1])
