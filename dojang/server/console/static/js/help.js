// The list of keys, and the switch that turns single keys off. The choice stays in this browser.
import { one } from "./say.js";

const KEPT = "dojang-keys";

export const keysAct = () => {
  try { return localStorage.getItem(KEPT) !== "off"; } catch { return true; }
};

export const show = () => {
  const dialog = one("#keys");
  if (dialog && !dialog.open) dialog.showModal();
};

export const listen = () => {
  const box = one("#keys-on");
  if (!box) return;
  box.checked = keysAct();
  box.addEventListener("change", () => {
    try { localStorage.setItem(KEPT, box.checked ? "on" : "off"); } catch { /* nothing is kept: it holds for this page */ }
  });
  for (const button of document.querySelectorAll("[data-help]")) {
    button.hidden = false;
    button.addEventListener("click", show);
  }
};
