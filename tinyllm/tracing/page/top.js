// @ts-check
// What is on top of the page: tokens, badges, colours; and playing.

function drawTokens() {
  const { list, targets } = recording.tokens;
  byId("tokens").replaceChildren(
    ...list.map((token, i) =>
      element(
        "li",
        {},
        element(
          "button",
          {
            type: "button",
            "aria-pressed": "false",
            "data-token": i,
            title: `position ${i}: ${token.text} (id ${token.id})${targets[i] ? `, then ${targets[i].text}` : ""}`,
            onclick: () => followToken(i),
          },
          element("bdi", {}, clipped(token.text, 10)),
          element("small", {}, targets[i] ? element("bdi", {}, `→${clipped(targets[i].text, 10)}`) : ""),
        ),
      ),
    ),
  );
}

function followToken(i) {
  state.token = state.token === i ? null : i;
  for (const button of byId("tokens").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.token) === state.token));
  }
  drawCell();
}

function drawBadges() {
  const first = recording.steps.find((step) => isWrong(recording, step));
  const badge = byId("wrong");
  badge.hidden = !first;
  if (first) {
    badge.textContent = `✗ first wrong step: ${first.index}, ${first.call.op}`;
    badge.setAttribute("href", `#step=${first.index}`);
    badge.addEventListener("click", (event) => {
      event.preventDefault();
      go(first.index);
    });
  }
  const arrays = [
    ...recording.values.map((value) => value.array),
    ...recording.steps.map((step) => step.share).filter(Boolean),
  ];
  const odd = arrays.map(statistics).reduce((sum, { nan, infinite }) => sum + nan + infinite, 0);
  byId("odd").hidden = !odd;
  byId("odd").textContent = `${odd} cells are NaN or infinite`;
}

function setTheme(theme) {
  state.theme = theme;
  document.documentElement.dataset.theme = themeShown();
  say(`colours: ${theme}`);
}

function play() {
  if (state.playing) clearInterval(state.playing);
  const start = !state.playing && state.step < recording.steps.length - 1;
  state.playing = start ? window.setInterval(() => {
    go(state.step + 1);
    if (state.step === recording.steps.length - 1) play();
  }, 900) : 0;
  byId("play-icon").setAttribute("href", start ? "#i-pause" : "#i-play");
  document.querySelector('[data-do="play"]').setAttribute("aria-pressed", String(start));
}
