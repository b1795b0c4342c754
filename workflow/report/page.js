"use strict";

// Value of a cell to sort by: its own, else the text of a cell in a column of words; empty cells go last in either direction.
function sortKey(cell) {
  const shown = cell.classList.contains("word") ? cell.textContent.trim().replace(/^–$/, "") : "";
  const text = cell.dataset.value ?? shown;
  const value = text === "" ? NaN : Number(text);
  return Number.isNaN(value) ? text.toLowerCase() : value;
}

function sortBy(table, heading) {
  const headings = [...heading.parentElement.children];
  const column = headings.indexOf(heading);
  const numeric = !heading.classList.contains("word");
  const before = heading.getAttribute("aria-sort");
  const descending = before === "none" ? numeric : before === "ascending";
  headings.forEach((other) => other.setAttribute("aria-sort", "none"));
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [sortKey(row.cells[column]), row]);
  rows.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return descending ? -order : order;
  });
  body.append(...rows.map(([, row]) => row));
}

// A floor row (chance, pixel distance) is what everything else is compared with: no filter hides it.
function applyFilters(box) {
  const wanted = Object.fromEntries([...box.querySelectorAll("[data-filter]")].map((s) => [s.dataset.filter, s.value]));
  for (const row of box.querySelectorAll("tbody:not(.floor) tr")) {
    row.hidden = ["family", "mode"].some((key) => wanted[key] && row.dataset[key] !== wanted[key]);
  }
  const shown = (heading) => !wanted.group || !heading.dataset.group || heading.dataset.group === wanted.group;
  const [top, bottom] = box.querySelector("thead").rows;
  if (!bottom) return;
  for (const heading of top.cells) heading.hidden = !shown(heading);
  [...bottom.cells].forEach((heading, i) => {
    heading.hidden = !shown(heading);
    for (const row of box.querySelectorAll("tbody tr")) row.cells[i].hidden = heading.hidden;
  });
}

function csvField(text) {
  const plain = text.replace(/\s+/g, " ").trim().replaceAll("−", "-");
  return /[",\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

function visibleCsv(table) {
  const visible = (cell) => !cell.hidden;
  const head = [...table.tHead.rows].at(-1);
  const names = [...head.cells].filter(visible).map((c) => [c.dataset.group, c.textContent.trim()].filter(Boolean).join(": "));
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.hidden);
  const lines = rows.map((row) => [...row.cells].filter(visible).map((cell) => cell.textContent));
  return [names, ...lines].map((line) => line.map(csvField).join(",") + "\n").join("");
}

function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Panels of one shift have equal axes, so that a curve of one can be drawn in another as it is.
function gather(figure, pressed) {
  figure.querySelectorAll(".guest").forEach((guest) => guest.remove());
  const firsts = {};
  for (const panel of figure.querySelectorAll("[data-gather]")) {
    const title = panel.querySelector(".panel-title");
    title.dataset.own ??= title.textContent;
    const first = (firsts[panel.dataset.gather] ??= panel);
    if (first !== panel && pressed.length) {
      const mine = [...panel.querySelectorAll(".series")].filter((series) => pressed.includes(series.dataset.algorithm));
      for (const series of mine) {
        const guest = series.cloneNode(true);
        guest.classList.add("guest");
        first.querySelector("svg").append(guest);
      }
    }
    panel.classList.toggle("gathered", pressed.length > 0 && first !== panel);
    title.textContent = pressed.length && first === panel ? panel.dataset.gather : title.dataset.own;
  }
}

function highlight(figure) {
  const pressed = [...figure.querySelectorAll('.legend [aria-pressed="true"]')].map((b) => b.dataset.algorithm);
  figure.classList.toggle("chosen", pressed.length > 0);
  gather(figure, pressed);
  for (const series of figure.querySelectorAll(".series")) {
    series.classList.toggle("front", pressed.includes(series.dataset.algorithm));
  }
}

// A link to a run leads into a closed <details>: open it, then go there.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  target.scrollIntoView();
}

for (const box of document.querySelectorAll(".table")) {
  const table = box.querySelector("table");
  for (const button of table.querySelectorAll("th button")) {
    button.addEventListener("click", () => sortBy(table, button.parentElement));
  }
  for (const select of box.querySelectorAll("[data-filter]")) select.addEventListener("change", () => applyFilters(box));
  const save = box.querySelector(".download");
  save.addEventListener("click", () => download(`${save.dataset.name}.csv`, visibleCsv(table)));
}
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    highlight(button.closest("figure"));
  });
}
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => document.querySelectorAll("details.fold").forEach((d) => (d.open = true)));
reveal();
