/** What all forms share: they show each error at the field that it concerns. */

import { Problem, Unreachable } from "./session.js";

/**
 * Runs `work` while the form's fields are read-only, and shows errors: at the field that a problem names, or else below
 * all fields. Returns whether it succeeded. Throws errors other than `Problem` and `Unreachable`.
 */
export async function submitted(form, work) {
  if (form.ariaBusy === "true") return false;
  clear(form);
  form.ariaBusy = "true";
  for (const field of fields(form)) field.readOnly = true;
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
    show(form, error);
    return false;
  } finally {
    form.ariaBusy = null;
    for (const field of fields(form)) field.readOnly = false;
  }
}

/** Removes the errors shown before. */
export function clear(form) {
  for (const error of form.querySelectorAll(".error")) error.textContent = "";
  for (const field of fields(form)) field.ariaInvalid = null;
}

function show(form, { message, errors = [] }) {
  const elsewhere = [];
  for (const error of errors) {
    const field = form.elements.namedItem(error.field);
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
