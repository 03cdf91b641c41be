/**
 * The days of the timeline: a heading for each, and its posts in lists of a few. A list out of sight costs the browser
 * nothing; if each post were one, to look which are in sight would take longer than to draw them.
 */

import { dayOf, nameOfDay } from "./times.js";

const MAX_POSTS = 20;
// About as high as a post is. The browser remembers the height of those that it has shown.
const POST_REM = 6;

const template = document.getElementById("day");
// The shown parts of days: `{day, size, element, list}`.
let shown = new Set();
let midnight;

/** Shows these posts, `{element, day}` each and newest first, below the headings of their days. */
export function showDays(parent, views) {
  group(views);
  const parts = new Map();
  for (const { part, element } of views) {
    if (parts.has(part)) parts.get(part).push(element);
    else parts.set(part, [element]);
  }
  for (const [part, elements] of parts) {
    if (!part.element) create(part);
    part.element.classList.toggle("gone", false);
    place(part.list, elements);
  }
  const left = [...shown].filter((part) => !parts.has(part));
  for (const { element } of left) {
    // One whose last post left the list while it is being edited stays too.
    if (element.querySelector(".post")) element.classList.add("gone");
    else element.remove();
  }
  place(parent, [...parts.keys()].map(({ element }) => element));
  shown = new Set([...parts.keys(), ...left.filter(({ element }) => element.isConnected)]);
  nameDays();
}

/** Forgets all days. */
export function clearDays() {
  clearTimeout(midnight);
  shown.clear();
}

/** Gives each new post a part of its day: that of the post below it, unless that is full or of another day. */
function group(views) {
  const closed = new Set();
  let below;
  for (const view of views.toReversed()) {
    // Posts stand in the order in which they came in, so one that was deleted and added again has moved.
    if (closed.has(view.part)) view.part = undefined;
    if (!view.part) {
      const isRoom = below?.day === view.day && below.size < MAX_POSTS;
      view.part = isRoom ? below : { day: view.day, size: 0 };
      view.part.size++;
    }
    if (view.part !== below) closed.add(below);
    below = view.part;
  }
}

function create(part) {
  part.element = template.content.cloneNode(true).firstElementChild;
  part.list = part.element.querySelector("ol");
  part.element.style.containIntrinsicBlockSize = `auto ${part.size * POST_REM}rem`;
}

/** Names the days, now and after each midnight. */
function nameDays() {
  let above;
  for (const { day, element, list } of shown) {
    const name = nameOfDay(new Date(day));
    const heading = element.querySelector("h3");
    if (heading.textContent !== name) heading.textContent = list.ariaLabel = name;
    const begins = day !== above;
    element.classList.toggle("begins", begins);
    // To set what is set already makes the browser style it again.
    if (heading.hidden === begins) heading.hidden = !begins;
    above = day;
  }
  clearTimeout(midnight);
  midnight = setTimeout(nameDays, dayOf(new Date(), 1) - Date.now() + 1000);
}

/** Puts the elements into this order, without moving one that is in its place: it would lose the focus. */
function place(parent, elements) {
  let next = parent.firstElementChild;
  for (const element of elements) {
    while (next?.classList.contains("gone")) next = next.nextElementSibling;
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}
