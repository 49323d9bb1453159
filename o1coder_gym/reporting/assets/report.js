"use strict";
// The page is whole without this: it finds problems, and brings one agent forward where the pointer is.
const find = (id) => document.getElementById(id);

function filter() {
  const group = find("group").value, query = find("query").value.toLowerCase();
  let shown = 0, total = 0;
  for (const row of document.querySelectorAll(".tasks tbody tr")) {
    const fits = (!group || row.dataset.group === group) && row.firstChild.textContent.toLowerCase().includes(query);
    row.hidden = !fits;
    total += 1; shown += fits;
  }
  find("matches").textContent = shown < total ? `${shown.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
}

function focus(series) {
  document.body.classList.toggle("focused", series !== undefined);
  for (const part of document.querySelectorAll(".series")) part.classList.toggle("focus", part.dataset.series === series);
}

find("group").addEventListener("input", filter);
find("query").addEventListener("input", filter);
for (const part of document.querySelectorAll(".series")) {
  part.addEventListener("pointerenter", () => focus(part.dataset.series));
  part.addEventListener("pointerleave", () => focus(undefined));
}
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
document.documentElement.dataset.ready = Math.round(performance.now());
