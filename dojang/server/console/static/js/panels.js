// The panels above the bar: one at a time, and the cursor in the first thing to fill in.
import { one } from "./say.js";

export const open = (name) => {
  const panel = one(`details[data-panel=${name}]`);
  if (!panel) return;
  panel.open = true;
  const first = panel.querySelector("input:not([type=hidden]), textarea, select, button");
  if (first) first.focus();
};

// Escape closes what is open, unless something was typed into it: then it stays.
export const close = () => {
  const panel = one(".bar details[open]");
  if (!panel) return false;
  const typed = [...panel.querySelectorAll("input:not([type=hidden]), textarea")].some((f) => f.value !== f.defaultValue);
  if (typed) return false;
  panel.open = false;
  panel.querySelector("summary").focus();
  return true;
};

const alone = (event) => {
  if (!event.target.matches || !event.target.matches(".bar details") || !event.target.open) return;
  for (const other of document.querySelectorAll(".bar details[open]")) if (other !== event.target) other.open = false;
};

export const listen = () => document.addEventListener("toggle", alone, true);
