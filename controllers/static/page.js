/** The page: the log-in form or, if this browser has a session, a person's timeline or their account (`#account`). */

import { closeAccount, openAccount, readAccount } from "./account.js";
import { forgetDraft, onPost, openComposer, sendWaiting } from "./composer.js";
import { sendDeletion } from "./deletion.js";
import { forgetEdits, openEdits } from "./edits.js";
import { clear, submitted } from "./forms.js";
import { onInvitation } from "./invitation.js";
import { onMore } from "./more.js";
import { keepOffline } from "./offline.js";
import { clearPosts, resumeEdits, showPosts } from "./posts.js";
import { forget, onLink } from "./recovery.js";
import { offerReveal } from "./reveal.js";
import { focusSearch, onSearch, searchInAddress, setSearch } from "./search.js";
import {
  LoggedOut,
  Problem,
  Unreachable,
  accountAddress,
  enter,
  forgetSession,
  isKept,
  leave,
  onSessionElsewhere,
  session,
} from "./session.js";
import { Timeline } from "./timeline.js";

const WAYS_IN = {
  logIn: {
    path: "/auth/login",
    title: "Log in",
    busy: "Logging in…",
    other: "Create an account instead",
    autocomplete: "current-password",
  },
  signUp: {
    path: "/auth/signup",
    title: "Create an account",
    busy: "Creating the account…",
    other: "Log in instead",
    autocomplete: "new-password",
  },
};

const CONNECTION = { unknown: "", live: "Live", offline: "Offline. Reconnecting…", away: "You are offline." };
const READING = "Your posts are being read…";
const SEARCHING = "Searching…";
const UNREAD = "Your posts can't be read at the moment. They appear when the service can be reached.";
const NOT_KEPT =
  "Your browser keeps no site data for this page, so you stay logged in only until this window is closed or reloaded.";
const ENDED = {
  "session-ended": "You were logged out: this session was ended on another device, or the password was changed there.",
  "account-disabled": "You were logged out: the people who run this service have disabled your account.",
  "account-erased": "You were logged out: your account was erased on another device.",
};
// When the page is opened after a while, the service no longer says which of these it was.
const OVER = "You were logged out: your session expired or was ended on another device, or your account was disabled.";
const ERASED = "Your account is erased, and all that was in it. The address can be used for a new account.";
const RETRY_MILLISECONDS = 5_000;
const ACCOUNT = "#account";

const $ = (id) => document.getElementById(id);
const credentials = $("credentials");
const connection = $("connection");

// Who may sign up: "open" to everybody, with an "invite", or "closed" to all.
const { signUp } = $("door").dataset;

let wayIn;
// The code of the invitation whose link was followed, until somebody has entered.
let invitation = "";
// The email of the person whose timeline is shown; null if nobody is logged in, undefined before the first rendering.
let shown;
let timeline;
let ending;

/** Shows what is the session's, or the log-in form, if that is not shown yet. */
function showSession() {
  const email = session()?.email ?? null;
  if (email !== null) $("address").textContent = accountAddress();
  if (shown === email) return;
  // What somebody searched for is not for the next person.
  if (shown && email !== shown && searchInAddress()) leaveSearch();
  shown = email;
  ending?.abort();
  clearPosts();
  $("found").textContent = "";
  for (const id of ["search", "empty", "more"]) $(id).hidden = true;
  $("loading").hidden = false;
  tell("");
  showNetwork();
  const isOpen = email !== null;
  $("person").hidden = !isOpen;
  $("door").hidden = isOpen;
  if (isOpen) $("ended").textContent = "";
  $("not-kept").textContent = isOpen || isKept() ? "" : NOT_KEPT;
  credentials.reset();
  showWayIn(invitation ? WAYS_IN.signUp : WAYS_IN.logIn);
  if (isOpen) openTimeline();
  if (isOpen && !isKept()) tell(NOT_KEPT);
  showView();
}

/** Shows the form to log in, or else the view that the page's address names. */
function showView() {
  const isOpen = shown !== null;
  const isAccount = isOpen && location.hash === ACCOUNT;
  if (isOpen && !isAccount && setSearch(searchInAddress())) search(searchInAddress()).catch(failed);
  document.title = isAccount ? "Your account · Postline" : "Postline";
  $("timeline").hidden = !isOpen || isAccount;
  closeAccount();
  // In another view, nobody could undo it.
  if (isAccount) sendDeletion();
  if (isAccount) openAccount($("timeline"), { changed: showSession, erased, failed });
  else if (isOpen && searchInAddress()) focusSearch();
  else $(isOpen ? "text" : "email").focus();
}

function openTimeline() {
  const { signal } = (ending = new AbortController());
  const text = searchInAddress();
  setSearch(text);
  $("search").hidden = text === "";
  const actions = { refresh: () => opened.read(), tell, failed };
  let isFirst = true;
  const opened = (timeline = new Timeline(text, (posts, hasMore, search) => {
    if (signal.aborted) return;
    showPosts(posts, actions);
    if (isFirst) resumeEdits(actions, signal).catch(failed);
    isFirst = false;
    $("loading").hidden = true;
    $("search").hidden = search === "" && posts.length === 0;
    $("empty").hidden = search !== "" || posts.length > 0;
    $("found").textContent = search === "" ? "" : found(posts.length, hasMore);
    $("more").hidden = !hasMore;
  }));
  openComposer();
  openEdits();
  opened.follow(signal, (isLive) => showConnection(isLive ? "live" : "offline")).catch(failed);
}

