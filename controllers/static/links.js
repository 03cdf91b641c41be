/** The addresses in a text, as links. */

const ADDRESS = /\bhttps?:\/\/[^\s<>"“”«»]+/gi;
// What ends a sentence, or closes what was opened before the address, is no part of it.
const TRAILING = /[.,:;!?'’*_~…。、，！？]+$/;
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

/** Returns the text as nodes, in which addresses of http and https are links. */
export function withLinks(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(found);
    if (!URL.canParse(address)) continue;
    nodes.push(text.slice(end, index), link(address));
    end = index + address.length;
  }
  return [...nodes, text.slice(end)];
}

function trimmed(address) {
  for (;;) {
    const last = address.at(-1);
    const opening = BRACKETS[last];
    const isUnopened = opening && address.split(opening).length < address.split(last).length;
    const shorter = isUnopened ? address.slice(0, -1) : address.replace(TRAILING, "");
    if (shorter === address) return address;
    address = shorter;
  }
}

function link(address) {
  const element = document.createElement("a");
  element.href = address;
  element.rel = "noopener noreferrer";
  element.target = "_blank";
  element.textContent = address;
  return element;
}
