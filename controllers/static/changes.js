/** What a list of posts is after changes to it, as `GET /posts/changes` tells them. */

/** Returns the list after these changes, or null if they do not tell where a post of theirs stands in it. */
export function changed(posts, changes) {
  const newest = new Map(changes.map(({ postID, post }) => [postID, post]));
  const kept = [];
  for (const held of posts) {
    const post = newest.has(held.postID) ? newest.get(held.postID) : held;
    newest.delete(held.postID);
    // Without an edit, it was deleted and added again, and may stand elsewhere.
    if (post && post !== held && post.version <= held.version) return null;
    if (post) kept.push(post);
  }
  // Changes are ordered as they were made. A post whose newest change is its creation is newer than the whole list.
  const added = [...newest.values()].filter(Boolean).reverse();
  // One that was edited since may be new, or of a page that was not read.
  return added.some(({ version }) => version > 1) ? null : [...added, ...kept];
}
