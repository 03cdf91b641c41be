/**
 * Edits that are not saved yet, one for each post of each account. They stay in the browser until they are saved or
 * cancelled, or the person logs out. Where the browser has no room for one, it lasts as long as the window.
 */

import { session } from "./session.js";
import { Store } from "./storage.js";

const store = new Store("localStorage");

// No address has a slash after its @, so this is the beginning of no other account's keys.
const ownPrefix = () => `postline.edit.${session()?.email}/`;

let prefix;

/** Begins with the edits of the person who is logged in. */
export function openEdits() {
  prefix = ownPrefix();
}

/** Returns the unsaved edit of a post, or null: `{text, version, created_at}`, the last two as the post had them. */
export const editOf = (postID) => store.read(prefix + postID);

/** Keeps the unsaved edit of a post. */
export const keepEdit = (postID, edit) => store.write(prefix + postID, edit);

/** Forgets the edit of a post. */
export const forgetEdit = (postID) => store.remove(prefix + postID);

/** Returns the ids of the posts that have an unsaved edit. */
export const editedPosts = () => store.keys(prefix).map((key) => key.slice(prefix.length));

/** Calls `callback(postID)` when another window has forgotten the edit of a post, but not in order to log out. */
export function onEditForgotten(callback) {
  addEventListener("storage", ({ key, newValue }) => {
    if (newValue === null && key?.startsWith(ownPrefix())) callback(key.slice(ownPrefix().length));
  });
}

/** Forgets all edits of this person, in every window. */
export function forgetEdits() {
  for (const postID of editedPosts()) forgetEdit(postID);
}
