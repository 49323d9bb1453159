"use strict";
// Follows the system's light or dark unless a `[data-theme-switch]` button was used.
const theme = {
  dark: matchMedia("(prefers-color-scheme: dark)"),
  chosen: null,
  listeners: [],
  apply() {
    document.documentElement.dataset.theme = this.chosen ?? (this.dark.matches ? "dark" : "light");
    for (const listener of this.listeners) listener();
  },
  toggle() {
    this.chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    this.apply();
  },
};
theme.apply();
theme.dark.addEventListener("change", () => theme.apply());
for (const button of document.querySelectorAll("[data-theme-switch]")) button.addEventListener("click", () => theme.toggle());
