// The list keeps its place: the open item is in sight, and J and K go from it.
const rows = () => [...document.querySelectorAll(".list a.row")];
const current = () => document.querySelector(".list a.row[aria-current=true]");

export const move = (by) => {
  const all = rows();
  const focused = all.indexOf(document.activeElement);
  const at = focused >= 0 ? focused : all.indexOf(current());
  const row = all[Math.min(all.length - 1, Math.max(0, at + by))];
  if (row) row.focus();
};

export const listen = () => {
  const row = current();
  if (row) row.scrollIntoView({ block: "nearest" });
};
