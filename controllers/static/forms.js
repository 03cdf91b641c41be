/** What all forms share: they show each error at the field that it concerns. */

import { Problem, Unreachable, wrong } from "./session.js";

// Problems that name no field, but are about one: that of the first of these names which the form has.
const FIELDS = {
  "urn:problem-type:postline:email-taken": ["email"],
  "urn:problem-type:postline:invalid-invite": ["invite"],
  "urn:problem-type:postline:wrong-password": ["current_password", "password"],
  // Too large: a proxy may say so without a type.
  413: ["text"],
};

/**
 * Runs `work` while the form's fields are read-only, and shows errors: at the field that a problem names, or else below
 * all fields. Returns whether it succeeded. Throws errors other than `Problem` and `Unreachable`.
 */
export async function submitted(form, work) {
  if (form.ariaBusy === "true") return false;
  clear(form);
  form.ariaBusy = "true";
  for (const field of fields(form)) field.readOnly = true;
  // What a button says meanwhile, if it takes long enough to be read.
  const button = form.querySelector("[data-busy]");
  const label = button?.textContent;
  if (button) button.textContent = button.dataset.busy;
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
    show(form, error);
    return false;
  } finally {
    form.ariaBusy = null;
    if (button) button.textContent = label;
    for (const field of fields(form)) field.readOnly = false;
  }
}

/**
 * Runs `work(fields)` when the form is submitted; then empties the form, and says what the work returns. `failed(error)`
 * is called with errors that the form does not show.
 */
export function onSubmit(form, work, failed) {
  const done = form.querySelector(".done");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    done.textContent = "";
    submitted(form, async () => {
      const text = await work(form.elements);
      form.reset();
      done.textContent = text;
    }).catch(failed);
  });
}

/** Returns what was typed into a field. Throws an error for it if that is only spaces. */
export function written({ name, value }) {
  if (!value.trim()) throw wrong(name, "Write something: there are only spaces.");
  return value;
}

/** Removes the errors shown before. */
export function clear(form) {
  for (const error of form.querySelectorAll(".error")) error.textContent = "";
  for (const field of fields(form)) field.ariaInvalid = null;
}

function show(form, { message, status, errors = [], members = {} }) {
  const elsewhere = [];
  const about = (FIELDS[members.type] ?? FIELDS[status])?.find((name) => form.elements.namedItem(name));
  if (about) errors = [{ field: about, message }];
  for (const error of errors) {
    const named = form.elements.namedItem(error.field);
    // Several checkboxes of one name are a list.
    const field = named instanceof RadioNodeList ? named[0] : named;
    if (!field) {
      elsewhere.push(`${error.field}: ${error.message}`);
      continue;
    }
    if (!form.querySelector("[aria-invalid]")) field.focus();
    field.ariaInvalid = "true";
    field.closest(".field").querySelector(".error").textContent = error.message;
  }
  if (elsewhere.length || !errors.length) {
    form.querySelector("[role=alert]").textContent = [message, ...elsewhere].join(" ");
  }
}

const fields = (form) => form.querySelectorAll("input, textarea");
