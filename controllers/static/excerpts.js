/** Beginnings of texts. */

const MAX_LINES = 20;
// A few lines more are not worth a button.
const SPARE_LINES = 5;
// What fits in a line, about: to lay out a post of a megabyte in order to know would take a second.
const narrow = matchMedia("(max-width: 40rem)");
const COLUMNS = { narrow: 45, wide: 85 };

/** Returns the first so many characters of a text, on one line, and says if there are more. */
export function excerpt(text, length) {
  const trimmed = text.trim();
  const begin = [...trimmed.slice(0, 4 * length).replace(/\s+/g, " ")];
  const isWhole = begin.length <= length && trimmed.length <= 4 * length;
  return isWhole ? begin.join("") : `${begin.slice(0, length).join("").trim()}…`;
}

/** Returns about the first 20 lines of a text, or null if it is not much longer. */
export function firstLines(text) {
  const columns = narrow.matches ? COLUMNS.narrow : COLUMNS.wide;
  if (endOfLines(text, MAX_LINES + SPARE_LINES, columns) === text.length) return null;
  const begin = text.slice(0, endOfLines(text, MAX_LINES, columns));
  const word = Math.max(begin.lastIndexOf(" "), begin.lastIndexOf("\n")) + 1;
  // A part of an address leads elsewhere. Some languages have no spaces.
  const isWhole = begin.length - word > columns && !/https?:/i.test(begin.slice(word));
  const shown = begin.slice(0, isWhole ? begin.length : word).trimEnd();
  // Not half a character.
  return `${shown.replace(/[\uD800-\uDBFF]$/, "")}…`;
}

/** Returns where the first so many lines end. */
function endOfLines(text, lines, columns) {
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    const rows = Math.max(1, Math.ceil((end - start) / columns));
    if (rows > lines) return start + lines * columns;
    lines -= rows;
    start = end + 1;
  }
  return text.length;
}
