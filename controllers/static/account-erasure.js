/** The end of an account: it is erased with all that is in it. */

import { onSubmit } from "./forms.js";
import { accountAddress, request, wrong } from "./session.js";

const numbers = new Intl.NumberFormat("en");
const MISTYPED = "This is not the address of your account.";

export function openErasure(section, { failed, erased }) {
  const form = section.querySelector("form");
  const work = async ({ email, password }) => {
    // The service ignores the case of addresses too.
    if (email.value.trim().toLowerCase() !== accountAddress().toLowerCase()) {
      throw wrong("email", MISTYPED);
    }
    await request("/me/erase", { method: "POST", body: { password: password.value } });
    erased();
    return "";
  };
  onSubmit(form, work, failed);
  return ({ post_count: count }) => {
    const posts = `${numbers.format(count)} ${count === 1 ? "post" : "posts"}`;
    section.querySelector(".explanation").textContent =
      `Your account goes, with its ${posts}, personal tokens and webhooks, and you are logged out everywhere. ` +
      "This can't be undone. Export first what you want to keep.";
  };
}
