/** Reading on: the next posts come before somebody has scrolled to the end, or with the button. */

import { countPosts, focusPost } from "./posts.js";

const button = document.getElementById("more");
const AHEAD = "0px 0px 800px";

/** Calls `load()` for the next posts, and `failed(error)` if that fails. */
export function onMore(load, failed) {
  let isLoading = false;
  const run = async (isAskedFor) => {
    if (isLoading) return;
    isLoading = true;
    const hadFocus = document.activeElement === button;
    const count = countPosts();
    try {
      await load();
      // The button moves on or disappears.
      if (isAskedFor || (hadFocus && button.hidden)) focusPost(count);
      // An observer tells only of changes, and the end may be as near as before.
      observer.unobserve(button);
      observer.observe(button);
    } catch (error) {
      failed(error);
    } finally {
      isLoading = false;
    }
  };
  const observer = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && run(false), {
    rootMargin: AHEAD,
  });
  observer.observe(button);
  button.addEventListener("click", () => run(true));
}
