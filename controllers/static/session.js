/** The session of whoever is logged in, shared by all windows, and requests in its name. */

// The API takes bearer tokens, so a script must hold them, and all windows share one session. What keeps other scripts
// from them is the page's Content-Security-Policy: only files of the service run, and a post is only ever text.
const KEY = "postline.session";

// For ten seconds the service answers a used refresh token with the same successor, and then ends the session. Whoever
// gave up waiting after so many milliseconds may still ask again.
const LONGEST_RENEWAL = 8_000;

// What one window stores reaches the others in the browser's own time, lock or not.
const SETTLING = 300;

/** The service's answer is an error: a problem document (RFC 9457), as far as it is one. */
export class Problem extends Error {
  constructor(status, { detail = `The service answered with ${status}.`, errors = [] }) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

/** There was no answer, or not all of it. */
export class Unreachable extends Error {}

/** The session is over, here or everywhere. */
export class LoggedOut extends Error {}

/** Returns `{email, access_token, refresh_token, refresh_at}`, or null. */
export const session = () => stored(localStorage, KEY);

/** Returns what is stored under a key, or null where nothing is, or nothing that can be read. */
export function stored(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}

/** Calls back when another window logs in or out, or renews the tokens. */
export function onSessionElsewhere(callback) {
  // The key is null where everything was cleared.
  addEventListener("storage", ({ key }) => (key === KEY || key === null) && callback());
}

/** Opens a session; `path` is /auth/login or /auth/signup. */
export async function enter(path, email, password) {
  const response = await accepted(await send(path, { method: "POST", body: { email, password } }));
  keep(await reached(response.json()), email);
}

/** Ends the session on the service, and in every window even where the service can't be told. */
export async function leave() {
  try {
    await request("/auth/logout", { method: "POST" });
  } catch (error) {
    if (!(error instanceof Unreachable || error instanceof Problem || error instanceof LoggedOut)) throw error;
  } finally {
    localStorage.removeItem(KEY);
  }
}

/**
 * Sends a request in the session's name, with tokens that are renewed as needed, and returns the response.
 * Throws `Problem`, `Unreachable` or `LoggedOut`.
 */
export async function request(path, options) {
  const held = session();
  if (!held) throw new LoggedOut();
  let token = held.access_token;
  if (Date.now() >= held.refresh_at) token = await renewed(token);
  let response = await send(path, options, token);
  if (response.status === 401) response = await send(path, options, await renewed(token));
  return accepted(response);
}

/** Waits for what the network brings. */
export const reached = (promise) =>
  promise.catch((cause) => {
    throw new Unreachable("The service can't be reached.", { cause });
  });

/** Returns an access token newer than `stale`: a refresh token is good for one use, so one window fetches it for all. */
const renewed = (stale) =>
  exclusively(async () => {
    const held = session();
    if (!held) throw new LoggedOut();
    if (held.access_token !== stale) return held.access_token;
    const response = await send("/auth/refresh", {
      method: "POST",
      body: { refresh_token: held.refresh_token },
      signal: AbortSignal.timeout(LONGEST_RENEWAL),
    });
    const isStillHeld = () => session()?.refresh_token === held.refresh_token;
    if (response.status === 401) {
      if (isStillHeld()) localStorage.removeItem(KEY);
      throw new LoggedOut();
    }
    const tokens = await reached((await accepted(response)).json());
    if (!isStillHeld()) throw new LoggedOut();
    keep(tokens, held.email);
    await new Promise((resolve) => setTimeout(resolve, SETTLING));
    return tokens.access_token;
  });

// Browsers have locks on https and on this machine only. Elsewhere the service's own patience must do.
const exclusively = (work) => (navigator.locks ? navigator.locks.request(KEY, work) : work());

const keep = ({ access_token, refresh_token, expires_in }, email) =>
  localStorage.setItem(
    KEY,
    // Renewed when nine tenths of its life are over.
    JSON.stringify({ email, access_token, refresh_token, refresh_at: Date.now() + expires_in * 900 }),
  );

const send = (path, { method, headers, body, signal, cache } = {}, token) =>
  reached(
    fetch(path, {
      method,
      signal,
      cache,
      headers: {
        ...headers,
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body && { "Content-Type": "application/json" }),
      },
      body: body && JSON.stringify(body),
    }),
  );

async function accepted(response) {
  if (response.ok || response.status === 304) return response;
  // What stands in front of the service may answer with anything.
  throw new Problem(response.status, await response.json().catch(() => ({})));
}
