/** The page: a door to come in by, or one person's timeline, whichever the session in this browser says. */

import { onPost, openComposer, sendWaiting } from "./composer.js";
import { clear, submitted } from "./forms.js";
import { clearPosts, showPosts } from "./posts.js";
import { LoggedOut, Problem, Unreachable, enter, leave, onSessionElsewhere, session } from "./session.js";
import { Timeline } from "./timeline.js";

const WAYS_IN = {
  logIn: { path: "/auth/login", title: "Log in", other: "Create an account instead", autocomplete: "current-password" },
  signUp: { path: "/auth/signup", title: "Create an account", other: "Log in instead", autocomplete: "new-password" },
};

const CONNECTION = { unknown: "", live: "Live", offline: "Offline. Trying again." };
const RETRY_MILLISECONDS = 5_000;

const $ = (id) => document.getElementById(id);
const credentials = $("credentials");
const connection = $("connection");

let wayIn;
// Whose timeline is shown: null while it is nobody's, undefined before anything is shown.
let shown;
let timeline;
let ending;

/** Shows what the session says, where that is not shown yet. */
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
  // Said once, not with every message of the feed.
  if (connection.dataset.state === state) return;
  connection.dataset.state = state;
  connection.textContent = CONNECTION[state];
  if (state === "live") sendWaiting();
}

async function showMore() {
  const { length } = $("posts").children;
  await timeline.more();
  // The button may be gone; who pressed it goes on where the new ones begin.
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

/** What is left to say when something failed that has no place of its own to say it. */
function failed(error) {
  if (error instanceof LoggedOut) {
    // The same person may have come in again meanwhile, in another session.
    shown = undefined;
    showSession();
  } else if (error instanceof Problem || error instanceof Unreachable) tell(error.message);
  else throw error;
}

credentials.addEventListener("submit", (event) => {
  event.preventDefault();
  const { email, password } = credentials.elements;
  // As the service does: an address has no case.
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
// A page that the browser had put aside heard of nothing.
addEventListener("pageshow", ({ persisted }) => persisted && showSession());

showSession();
