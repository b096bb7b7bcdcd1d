// @ts-check
// An array drawn as cells: orange above 0, blue below, on a scale; what is no number has a cell of its own kind.

const COLOURS = {
  light: { zero: [255, 255, 255], above: [191, 67, 0], below: [11, 84, 166], ink: "#1c1b19", faint: "#8a8780",
    odd: "#b0008e", hatch: "#b9b5ab", ground: "#f1efe9" },
  dark: { zero: [29, 31, 36], above: [255, 150, 50], below: [90, 175, 255], ink: "#f2f0ea", faint: "#8d93a0",
    odd: "#ff6ad5", hatch: "#4b505b", ground: "#23262d" },
  contrast: { zero: [0, 0, 0], above: [255, 176, 0], below: [80, 190, 255], ink: "#ffffff", faint: "#ffffff",
    odd: "#ff7be5", hatch: "#8a8a8a", ground: "#000000" },
};

/** What is in an array, for the line below it and for its scale. */
function statistics(array) {
  let [min, max, zeros, nan, infinite] = [Infinity, -Infinity, 0, 0, 0];
  for (const x of array.data) {
    if (Number.isNaN(x)) nan++;
    else if (!Number.isFinite(x)) infinite++;
    else {
      if (x < min) min = x;
      if (x > max) max = x;
      if (x === 0) zeros++;
    }
  }
  if (min > max) [min, max] = [0, 0];
  return { min, max, zeros, nan, infinite, size: Math.max(Math.abs(min), Math.abs(max)) };
}

/** How far from 0 a number is on the scale, −1 … 1; on the logarithmic one six powers of ten are seen. */
function position(number, size, logarithmic) {
  if (!size || !number) return 0;
  const part = Math.min(Math.abs(number) / size, 1);
  const seen = logarithmic ? Math.max(0, 1 + Math.log10(part) / 6) : part;
  return Math.sign(number) * seen;
}

/** The colours of a scale from −1 to 1, in steps too small to see; computed once a theme. @type {Map<any, number[][]>} */
const RAMPS = new Map();
const RAMP = 256; // steps on each side of 0

function rampOf(colours) {
  if (!RAMPS.has(colours)) {
    RAMPS.set(colours, Array.from({ length: 2 * RAMP + 1 }, (_, i) => {
      const position = i / RAMP - 1;
      const end = position < 0 ? colours.below : colours.above;
      const weight = Math.abs(position) ** 0.8;
      return colours.zero.map((zero, part) => Math.round(zero + (end[part] - zero) * weight));
    }));
  }
  return RAMPS.get(colours);
}

const rgbOf = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** The matrices of an array side by side: how many, and the rows and columns of each. */
function panelsOf(shape) {
  if (shape.length < 2) return { count: 1, rows: 1, columns: shape[0] ?? 1 };
  return { count: sizeOf(shape.slice(0, -2)), rows: shape.at(-2), columns: shape.at(-1) };
}

const PANEL_GAP = 8;

/** Where things stand on a canvas whose cells are `cell` wide. */
function geometry(shape, cell, rowLabels, columnLabels) {
  const { count, rows, columns } = panelsOf(shape);
  const height = rows === 1 ? Math.max(cell, 12) : cell;
  const [left, top] = [rowLabels, columnLabels ? 13 : 0];
  const panel = columns * cell + PANEL_GAP;
  return { count, rows, columns, cell, height, left, top, panel,
    width: left + count * panel - PANEL_GAP + 2, tall: top + rows * height + 2 };
}

/** The index of the cell under a point of the canvas, null between cells. */
function cellAt(shape, place, x, y) {
  const panel = Math.floor((x - place.left) / place.panel);
  const column = Math.floor((x - place.left - panel * place.panel) / place.cell);
  const row = Math.floor((y - place.top) / place.height);
  const inside = panel >= 0 && panel < place.count && column >= 0 && column < place.columns && row >= 0
    && row < place.rows;
  if (!inside || !sizeOf(shape)) return null;
  return unravel(shape, (panel * place.rows + row) * place.columns + column);
}

/** Left upper corner of a cell, by its place in the flat data. */
function corner(place, flat) {
  const column = flat % place.columns;
  const row = Math.floor(flat / place.columns) % place.rows;
  const panel = Math.floor(flat / place.columns / place.rows);
  return [place.left + panel * place.panel + column * place.cell, place.top + row * place.height];
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{array: NdArray, kind?: string, masked?: (index: number[]) => boolean,
 *   rowName: (row: number, panel: number) => string | null, columnName: (column: number) => string | null}} card
 */
function drawCells(canvas, card, place, scale, colours) {
  const context = prepared(canvas, place.width, place.tall);
  const colour = colourOf(card.kind, scale, colours);
  for (let panel = 0; panel < place.count; panel++) drawPanel(context, card, place, panel, colour);
  drawSpecial(context, card, place, colours);
  labels(context, card, place, colours);
}

