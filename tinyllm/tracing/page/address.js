// @ts-check
// The address says where the reader is, and a link leads there.

/** The address follows when the reader pauses: browsers slow down a page that changes it all the time. */
function keepAddress() {
  clearTimeout(state.address);
  state.address = window.setTimeout(() => {
    if (location.hash !== state.known) return; // a link was followed, and is about to be read
    const cell = state.pinned ? `&cell=${state.pinned.join(",")}` : "";
    try {
      history.replaceState(null, "", `#step=${state.step}${cell}`);
      state.known = location.hash;
    } catch {
      // a page in an iframe without an address of its own
    }
  }, 120);
}

function readAddress() {
  state.known = location.hash;
  const values = new URLSearchParams(location.hash.slice(1));
  const cell = values.get("cell")?.split(",").map(Number) ?? null;
  const { focus } = recording.meta;
  if (focus && !values.has("step")) return go(focus.step, focus.cell ?? null);
  const index = Number(values.get("step")) || 0;
  if (index === state.step && state.shown) pin(fitted(cell, resultShape(step()))); // the step itself stays
  else go(index, cell);
}
