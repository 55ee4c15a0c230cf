// Rows are selected: X this one, Shift+X from the last one to here, B decides them together. The boxes are the form's own.
import { one, say } from "./say.js";

let last = null;
const boxes = () => [...document.querySelectorAll(".rowbox input")];

const told = () => {
  const strip = one("#picked");
  if (!strip) return;
  const n = boxes().filter((box) => box.checked).length;
  strip.querySelector("b").textContent = String(n);
  strip.querySelector("[data-count]").hidden = n === 0;
  strip.querySelector("[data-clear]").hidden = n === 0;
  say(strip.dataset.says.replace("0", String(n)));
};

// The row that has the cursor, else the one that is open.
const here = () => {
  const row = document.activeElement?.closest?.(".list li") ?? one(".list a.row[aria-current=true]")?.closest("li");
  return row?.querySelector(".rowbox input") ?? null;
};

export const pick = (range) => {
  const box = here();
  if (!box) return;
  const all = boxes();
  const [from, to] = [all.indexOf(range && last?.isConnected ? last : box), all.indexOf(box)].sort((a, b) => a - b);
  const on = range ? true : !box.checked;
  for (const other of all.slice(from, to + 1)) other.checked = on;
  last = box;
  told();
};

export const together = () => {
  const form = one("#picked");
  if (!form) return;
  if (boxes().some((box) => box.checked)) form.requestSubmit();
  else say(form.dataset.none);
};

export const listen = () => {
  document.addEventListener("change", (event) => {
    if (!event.target.matches?.(".rowbox input")) return;
    last = event.target;
    told();
  });
  const clear = one("#picked [data-clear]");
  if (!clear) return;
  clear.addEventListener("click", () => { for (const box of boxes()) box.checked = false; told(); });
  window.addEventListener("pageshow", () => { if (boxes().some((box) => box.checked)) told(); });
};
