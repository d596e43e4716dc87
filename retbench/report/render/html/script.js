"use strict";

const select = (selector, root = document) => root.querySelector(selector);
const selectAll = (selector, root = document) => [...root.querySelectorAll(selector)];
const normalize = (text) => text.replaceAll("\u2212", "-").replace(/\s+/g, " ").trim().toLowerCase();

const blockOf = (row) => select(".block", row.parentElement)?.textContent.trim() ?? "";

function sortRows(rows, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  if (column < 0) {
    const label = (row) => select(".label", row).textContent;
    return [...rows].sort((a, b) => sign * label(a).localeCompare(label(b), "en", { numeric: true }));
  }
  const value = (row) => parseFloat(row.cells[column + 1].dataset.value);
  const numbers = rows.filter((row) => !Number.isNaN(value(row)));
  const others = rows.filter((row) => Number.isNaN(value(row)));
  return [...numbers.sort((a, b) => sign * (value(a) - value(b))), ...others]; // rows without a number stay last
}

/* A table: the order of its rows, the filter, and the columns that are shown. */

class Grid {
  constructor(section) {
    this.section = section;
    this.table = select(".grid", section);
    this.bodies = selectAll("tbody", this.table).map((body) => ({ body, rows: selectAll(".row", body), head: select(".block", body) }));
    this.rows = this.bodies.flatMap(({ rows }) => rows);
    const texts = (row) => [blockOf(row), ...[...row.cells].map((cell) => cell.textContent)];
    this.texts = new Map(this.rows.map((row) => [row, normalize(texts(row).join(" "))]));
    this.columns = selectAll(".menu input", section);
    this.input = select(".find input", section);
    this.sorted = { button: null, direction: "none" };
    this.listen();
  }

  listen() {
    select(".tools", this.section).hidden = false;
    for (const button of selectAll(".sort", this.table)) {
      button.disabled = false;
      button.addEventListener("click", () => this.sort(button));
    }
    for (const box of this.columns) box.addEventListener("change", () => this.show());
    this.input.addEventListener("input", () => this.show());
    select(".reset", this.section).addEventListener("click", () => this.reset());
    const first = select("td", this.table);
    if (first) first.tabIndex = 0;
    this.table.addEventListener("keydown", (event) => this.moveFocus(event));
  }

  sort(button) {
    const turns = { none: "ascending", ascending: "descending", descending: "none" };
    const same = this.sorted.button === button;
    this.sorted = { button, direction: turns[same ? this.sorted.direction : "none"] };
    this.arrange();
  }

  arrange() {
    const { button, direction } = this.sorted;
    const sorted = direction !== "none";
    for (const other of selectAll(".sort", this.table)) {
      const current = other === button && sorted;
      if (current) other.closest("th").setAttribute("aria-sort", direction);
      else other.closest("th").removeAttribute("aria-sort");
    }
    const ordered = (rows) => (sorted ? sortRows(rows, Number(button.dataset.column), direction) : rows);
    for (const { body, rows } of this.bodies) body.append(...ordered(rows)); // blocks keep their rows
    this.show();
  }

  show() {
    const filter = normalize(this.input.value);
    for (const row of this.rows) row.hidden = !this.texts.get(row).includes(filter);
    for (const { rows, head } of this.bodies) if (head) head.hidden = rows.every((row) => row.hidden);
    const shown = this.columns.map((box) => box.checked);
    for (const head of selectAll("thead th[data-first]", this.table)) {
      const first = Number(head.dataset.first);
      const width = shown.slice(first, first + Number(head.dataset.width)).filter(Boolean).length;
      head.hidden = width === 0;
      head.colSpan = Math.max(width, 1);
    }
    for (const row of this.rows) shown.forEach((visible, column) => (row.cells[column + 1].hidden = !visible));
    for (const { head } of this.bodies) if (head) head.cells[0].colSpan = 1 + shown.filter(Boolean).length;
    this.reportState(shown);
  }

  reportState(shown) {
    const rows = this.rows.filter((row) => !row.hidden).length;
    const hidden = this.columns.filter((_, at) => !shown[at]).map((box) => box.parentElement.textContent.trim());
    const { button, direction } = this.sorted;
    select(".state", this.section).textContent = [
      rows < this.rows.length ? `${rows} of ${this.rows.length} rows` : "",
      hidden.length ? `hidden: ${hidden.join(", ")}` : "",
      direction === "none" ? "" : `sorted by ${button.dataset.name}, ${direction}`,
    ].filter(Boolean).join("; ");
  }

  reset() {
    this.input.value = "";
    for (const box of this.columns) box.checked = true;
    this.sorted = { button: null, direction: "none" };
    this.arrange();
  }

