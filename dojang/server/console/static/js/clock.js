// Deadlines of less than an hour count down, by the server's clock: the page says what time it is there.
import { one } from "./say.js";

const HOUR = 3_600_000;

export const listen = () => {
  const told = Number(one("meta[name=dojang-now]")?.content);
  if (!told) return;
  const off = told - Date.now();
  const tick = () => {
    const now = Date.now() + off;
    for (const time of document.querySelectorAll(".row time[datetime]")) {
      const left = Date.parse(time.dateTime) - now;
      if (left <= 0 || left >= HOUR) continue;
      const seconds = Math.floor(left / 1000);
      time.textContent = `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
    }
  };
  tick();
  setInterval(tick, 1000);
};
