// The polite live region: what happened, for those who do not see it happen.
export const one = (selector) => document.querySelector(selector);

export const say = (text) => {
  const live = one("#live");
  if (live) live.textContent = text;
};