  /* One cell of a table can be reached with the tab key; the arrow keys move from there. */
  moveFocus(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const cell = event.target.closest("td");
    const step = steps[event.key];
    if (!cell || !step) return;
    event.preventDefault();
    const rows = selectAll(".row:not([hidden])", this.table);
    const cells = selectAll("td:not([hidden])", cell.parentElement);
    const row = rows[rows.indexOf(cell.parentElement) + step[0]];
    const next = row && selectAll("td:not([hidden])", row)[cells.indexOf(cell) + step[1]];
    if (!next) return;
    for (const other of selectAll("td[tabindex='0']", this.table)) other.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/* The details of a number: a card that is shown while the pointer or the focus is on the number. */

const card = select("#card");
let cardCell = null;

function openCard(cell) {
  const lines = JSON.parse(cell.dataset.card);
  if (cell === cardCell || !lines.length) return;
  closeCard();
  cardCell = cell;
  const names = selectAll(".sort", cell.closest("table")).map((button) => button.dataset.name);
  const title = document.createElement("p");
  const row = cell.parentElement;
  title.textContent = `${blockOf(row)} ${row.cells[0].textContent.trim()}, ${names[cell.cellIndex]}`.trim();
  const list = document.createElement("dl");
  for (const [label, text] of lines) {
    const line = document.createElement("div");
    const term = Object.assign(document.createElement("dt"), { textContent: label });
    line.append(term, Object.assign(document.createElement("dd"), { textContent: text }));
    list.append(line);
  }
  card.replaceChildren(title, list);
  card.hidden = false;
  cell.setAttribute("aria-describedby", "card");
  placeCard();
}

function placeCard() {
  if (!cardCell) return;
  const [cell, size] = [cardCell.getBoundingClientRect(), card.getBoundingClientRect()];
  const below = cell.bottom + size.height <= innerHeight || cell.top < size.height;
  const left = Math.min(Math.max(8, cell.right - size.width), document.documentElement.clientWidth - size.width - 8);
  card.style.left = `${Math.max(8, left)}px`;
  card.style.top = `${below ? cell.bottom : cell.top - size.height}px`;
}

function closeCard() {
  cardCell?.removeAttribute("aria-describedby");
  cardCell = null;
  card.hidden = true;
}

function listenForCards() {
  const cellOf = (target) => (target instanceof Element ? target.closest("td[data-card]") : null);
  const inside = (target) => target instanceof Element && card.contains(target);
  const enter = ({ target }) => cellOf(target) && openCard(cellOf(target));
  for (const kind of ["pointerover", "focusin", "click"]) document.addEventListener(kind, enter);
  document.addEventListener("pointerout", ({ relatedTarget: to, pointerType }) => {
    if (cardCell && pointerType === "mouse" && !inside(to) && cellOf(to) !== cardCell) closeCard();
  });
  document.addEventListener("focusout", ({ target }) => cellOf(target) === cardCell && closeCard());
  document.addEventListener("pointerdown", ({ target }) => !inside(target) && cellOf(target) !== cardCell && closeCard());
  document.addEventListener("keydown", ({ key }) => key === "Escape" && closeCard());
  document.addEventListener("scroll", placeCard, { capture: true, passive: true });
}

function listenForMenus() {
  const closeMenus = (kept) => selectAll(".menu[open]").forEach((menu) => (menu.open = menu === kept));
  document.addEventListener("pointerdown", ({ target }) => closeMenus(target.closest(".menu")));
  document.addEventListener("keydown", ({ key }) => key === "Escape" && closeMenus());
}

/* Figures in full size, the gallery's pictures once an exhibit is opened, contents, theme. */

function listenForFigures() {
  const dialog = select("#large");
  for (const button of selectAll(".zoom")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const [picture, large] = [select("img", button), select("img", dialog)];
      [large.src, large.alt] = [picture.src, picture.alt];
      select("p", dialog).textContent = select("figcaption", button.parentElement).textContent;
      dialog.showModal();
    });
  }
  select("button", dialog).addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
}

function listenForExhibits() {
  const images = JSON.parse(select("#images")?.textContent ?? "[]");
  for (const exhibit of selectAll(".exhibit")) {
    const fill = () => selectAll("img", exhibit).forEach((picture) => (picture.src = images[picture.dataset.image]));
    exhibit.addEventListener("toggle", fill, { once: true });
  }
}

/* Open folded sections for printing, in browsers where the style alone cannot. */
function listenForPrint() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = selectAll(".more:not([open])");
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => opened.forEach((part) => (part.open = false)));
}

function followContents() {
  const links = selectAll("nav li a");
  const follow = () => {
    const above = (link) => document.getElementById(link.hash.slice(1)).getBoundingClientRect().top < innerHeight * 0.3;
    const atEnd = scrollY > 0 && scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    const current = (atEnd ? links : links.filter(above)).at(-1);
    for (const link of links) link.toggleAttribute("aria-current", link === current);
  };
  document.addEventListener("scroll", follow, { passive: true });
  follow();
}

function listenForTheme() {
  const root = document.documentElement;
  const button = select(".theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => (button.textContent = isDark() ? "Light theme" : "Dark theme");
  const withStorage = (use) => {
    try {
      return use(localStorage);
    } catch {
      return null; // a browser may refuse storage to local files; the theme is then forgotten with the page
    }
  };
  const theme = withStorage((storage) => storage.getItem("retbench-theme"));
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    withStorage((storage) => storage.setItem("retbench-theme", root.dataset.theme));
    label();
  });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
}

for (const section of selectAll(".table-section")) new Grid(section);
listenForMenus();
listenForCards();
listenForFigures();
listenForExhibits();
listenForPrint();
followContents();
listenForTheme();