/** One matrix: a picture with a point for each cell, drawn large, with lines cut between the cells. */
function drawPanel(context, card, place, panel, colour) {
  const { rows, columns, cell, height } = place;
  const picture = new ImageData(columns, rows);
  const start = panel * rows * columns;
  for (let i = 0; i < rows * columns; i++) picture.data.set([...colour(card.array.data[start + i]), 255], 4 * i);
  const points = document.createElement("canvas");
  [points.width, points.height] = [columns, rows];
  points.getContext("2d").putImageData(picture, 0, 0);
  const [x, y] = [place.left + panel * place.panel, place.top];
  context.imageSmoothingEnabled = false;
  context.drawImage(points, x, y, columns * cell, rows * height);
  const line = lineOf(cell);
  if (!line) return;
  for (let i = 1; i <= columns; i++) context.clearRect(x + i * cell - line, y, line, rows * height);
  for (let i = 1; i <= rows; i++) context.clearRect(x, y + i * height - line, columns * cell, line);
}

const lineOf = (cell) => (cell >= 6 ? 1 : cell >= 3.5 ? 0.5 : 0);

/** Cells that hold no number on the scale: masked ones, NaN and infinities. */
function drawSpecial(context, card, place, colours) {
  const { data, shape } = card.array;
  if (!card.masked && data.every(Number.isFinite)) return;
  const line = lineOf(place.cell);
  const [w, h] = [place.cell - line, place.height - line];
  data.forEach((number, flat) => {
    const [x, y] = corner(place, flat);
    if (card.masked?.(unravel(shape, flat))) hatched(context, x, y, w, h, colours);
    else if (!Number.isFinite(number)) odd(context, number, x, y, w, h, colours);
  });
}

/** The function from a number to its colour. */
function colourOf(kind, scale, colours) {
  const ground = rgbOf(colours.ground);
  if (kind === "i4") return () => ground;
  const ink = rgbOf(colours.ink);
  if (kind === "b1") return (number) => (number ? ink : ground);
  const ramp = rampOf(colours);
  return (number) => ramp[Math.round(RAMP * (1 + position(number, scale.size, scale.logarithmic)))] ?? ground;
}

function prepared(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = Math.ceil(width * ratio);
  canvas.height = Math.ceil(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

/** A masked cell: no value stands there. */
function hatched(context, x, y, w, h, colours) {
  context.save();
  context.beginPath();
  context.rect(x, y, w, h);
  context.clip();
  context.fillStyle = colours.ground;
  context.fillRect(x, y, w, h);
  context.strokeStyle = colours.hatch;
  context.beginPath();
  for (let shift = -h; shift < w; shift += 4) {
    context.moveTo(x + shift, y + h);
    context.lineTo(x + shift + h, y);
  }
  context.stroke();
  context.restore();
}

/** NaN is a cross, an infinity a plus or a minus. */
function odd(context, number, x, y, w, h, colours) {
  context.fillStyle = colours.odd;
  context.fillRect(x, y, w, h);
  context.strokeStyle = "#ffffff";
  context.beginPath();
  const lines = Number.isNaN(number) ? [[0.2, 0.2, 0.8, 0.8], [0.2, 0.8, 0.8, 0.2]] : [[0.2, 0.5, 0.8, 0.5]];
  if (number === Infinity) lines.push([0.5, 0.2, 0.5, 0.8]);
  for (const [x0, y0, x1, y1] of lines) {
    context.moveTo(x + x0 * w, y + y0 * h);
    context.lineTo(x + x1 * w, y + y1 * h);
  }
  context.stroke();
}

function labels(context, card, place, colours) {
  context.font = "9.5px ui-monospace, 'DejaVu Sans Mono', Consolas, monospace";
  context.fillStyle = colours.faint;
  context.textBaseline = "middle";
  if (place.left) {
    context.textAlign = "right";
    for (let row = 0; row < place.rows; row++) {
      const name = card.rowName(row, 0);
      if (name !== null) context.fillText(clipped(name), place.left - 5, place.top + (row + 0.5) * place.height);
    }
  }
  if (place.top) {
    context.textAlign = "center";
    const every = Math.ceil(14 / place.cell);
    for (let panel = 0; panel < place.count; panel++) {
      for (let column = 0; column < place.columns; column++) {
        const name = card.columnName(column);
        if (name === null && column % every) continue;
        const x = place.left + panel * place.panel + (column + 0.5) * place.cell;
        context.fillText(name === null ? String(column) : clipped(name, 2), x, 6);
      }
    }
  }
  if (card.kind === "i4" && place.cell >= 8) {
    context.fillStyle = colours.ink;
    context.textAlign = "center";
    card.array.data.forEach((number, flat) => {
      const [x, y] = corner(place, flat);
      context.fillText(String(number), x + place.cell / 2, y + place.height / 2);
    });
  }
}

function clipped(name, length = 4) {
  const characters = [...name];
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : name;
}

/** Outlines above the cells: the one in question, those that went into it, and the row of a followed token. */
function drawMarks(canvas, card, place, marks, tokenRow, colours) {
  const context = prepared(canvas, place.width, place.tall);
  context.strokeStyle = colours.ink;
  for (const { index, strong } of marks) {
    const [x, y] = corner(place, offset(card.array.shape, index));
    context.lineWidth = strong ? 2 : 1;
    const inset = strong ? -0.5 : 0.5;
    context.strokeRect(
      x + inset,
      y + inset,
      Math.max(place.cell - 1 - 2 * inset, 1),
      Math.max(place.height - 1 - 2 * inset, 1),
    );
  }
  if (tokenRow === null) return;
  context.lineWidth = 1;
  context.setLineDash([3, 2]);
  const y = place.top + tokenRow * place.height;
  context.strokeRect(place.left - 1, y - 1, place.width - place.left - 1, place.height + 1);
}
