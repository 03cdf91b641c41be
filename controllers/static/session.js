/** The session, which all windows share, and requests with its tokens. */

// The API takes bearer tokens, so scripts must be able to read them. The Content-Security-Policy keeps other scripts
// out: only the service's own files run, and posts are always shown as text.
const KEY = "postline.session";

// For ten seconds the service answers a used refresh token with the same successor; after that, it ends the session. A
// request that times out sooner can be retried.
const REFRESH_TIMEOUT_MILLISECONDS = 8_000;

// Other windows see a change of localStorage only after a delay, even if they wait for the lock.
const STORAGE_DELAY_MILLISECONDS = 300;

/** The service answered with an error, usually a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(status, { detail = `The service answered with ${status}.`, errors = [] }) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

/** There was no answer, or only part of it. */
export class Unreachable extends Error {}

/** The session has ended, in this browser or on the service. */
export class LoggedOut extends Error {}

/** Returns `{email, access_token, refresh_token, refresh_at}`, or null. */
export const session = () => stored(localStorage, KEY);

/** Returns the value stored under a key, or null if there is none or it is not valid JSON. */
export function stored(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}

/** Calls `callback` when another window logs in, logs out or refreshes the tokens. */
export function onSessionElsewhere(callback) {
  // The key is null if the whole storage was cleared.
  addEventListener("storage", ({ key }) => (key === KEY || key === null) && callback());
}

/** Opens a session; `path` is /auth/login or /auth/signup. */
export async function enter(path, email, password) {
  const response = await accepted(await send(path, { method: "POST", body: { email, password } }));
  keep(await reached(response.json()), email);
}

/** Ends the session on the service and in every window; in the windows even if the service can't be reached. */
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
 * Sends a request with the session's access token, which is refreshed if needed, and returns the response.
 * Throws `Problem`, `Unreachable` or `LoggedOut`.
 */
export async function request(path, options) {
  const held = session();
  if (!held) throw new LoggedOut();
  let token = held.access_token;
  if (Date.now() >= held.refresh_at) token = await refreshed(token);
  let response = await send(path, options, token);
  if (response.status === 401) response = await send(path, options, await refreshed(token));
  return accepted(response);
}

/** Waits for the network. Throws `Unreachable` if it fails. */
export const reached = (promise) =>
  promise.catch((cause) => {
    throw new Unreachable("The service can't be reached.", { cause });
  });

/** Returns an access token newer than `stale`. A refresh token can be used once, so one window uses it for all. */
const refreshed = (stale) =>
  exclusively(async () => {
    const held = session();
    if (!held) throw new LoggedOut();
    if (held.access_token !== stale) return held.access_token;
    const response = await send("/auth/refresh", {
      method: "POST",
      body: { refresh_token: held.refresh_token },
      signal: AbortSignal.timeout(REFRESH_TIMEOUT_MILLISECONDS),
    });
    const isStillHeld = () => session()?.refresh_token === held.refresh_token;
    if (response.status === 401) {
      if (isStillHeld()) localStorage.removeItem(KEY);
      throw new LoggedOut();
    }
    const tokens = await reached((await accepted(response)).json());
    if (!isStillHeld()) throw new LoggedOut();
    keep(tokens, held.email);
    await new Promise((resolve) => setTimeout(resolve, STORAGE_DELAY_MILLISECONDS));
    return tokens.access_token;
  });

// Browsers offer locks only on https and on localhost. Without them, the service's ten seconds of grace must do.
const exclusively = (work) => (navigator.locks ? navigator.locks.request(KEY, work) : work());

const keep = ({ access_token, refresh_token, expires_in }, email) =>
  localStorage.setItem(
    KEY,
    // Refresh the token when nine tenths of its lifetime are over.
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
  // A proxy in front of the service may answer without JSON.
  throw new Problem(response.status, await response.json().catch(() => ({})));
}
