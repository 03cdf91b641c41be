/** The session, which all windows share, and requests with its tokens. */

import { Store } from "./storage.js";
import { sendFile } from "./upload.js";
import { aboutField, aboutProblem } from "./words.js";

// The API takes bearer tokens, so scripts must be able to read them. The Content-Security-Policy keeps other scripts
// out: only the service's own files run, and posts are always shown as text.
const KEY = "postline.session";
// The address that the account has since the log-in, under the one of the log-in.
const ADDRESS = "postline.address";
const store = new Store("localStorage");

// A proxy may show the service below a path of its own.
const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

// For ten seconds the service answers a used refresh token with the same successor; after that, it ends the session. A
// request that times out sooner can be retried.
const REFRESH_TIMEOUT_MILLISECONDS = 8_000;

// Other windows see a change of localStorage only after a delay, even if they wait for the lock.
const STORAGE_DELAY_MILLISECONDS = 300;

/** The service answered with an error, usually a problem document (RFC 9457). */
export class Problem extends Error {
  /** `members` are what the problem document has besides, and `retryAfter` are the seconds to wait, if known. */
  constructor(status, { detail, errors = [], ...members }, retryAfter) {
    super(aboutProblem({ status, detail, retryAfter, ...members }));
    this.status = status;
    this.errors = errors.map(({ field, message }) => ({ field, message: aboutField(message) }));
    this.members = members;
  }
}

/** Returns the error of a field that the page itself refuses. */
export const wrong = (field, message) => new Problem(0, { detail: message, errors: [{ field, message }] });

/** There was no answer, or only part of it. */
export class Unreachable extends Error {}

/**
 * The session has ended: by the service if `isByService`, or else in this browser. `reason` is "session-ended",
 * "account-disabled" or "account-erased", if the service has said it.
 */
export class LoggedOut extends Error {
  constructor({ isByService = false, reason } = {}) {
    super("The session has ended.");
    this.isByService = isByService;
    this.reason = reason;
  }
}

/** Returns `{email, access_token, refresh_token, refresh_at, expires_at}`, or null. */
export const session = () => store.read(KEY);

/** Whether the session, or one that is opened now, outlasts this window. */
export const isKept = () => (session() ? store.keeps(KEY) : store.isAvailable);

/** Returns the account's address, which may be another one than that of the log-in. */
export function accountAddress() {
  const { email } = session();
  return store.read(ADDRESS)?.[email] ?? email;
}

/** Notes the account's address, in every window. */
export function noteAddress(address) {
  const email = session()?.email;
  // Not in the session, which another window may be replacing at this moment.
  if (address === email) store.remove(ADDRESS);
  else if (email) store.write(ADDRESS, { [email]: address });
}

/** Calls `callback` when another window logs in, logs out, refreshes the tokens or notes another address. */
export function onSessionElsewhere(callback) {
  // The key is null if the whole storage was cleared.
  addEventListener("storage", ({ key }) => [KEY, ADDRESS, null].includes(key) && callback());
}

/** Opens a session; `path` is /auth/login or /auth/signup, which may take an `invite`. */
export async function enter(path, email, password, invite) {
  const response = await accepted(await send(path, { method: "POST", body: { email, password, invite } }));
  keep(await reached(response.json()), email);
}

/** Ends the session on the service and in every window; in the windows even if the service can't be reached. */
export async function leave() {
  try {
    await request("/auth/logout", { method: "POST" });
  } catch (error) {
    if (!(error instanceof Unreachable || error instanceof Problem || error instanceof LoggedOut)) throw error;
  } finally {
    forgetSession();
  }
}

/** Forgets the session in every window, and whose it was. */
export function forgetSession() {
  store.remove(KEY);
  store.remove(ADDRESS);
}

/**
 * Sends a request with the session's access token, which is refreshed if needed, and returns the response. One with
 * `keepalive` outlasts the page, and is sent at once while the token works. Throws `Problem`, `Unreachable` or
 * `LoggedOut`.
 */
export const request = (path, options) => authorized((token) => send(path, options, token), options);

/** Refreshes the tokens if that is due within so many milliseconds, so that no request until then need wait for it. */
export async function freshen(milliseconds) {
  const held = session();
  if (held && Date.now() + milliseconds >= held.refresh_at) await refreshed(held.access_token);
}

/** Sends a file, as `request` does. `progressed(fraction)` is called as it is sent, and `signal` ends that. */
export const upload = (path, file, type, { progressed, signal }) =>
  authorized((token) =>
    reached(sendFile(ROOT + path, file, { ...authorization(token), "Content-Type": type }, { progressed, signal })),
  );

async function authorized(attempt, { keepalive } = {}) {
  const held = session();
  if (!held) throw new LoggedOut();
  let token = held.access_token;
  // A page that closes can't wait for new tokens.
  if (Date.now() >= (keepalive ? held.expires_at : held.refresh_at)) token = await refreshed(token);
  let response = await attempt(token);
  if (response.status === 401) {
    const { reason } = await response.json().catch(() => ({}));
    response = await attempt(await refreshed(token, reason));
  }
  return accepted(response);
}

/** Sends a body without the session's token, and returns the response. Throws `Problem` or `Unreachable`. */
export const post = async (path, body) => accepted(await send(path, { method: "POST", body }));

/** Waits for the network. Throws `Unreachable` if it fails. */
export const reached = (promise) =>
  promise.catch((cause) => {
    throw new Unreachable("The service can't be reached.", { cause });
  });

/**
 * Returns an access token newer than `stale`. A refresh token can be used once, so one window uses it for all. If the
 * session is over, `reason` is what the service said of it.
 */
const refreshed = (stale, reason) =>
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
      const isByService = isStillHeld();
      if (isByService) store.remove(KEY);
      throw new LoggedOut({ isByService, reason });
    }
    const tokens = await reached((await accepted(response)).json());
    if (!isStillHeld()) throw new LoggedOut();
    keep(tokens, held.email);
    await new Promise((resolve) => setTimeout(resolve, STORAGE_DELAY_MILLISECONDS));
    return tokens.access_token;
  });

// Browsers offer locks only on https and on localhost. Without them, the service's ten seconds of grace must do.
const exclusively = async (work) => {
  let hasBegun = false;
  const begin = () => ((hasBegun = true), work());
  try {
    return await (navigator.locks ? navigator.locks.request(KEY, begin) : begin());
  } catch (error) {
    // Where site data is blocked, locks are refused. The session is this window's alone then.
    if (hasBegun) throw error;
    return work();
  }
};

const keep = ({ access_token, refresh_token, expires_in }, email) =>
  // Refresh the token when nine tenths of its lifetime are over.
  store.write(KEY, {
    email,
    access_token,
    refresh_token,
    refresh_at: Date.now() + expires_in * 900,
    expires_at: Date.now() + expires_in * 1000,
  });

const authorization = (token) => ({ Authorization: `Bearer ${token}` });

const send = (path, { method, headers, body, signal, cache, keepalive } = {}, token) =>
  reached(
    fetch(ROOT + path, {
      method,
      signal,
      cache,
      keepalive,
      headers: {
        ...headers,
        ...(token && authorization(token)),
        ...(body && { "Content-Type": "application/json" }),
      },
      body: body && JSON.stringify(body),
    }),
  );

async function accepted(response) {
  if (response.ok || response.status === 304) return response;
  // A proxy in front of the service may answer without JSON.
  throw new Problem(response.status, await response.json().catch(() => ({})), Number(response.headers.get("Retry-After")));
}
