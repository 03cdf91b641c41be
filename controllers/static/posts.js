/** The list of posts in the page. */

import { clearDays, showDays } from "./days.js";
import { cancelDeletion } from "./deletion.js";
import { editOf, editedPosts, onEditForgotten } from "./edits.js";
import { PostView, readPost } from "./post.js";

const list = document.getElementById("posts");
const apart = document.getElementById("apart");
const shown = new Map();
const names = new Set();

/**
 * Shows exactly these posts, and also those that are being edited, so that no typed text is lost.
 * `actions` are `refresh()`, which brings the list up to date, `tell(text)`, and `failed(error)`.
 */
export function showPosts(posts, actions) {
  const wanted = new Set(posts.map(({ postID }) => postID));
  for (const [id, view] of shown) {
    if (wanted.has(id)) view.stay();
    else drop(view);
  }
  const views = posts.map((post) => {
    const view = shown.get(post.postID) ?? viewOf(post, actions);
    view.update(post);
    return view;
  });
  showDays(list, views);
}

/**
 * Opens also the edits that were not saved of posts that the list does not have: they are older than those that were
 * read, or deleted. `actions` are those of `showPosts`.
 */
export async function resumeEdits(actions, signal) {
  for (const postID of editedPosts().filter((each) => !shown.has(each))) {
    const post = await readPost(postID).catch((error) => {
      if (error.status !== 404) throw error;
      return null;
    });
    const unsaved = editOf(postID);
    if (signal.aborted || shown.has(postID) || !unsaved) continue;
    const view = viewOf(post ?? { ...unsaved, postID, text: "" }, actions);
    if (view.isEdited) {
      view.standApart({ isDeleted: post === null });
      apart.append(view.element);
    } else drop(view);
  }
  if ([...shown.values()].some(({ isEdited }) => isEdited)) actions.tell("An edit that was not saved is open again.");
}

/** Empties the list, and discards a deletion that was not sent. Edits that were not saved stay in the browser. */
export function clearPosts() {
  cancelDeletion();
  shown.clear();
  names.clear();
  clearDays();
  list.replaceChildren();
  apart.replaceChildren();
}

onEditForgotten((postID) => shown.get(postID)?.keepEdit());

// Paper has no buttons. Only then are long texts laid out whole: with some of a megabyte, that takes seconds.
addEventListener("beforeprint", () => shown.forEach((view) => view.print(true)));
addEventListener("afterprint", () => shown.forEach((view) => view.print(false)));

/** Returns how many posts there are in the page. */
export const countPosts = () => elements().length;

/** Puts the focus on a post, by its place in the list. */
export function focusPost(index) {
  const buttons = elements()[index]?.querySelectorAll("button, textarea") ?? [];
  const first = [...buttons].find((button) => button.checkVisibility());
  (first ?? document.getElementById("text")).focus();
}

const elements = () => [...list.querySelectorAll(".post:not([hidden])")];

/** Moves the focus from a post that goes to the next one, or to the one before. */
function leave({ element }) {
  if (!element.contains(document.activeElement)) return;
  const index = elements().indexOf(element);
  focusPost(index + 1 < countPosts() ? index + 1 : index - 1);
}

function viewOf(post, actions) {
  const view = new PostView(post, { ...actions, nameOf, leave, drop });
  shown.set(post.postID, view);
  return view;
}

function drop(view) {
  if (!view.vanish()) return;
  shown.delete(view.postID);
  names.delete(view.name);
}

/** Returns a name that no other post has instead of an earlier one, so that the buttons of posts have names of their own. */
function nameOf(name, earlier) {
  names.delete(earlier);
  let own = name;
  for (let number = 2; names.has(own); number++) own = `${name} (${number})`;
  names.add(own);
  return own;
}
