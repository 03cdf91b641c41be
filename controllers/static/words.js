/** Errors of the service, in words for people who use the page. */

const TYPE = "urn:problem-type:postline:";
const BY_TYPE = {
  [`${TYPE}email-taken`]: "There is an account with this address already. Log in instead, or use another address.",
  [`${TYPE}mail-not-configured`]: "This service can't send mail. Ask the people who run it.",
};
const TOO_MANY = "Too many attempts in a short time.";
const TOO_LONG = "This is too long to be kept. Make it shorter.";
const TOO_SLOW = "The connection was too slow. Try again.";
const BUSY = "The service can't answer at the moment. Try again in a minute.";
const FAULT = "Something went wrong in the service. Try again later.";

// What validators say of a field.
const FIELD_MESSAGES = [
  [/^value is not a valid email address: /, ""],
  [/^String should have at least 1 character$/, "This is missing."],
  [/^String should have at least (\d+) characters$/, "Too short: it needs at least $1 characters."],
  [/^String should have at most (\d+) characters$/, "Too long: it may have at most $1 characters."],
  [/^Input should be a valid URL\b.*/s, "This is not a web address. One begins with https://."],
  [/^the host is not a public address$/, "This host is not on the public Internet, and nothing is sent elsewhere."],
  [/^the host has no address$/, "There is no such host."],
  [/^URL scheme should be .*/s, "A web address begins with https:// or http://."],
];

/** Returns what to say of a problem that has this `status`, and perhaps a `type`, a `detail` and `retryAfter` seconds. */
export function aboutProblem({ status, type, detail, retryAfter }) {
  if (type in BY_TYPE) return BY_TYPE[type];
  if (status === 429) return `${TOO_MANY} Try again ${retryAfter ? `in ${duration(retryAfter)}` : "later"}.`;
  if (status === 413) return TOO_LONG;
  if (status === 408) return TOO_SLOW;
  if (status === 503) return BUSY;
  if (status >= 500) return FAULT;
  return detail ?? `The service answered with ${status}.`;
}

/** Returns what to say of a field. */
export function aboutField(message) {
  const [pattern, words] = FIELD_MESSAGES.find(([each]) => each.test(message)) ?? [];
  return pattern ? message.replace(pattern, words) : message;
}

function duration(seconds) {
  if (seconds <= 90) return `${seconds} ${seconds === 1 ? "second" : "seconds"}`;
  const minutes = Math.ceil(seconds / 60);
  return minutes <= 90 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}