async function search(text) {
  $("found").textContent = text && SEARCHING;
  try {
    await timeline.search(text);
  } catch (error) {
    $("found").textContent = "";
    throw error;
  }
}

function found(count, hasMore) {
  if (count === 0) return "Nothing found.";
  if (hasMore) return `More than ${count} posts found.`;
  return count === 1 ? "1 post found." : `${count} posts found.`;
}

/** Shows the new post, which a search would hide. */
async function showPosted() {
  if (!searchInAddress()) return timeline.read();
  leaveSearch();
  await timeline.search("");
}

function leaveSearch() {
  history.replaceState(null, "", location.pathname);
  setSearch("");
}

function showConnection(state) {
  // Screen readers announce every change, so announce each state once, not with every message of the feed.
  if (connection.dataset.state === state) return;
  connection.dataset.state = state;
  connection.textContent = CONNECTION[state];
  $("loading").textContent = state === "offline" ? UNREAD : READING;
  if (state === "live") sendWaiting();
}

/** Says at the door if there is no network. The timeline finds out by itself. */
function showNetwork() {
  showConnection(shown === null && !navigator.onLine ? "away" : "unknown");
}

function showWayIn(way) {
  wayIn = way;
  clear(credentials);
  $("door-title").textContent = way.title;
  $("enter").textContent = way.title;
  $("enter").dataset.busy = way.busy;
  $("other-way").textContent = way.other;
  $("password-hint").hidden = way !== WAYS_IN.signUp;
  const { invite } = credentials.elements;
  const takesInvite = way === WAYS_IN.signUp && signUp === "invite";
  $("invitation").hidden = !takesInvite;
  // A field that is disabled is neither required nor sent.
  invite.disabled = !takesInvite;
  if (invitation) invite.value = invitation;
  credentials.elements.password.autocomplete = way.autocomplete;
}

function tell(text) {
  $("news").textContent = text;
}

async function logOut() {
  await sendDeletion();
  await leave();
  forgetDraft();
  forgetEdits();
  showSession();
}

/** Shows the door to somebody whose account is gone. */
function erased() {
  // First of all: other windows keep their edits as long as there is a session.
  forgetSession();
  forgetDraft();
  forgetEdits();
  history.replaceState(null, "", location.pathname);
  shown = undefined;
  showSession();
  $("ended").textContent = ERASED;
}

/** Handles an error that no form shows. */
function failed(error) {
  if (error instanceof LoggedOut) {
    // The same person may have logged in again meanwhile, with a new session.
    shown = undefined;
    showSession();
    if (error.isByService && shown === null) $("ended").textContent = ENDED[error.reason] ?? OVER;
  } else if (error instanceof Problem || error instanceof Unreachable) tell(error.message);
  else throw error;
}

credentials.addEventListener("submit", (event) => {
  event.preventDefault();
  const { email, password, invite } = credentials.elements;
  // The service ignores the case of addresses too.
  const address = email.value.trim().toLowerCase();
  const code = invite.disabled ? undefined : invite.value.trim();
  submitted(credentials, () => enter(wayIn.path, address, password.value, code)).then((hasEntered) => {
    if (hasEntered) invitation = "";
    showSession();
  }, failed);
});
$("other-way").addEventListener("click", () => {
  showWayIn(wayIn === WAYS_IN.logIn ? WAYS_IN.signUp : WAYS_IN.logIn);
  credentials.elements.email.focus();
});
$("forgot").addEventListener("click", () => forget(credentials).catch(failed));
$("leave").addEventListener("click", () => logOut().catch(failed));
onMore(() => timeline.more(), failed);
onPost({
  posted: showPosted,
  unsent: () => setTimeout(() => connection.dataset.state === "live" && sendWaiting(), RETRY_MILLISECONDS),
  tell,
  failed,
});
onSearch((text) => search(text).catch(failed));
onSessionElsewhere(showSession);
// A page restored from the back/forward cache has missed all events.
addEventListener("pageshow", ({ persisted }) => persisted && showSession());
addEventListener("hashchange", showView);
for (const name of ["online", "offline"]) addEventListener(name, () => shown === null && showNetwork());

/**
 * Shows what a link in a mail has changed: the address, or that a new password has ended the session. Returns whether it
 * left a session.
 */
async function showChanges(isUsed) {
  try {
    if (!isUsed || !session()) return false;
    await readAccount();
    return true;
  } catch (error) {
    // What the link has done is said already.
    if (!(error instanceof LoggedOut)) throw error;
    return false;
  } finally {
    // A password that was tried before is of no use now.
    credentials.elements.password.value = "";
    showSession();
    showView();
  }
}

keepOffline();
offerReveal(credentials);
$("other-way").hidden = signUp === "closed";
$("no-sign-up").hidden = signUp !== "closed";

showSession();
onInvitation((code) => {
  if (signUp === "closed") return;
  invitation = code;
  if (session()) tell("You are logged in. To use the invitation for another account, log out first.");
  else showWayIn(WAYS_IN.signUp);
});
onLink({ done: (isUsed) => showChanges(isUsed).catch(failed), failed });
