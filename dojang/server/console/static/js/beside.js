// A cited passage opens beside the conversation. Without this, the same link leads to its page.
import { one } from "./say.js";

let from = null;

const close = () => {
  const panel = one("#beside");
  if (!panel) return false;
  panel.remove();
  document.body.classList.remove("with-beside");
  from?.focus();
  return true;
};

const opened = async (link) => {
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error("no passage");
  const there = new DOMParser().parseFromString(await answer.text(), "text/html");
  const parts = [...there.querySelectorAll("main > :not(.back)")].map((part) => document.adoptNode(part));
  close();
  const panel = document.createElement("section");
  panel.id = "beside";
  const shut = document.createElement("button");
  shut.type = "button";
  shut.className = "plain shut";
  shut.textContent = "×";
  shut.setAttribute("aria-label", one("dialog form button")?.textContent ?? "×");
  shut.addEventListener("click", close);
  panel.append(shut, ...parts);
  const title = panel.querySelector("h1");
  panel.setAttribute("aria-label", title?.textContent ?? "");
  one("main").append(panel);
  document.body.classList.add("with-beside");
  if (title) { title.tabIndex = -1; title.focus({ preventScroll: true }); }
  panel.querySelector("mark")?.scrollIntoView({ block: "center" });
};

const clicked = (event) => {
  const link = event.target.closest?.("a.cite");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || !one("#talk")) return;
  event.preventDefault();
  from = link;
  opened(link).catch(() => location.assign(link.href));
};

export const listen = () => {
  document.addEventListener("click", clicked);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && close()) event.preventDefault(); });
};
