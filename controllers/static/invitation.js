/** The links of invitations: a code with which somebody may sign up. */

/** Calls `callback(code)` if the page was opened with the link of an invitation, and whenever one is followed later. */
export function onInvitation(callback) {
  addEventListener("hashchange", () => open(callback));
  open(callback);
}

function open(callback) {
  const [, code] = location.hash.match(/^#invite=(.+)$/) ?? [];
  if (!code) return;
  // The code leaves the address bar and the history, where others could find it.
  history.replaceState(null, "", location.pathname);
  callback(code);
}
