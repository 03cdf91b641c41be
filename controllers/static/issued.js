/** A secret that is shown once, with the button that copies it. */

/** Returns what shows a secret in this element, and what takes it away. `closed()` is called when the person has it. */
export function openIssued(element, closed) {
  const field = element.querySelector("input");
  const copy = element.querySelector(".copy");
  const copied = element.querySelector("[role=status]");
  const hide = () => {
    element.hidden = true;
    field.value = copied.textContent = "";
  };
  copy.addEventListener("click", async () => {
    copied.textContent = (await isCopied(field)) ? "Copied." : "It is selected. Copy it with Ctrl + C.";
  });
  element.querySelector(".hide").addEventListener("click", () => {
    hide();
    closed();
  });
  const show = (secret) => {
    field.value = secret;
    copied.textContent = "";
    element.hidden = false;
    copy.focus();
  };
  return { show, hide };
}

/** Copies what the field holds. Browsers offer the clipboard only on https and on localhost, and people may refuse it. */
async function isCopied(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.select();
    return false;
  }
}
