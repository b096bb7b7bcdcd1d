// @ts-check
// How large the cells may be, so that a row of cards fits its pane and nothing of it is cut.

const GAP = 8;
const CARD = { padding: 18, head: 50, least: 96, letter: 6.7, letterOfTitle: 8.2 }; // what a card needs besides cells
const SIGN = 20; // the width of + and =
const CELL = { largest: 24, smallest: 1.5, finer: 0.5 };

const isScalar = (card) => sizeOf(card.array.shape) <= 1;

/** Where the cells of a card stand; where they are large enough, with room for names at the rows and columns. */
function placeOf(card, cell) {
  const names = card.namedRows && cell >= 8.5 ? 32 : 0;
  return geometry(card.array.shape, cell, names, cell >= 6);
}

function cardWidth(card, cell) {
  if (typeof card === "string") return card.length > 1 ? CARD.least : SIGN;
  const content = isScalar(card) ? 0 : placeOf(card, cell).width;
  return Math.max(content + CARD.padding, card.least);
}

/** A card is as wide as its title and the line below its cells; on a narrow screen these are cut and broken. */
function leastWidth(title, line) {
  if (isNarrow()) return CARD.least;
  return Math.max(
    CARD.least,
    title.length * CARD.letterOfTitle + CARD.padding,
    line.length * CARD.letter + CARD.padding,
  );
}

const isNarrow = () => window.innerWidth < 800;

function cardHeight(card, cell) {
  if (typeof card === "string") return 0;
  return CARD.head + (isScalar(card) ? 34 : placeOf(card, cell).tall);
}

const rowWidth = (cards, cells) => cards.reduce((sum, card, i) => sum + cardWidth(card, cells[i]) + GAP, -GAP);
const rowHeight = (cards, cells) =>
  cards.reduce((tallest, card, i) => Math.max(tallest, cardHeight(card, cells[i])), 0);

/** The largest cells with which no card is too tall and all fit beside each other; the largest give way first. */
function fitRow(cards, width, height) {
  const cells = cards.map((card) => {
    let cell = CELL.largest;
    while (cell > CELL.smallest && cardHeight(card, cell) > height) cell -= CELL.finer;
    return cell;
  });
  while (rowWidth(cards, cells) > width) {
    const wide = cards.map((_, i) => i).filter((i) => cells[i] > CELL.smallest && typeof cards[i] !== "string"
      && cardWidth(cards[i], cells[i]) > cards[i].least);
    if (!wide.length) break;
    const most = Math.max(...wide.map((i) => cells[i]));
    for (const i of wide) if (cells[i] === most) cells[i] -= CELL.finer;
  }
  return evened(cards, cells);
}

/** Where there is room, a card is wide enough for its shape and its note too. */
function widened(cards, cells, width) {
  let spare = width - rowWidth(cards, cells);
  cards.forEach((card, i) => {
    if (typeof card === "string") return;
    const whole = leastWidth(card.title, card.range) + (tuple(card.array.shape).length + card.note.length + 2) * CARD.letter;
    const wish = whole - cardWidth(card, cells[i]);
    if (wish <= 0 || wish > spare) return;
    card.least = whole;
    spare -= wish;
  });
}

/** What stands on one scale also has cells of one size. */
function evened(cards, cells) {
  const least = Math.min(...cells.filter((_, i) => cards[i].shared));
  return cells.map((cell, i) => (cards[i].shared ? least : cell));
}

/** The cells of all rows, which together fit into the height: the tallest row gives way first. */
function fitRows(rows, width, height) {
  const limits = rows.map(() => height);
  const least = rows.map((cards) => rowHeight(cards, cards.map(() => CELL.smallest)));
  for (;;) {
    const cells = rows.map((cards, i) => fitRow(cards, width, limits[i]));
    const heights = rows.map((cards, i) => rowHeight(cards, cells[i]));
    const can = (i) => limits[i] > least[i];
    const tallest = rows.map((_, i) => i).filter(can).sort((i, j) => heights[j] - heights[i])[0];
    const enough = heights.reduce((sum, x) => sum + x, 0) <= height;
    if (enough || tallest === undefined) return cells;
    limits[tallest] = Math.max(least[tallest], Math.min(limits[tallest], heights[tallest]) - 8);
  }
}

/** On a narrow screen the page scrolls: cards stand beside each other if they can, else below each other. */
function fitNarrow(cards, width) {
  const cells = fitRow(cards, width, Infinity);
  const readable = cells.every((cell, i) => typeof cards[i] === "string" || cell >= 3.5);
  if (readable && rowWidth(cards, cells) <= width) return cells.map((cell) => Math.min(cell, 14));
  return cards.map((card) => Math.min(fitRow([card], width, Infinity)[0], 8));
}
