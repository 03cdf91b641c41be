/** The live feed: what tells the page that there is something to fetch. */

import { reached, request } from "./session.js";

// The service sends a heartbeat every 15 seconds, so a connection without data for this long is dead.
const HEARTBEAT_TIMEOUT_MILLISECONDS = 40_000;
// The delay between attempts to connect.
const MIN_DELAY_MILLISECONDS = 500;
const MAX_DELAY_MILLISECONDS = 30_000;

/** Yields the feed's messages, and an empty one for each heartbeat. EventSource can't send a token. */
export async function* messages(after, signal) {
  const silence = new AbortController();
  let timer;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), HEARTBEAT_TIMEOUT_MILLISECONDS);
  };
  listen();
  try {
    const response = await request("/posts/events", {
      // Firefox sends one cacheable request per URL at a time: another window would wait for this one.
      cache: "no-store",
      headers: { "Last-Event-ID": after },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reached(reader.read());
      if (done) return;
      listen();
      const complete = (text + value).split("\n\n");
      text = complete.pop();
      // A heartbeat is a comment, which ends no message.
      if (!complete.length) yield {};
      for (const message of complete) {
        yield Object.fromEntries(message.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/**
 * Waits with exponential backoff, and while the window is hidden. Ends early when the network is back or the window
 * becomes visible.
 */
export function pause(failures, signal) {
  const delay = Math.min(MAX_DELAY_MILLISECONDS, MIN_DELAY_MILLISECONDS * 2 ** failures);
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      if (document.hidden && !signal.aborted) return;
      over.abort();
      resolve();
    };
    // Jitter, so that not all clients reconnect at once.
    const timer = setTimeout(end, delay * (0.5 + Math.random() / 2));
    over.signal.addEventListener("abort", () => clearTimeout(timer));
    for (const [target, name] of [[window, "online"], [document, "visibilitychange"], [signal, "abort"]]) {
      target.addEventListener(name, end, { signal: over.signal });
    }
  });
}
