/** The page: the log-in form, or a person's timeline if this browser has a session. */

import { onPost, openComposer, sendWaiting } from "./composer.js";
import { clear, submitted } from "./forms.js";
import { clearPosts, showPosts } from "./posts.js";
import { LoggedOut, Problem, Unreachable, enter, leave, onSessionElsewhere, session } from "./session.js";
import { Timeline } from "./timeline.js";

const WAYS_IN = {
  logIn: { path: "/auth/login", title: "Log in", other: "Create an account instead", autocomplete: "current-password" },
  signUp: { path: "/auth/signup", title: "Create an account", other: "Log in instead", autocomplete: "new-password" },
};

const CONNECTION = { unknown: "", live: "Live", offline: "Offline. Reconnecting…" };
const RETRY_MILLISECONDS = 5_000;

const $ = (id) => document.getElementById(id);
const credentials = $("credentials");
const connection = $("connection");

let wayIn;
// The email of the person whose timeline is shown; null if nobody is logged in, undefined before the first rendering.
let shown;
let timeline;
let ending;

/** Shows the session's timeline or the log-in form, if that is not shown yet. */
function showSession() {
  const email = session()?.email ?? null;
  if (shown === email) return;
  shown = email;
  ending?.abort();
  clearPosts();
  tell("");
  showConnection("unknown");
  const isOpen = email !== null;
  for (const id of ["timeline", "account"]) $(id).hidden = !isOpen;
  $("door").hidden = isOpen;
  credentials.reset();
  showWayIn(WAYS_IN.logIn);
  if (isOpen) openTimeline(email);
  $(isOpen ? "text" : "email").focus();
}

function openTimeline(email) {
  const { signal } = (ending = new AbortController());
  const opened = (timeline = new Timeline((posts, hasMore) => {
    if (signal.aborted) return;
    showPosts(posts, { refresh: () => opened.read(), tell, failed });
    $("empty").hidden = posts.length > 0;
    $("more").hidden = !hasMore;
  }));
  $("address").textContent = email;
  openComposer();
  opened.follow(signal, (isLive) => showConnection(isLive ? "live" : "offline")).catch(failed);
}

function showConnection(state) {
  // Screen readers announce every change, so announce each state once, not with every message of the feed.
  if (connection.dataset.state === state) return;
  connection.dataset.state = state;
  connection.textContent = CONNECTION[state];
  if (state === "live") sendWaiting();
}

async function showMore() {
  const { length } = $("posts").children;
  await timeline.more();
  // The button may have disappeared, so move the focus to the first of the new posts.
  $("posts").children[length]?.querySelector("button").focus();
}

function showWayIn(way) {
  wayIn = way;
  clear(credentials);
  $("door-title").textContent = way.title;
  $("enter").textContent = way.title;
  $("other-way").textContent = way.other;
  $("password-hint").hidden = way !== WAYS_IN.signUp;
  credentials.elements.password.autocomplete = way.autocomplete;
}

function tell(text) {
  $("news").textContent = text;
}

/** Handles an error that no form shows. */
function failed(error) {
  if (error instanceof LoggedOut) {
    // The same person may have logged in again meanwhile, with a new session.
    shown = undefined;
    showSession();
  } else if (error instanceof Problem || error instanceof Unreachable) tell(error.message);
  else throw error;
}

credentials.addEventListener("submit", (event) => {
  event.preventDefault();
  const { email, password } = credentials.elements;
  // The service ignores the case of addresses too.
  const address = email.value.trim().toLowerCase();
  submitted(credentials, () => enter(wayIn.path, address, password.value)).then(showSession, failed);
});
$("other-way").addEventListener("click", () => {
  showWayIn(wayIn === WAYS_IN.logIn ? WAYS_IN.signUp : WAYS_IN.logIn);
  credentials.elements.email.focus();
});
$("leave").addEventListener("click", () => leave().then(showSession, failed));
$("more").addEventListener("click", () => showMore().catch(failed));
onPost({
  posted: () => timeline.read(),
  unsent: () => setTimeout(() => connection.dataset.state === "live" && sendWaiting(), RETRY_MILLISECONDS),
  tell,
  failed,
});
onSessionElsewhere(showSession);
// A page restored from the back/forward cache has missed all events.
addEventListener("pageshow", ({ persisted }) => persisted && showSession());

showSession();
