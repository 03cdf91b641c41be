/** The deletion that can still be undone: it is sent after ten seconds, before the next one, or when the page closes. */

/** How long a deletion can be undone. */
export const UNDO_MILLISECONDS = 10_000;

let pending = null;

/** Calls `send()` in ten seconds, and what was to be sent before at once. */
export function deleteLater(send) {
  sendDeletion();
  pending = { send, timer: setTimeout(sendDeletion, UNDO_MILLISECONDS) };
}

/** Sends what waits, and returns when it is answered. */
export function sendDeletion() {
  return cancelDeletion()?.send();
}

/** Takes back what waits, and returns it. */
export function cancelDeletion() {
  const cancelled = pending;
  pending = null;
  clearTimeout(cancelled?.timer);
  return cancelled;
}

addEventListener("pagehide", () => sendDeletion());
