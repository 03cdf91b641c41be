/** Where the person is logged in, with the buttons to log out there. */

import { showEntries } from "./entries.js";
import { Problem, Unreachable, reached, request } from "./session.js";
import { deviceName } from "./user-agent.js";

const used = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
// Two sessions of one browser are told apart by it.
const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Opens the section, and returns what shows the sessions. */
export function openSessions(section, { failed }) {
  const title = section.querySelector("h3");
  const list = section.querySelector(".entries");
  const endOthers = section.querySelector(".end-others");
  const done = section.querySelector(".done");
  const alert = section.querySelector("[role=alert]");
  let shown = "";
  let others = [];

  const show = async () => {
    const sessions = await reached((await request("/auth/sessions")).json());
    others = sessions.filter(({ is_current }) => !is_current);
    endOthers.hidden = others.length === 0;
    // An entry that is shown anew loses the focus.
    const read = JSON.stringify(sessions);
    if (read === shown) return;
    shown = read;
    const own = sessions.filter(({ is_current }) => is_current);
    showEntries(list, [...own, ...others].map(entry), title);
  };
  const run = async (work) => {
    done.textContent = "";
    alert.textContent = "";
    try {
      done.textContent = await work();
      return true;
    } catch (error) {
      if (error instanceof Problem || error instanceof Unreachable) alert.textContent = error.message;
      else failed(error);
      return false;
    }
  };
  const entry = (session) => {
    const name = deviceName(session.user_agent);
    if (session.is_current) return { name, facts: "This device" };
    const lastUse = new Date(session.last_used_at);
    return {
      name,
      facts: `Last used ${used.format(lastUse)}`,
      action: "Log out",
      label: `${name}, last used ${exactly.format(lastUse)}`,
      end: () =>
        run(async () => {
          await end(session);
          await show();
          return `${name} is logged out.`;
        }),
    };
  };
  endOthers.addEventListener("click", async () => {
    const isDone = await run(async () => {
      try {
        for (const session of others) await end(session);
      } finally {
        await show();
      }
      return "All other devices are logged out.";
    });
    if (isDone) title.focus();
  });
  return show;
}

async function end({ id }) {
  try {
    await request(`/auth/sessions/${id}`, { method: "DELETE" });
  } catch (error) {
    // It has ended already.
    if (error.status !== 404) throw error;
  }
}
