"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const plain = (text) => text.replaceAll("\u2212", "-").replace(/\s+/g, " ").trim().toLowerCase();

const blockOf = (row) => one(".block", row.parentElement)?.textContent.trim() ?? "";

function order(rows, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  if (column < 0) {
    const label = (row) => one(".label", row).textContent;
    return [...rows].sort((a, b) => sign * label(a).localeCompare(label(b), "en", { numeric: true }));
  }
  const value = (row) => parseFloat(row.cells[column + 1].dataset.value);
  const numbers = rows.filter((row) => !Number.isNaN(value(row)));
  const others = rows.filter((row) => Number.isNaN(value(row)));
  return [...numbers.sort((a, b) => sign * (value(a) - value(b))), ...others]; // what has no number stays last
}

/* A table: its order, the rows that a text is looked for in, and the columns that are shown. */

class Grid {
  constructor(section) {
    this.section = section;
    this.table = one(".grid", section);
    this.bodies = all("tbody", this.table).map((body) => ({ body, rows: all(".row", body), head: one(".block", body) }));
    this.rows = this.bodies.flatMap(({ rows }) => rows);
    const texts = (row) => [blockOf(row), ...[...row.cells].map((cell) => cell.textContent)];
    this.texts = new Map(this.rows.map((row) => [row, plain(texts(row).join(" "))]));
    this.columns = all(".menu input", section);
    this.input = one(".find input", section);
    this.sorted = { button: null, direction: "none" };
    this.listen();
  }

  listen() {
    one(".tools", this.section).hidden = false;
    for (const button of all(".sort", this.table)) {
      button.disabled = false;
      button.addEventListener("click", () => this.sort(button));
    }
    for (const box of this.columns) box.addEventListener("change", () => this.show());
    this.input.addEventListener("input", () => this.show());
    one(".reset", this.section).addEventListener("click", () => this.reset());
    const first = one("td", this.table);
    if (first) first.tabIndex = 0;
    this.table.addEventListener("keydown", (event) => this.walk(event));
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
    for (const other of all(".sort", this.table)) {
      const mine = other === button && sorted;
      if (mine) other.closest("th").setAttribute("aria-sort", direction);
      else other.closest("th").removeAttribute("aria-sort");
    }
    const ordered = (rows) => (sorted ? order(rows, Number(button.dataset.column), direction) : rows);
    for (const { body, rows } of this.bodies) body.append(...ordered(rows)); // blocks hold what must not be compared
    this.show();
  }

  show() {
    const wanted = plain(this.input.value);
    for (const row of this.rows) row.hidden = !this.texts.get(row).includes(wanted);
    for (const { rows, head } of this.bodies) if (head) head.hidden = rows.every((row) => row.hidden);
    const shown = this.columns.map((box) => box.checked);
    for (const head of all("thead th[data-first]", this.table)) {
      const first = Number(head.dataset.first);
      const width = shown.slice(first, first + Number(head.dataset.width)).filter(Boolean).length;
      head.hidden = width === 0;
      head.colSpan = Math.max(width, 1);
    }
    for (const row of this.rows) shown.forEach((is, column) => (row.cells[column + 1].hidden = !is));
    for (const { head } of this.bodies) if (head) head.cells[0].colSpan = 1 + shown.filter(Boolean).length;
    this.tell(shown);
  }

  tell(shown) {
    const rows = this.rows.filter((row) => !row.hidden).length;
    const hidden = this.columns.filter((_, at) => !shown[at]).map((box) => box.parentElement.textContent.trim());
    const { button, direction } = this.sorted;
    one(".state", this.section).textContent = [
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

  /* One cell of a table takes part in tabbing; the arrows go on from there. */
  walk(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const cell = event.target.closest("td");
    const step = steps[event.key];
    if (!cell || !step) return;
    event.preventDefault();
    const rows = all(".row:not([hidden])", this.table);
    const cells = all("td:not([hidden])", cell.parentElement);
    const row = rows[rows.indexOf(cell.parentElement) + step[0]];
    const next = row && all("td:not([hidden])", row)[cells.indexOf(cell) + step[1]];
    if (!next) return;
    for (const other of all("td[tabindex='0']", this.table)) other.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/* What stands behind a number: a card at its place, while the pointer or the focus is there. */

const card = one("#card");
let carded = null;

function openCard(cell) {
  const lines = JSON.parse(cell.dataset.card);
  if (cell === carded || !lines.length) return;
  closeCard();
  carded = cell;
  const names = all(".sort", cell.closest("table")).map((button) => button.dataset.name);
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
  if (!carded) return;
  const [cell, size] = [carded.getBoundingClientRect(), card.getBoundingClientRect()];
  const below = cell.bottom + size.height <= innerHeight || cell.top < size.height;
  const left = Math.min(Math.max(8, cell.right - size.width), document.documentElement.clientWidth - size.width - 8);
  card.style.left = `${Math.max(8, left)}px`;
  card.style.top = `${below ? cell.bottom : cell.top - size.height}px`;
}

function closeCard() {
  carded?.removeAttribute("aria-describedby");
  carded = null;
  card.hidden = true;
}

function listenForCards() {
  const cellOf = (target) => (target instanceof Element ? target.closest("td[data-card]") : null);
  const inside = (target) => target instanceof Element && card.contains(target);
  const enter = ({ target }) => cellOf(target) && openCard(cellOf(target));
  for (const kind of ["pointerover", "focusin", "click"]) document.addEventListener(kind, enter);
  document.addEventListener("pointerout", ({ relatedTarget: to, pointerType }) => {
    if (carded && pointerType === "mouse" && !inside(to) && cellOf(to) !== carded) closeCard();
  });
  document.addEventListener("focusout", ({ target }) => cellOf(target) === carded && closeCard());
  document.addEventListener("pointerdown", ({ target }) => !inside(target) && cellOf(target) !== carded && closeCard());
  document.addEventListener("keydown", ({ key }) => key === "Escape" && closeCard());
  document.addEventListener("scroll", placeCard, { capture: true, passive: true });
}

function listenForMenus() {
  const closeMenus = (kept) => all(".menu[open]").forEach((menu) => (menu.open = menu === kept));
  document.addEventListener("pointerdown", ({ target }) => closeMenus(target.closest(".menu")));
  document.addEventListener("keydown", ({ key }) => key === "Escape" && closeMenus());
}

/* Figures in full size, the gallery's pictures when they are wanted, contents, theme. */

function listenForFigures() {
  const dialog = one("#large");
  for (const button of all(".zoom")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const [picture, large] = [one("img", button), one("img", dialog)];
      [large.src, large.alt] = [picture.src, picture.alt];
      one("p", dialog).textContent = one("figcaption", button.parentElement).textContent;
      dialog.showModal();
    });
  }
  one("button", dialog).addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
}

function listenForExhibits() {
  const images = JSON.parse(one("#images")?.textContent ?? "[]");
  for (const exhibit of all(".exhibit")) {
    const fill = () => all("img", exhibit).forEach((picture) => (picture.src = images[picture.dataset.image]));
    exhibit.addEventListener("toggle", fill, { once: true });
  }
}

/* What is folded is printed too; the style unfolds it alone where a browser can. */
function listenForPrint() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all(".more:not([open])");
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => opened.forEach((part) => (part.open = false)));
}

function followContents() {
  const links = all("nav li a");
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
  const button = one(".theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => (button.textContent = isDark() ? "Light theme" : "Dark theme");
  const remembered = (act) => {
    try {
      return act(localStorage);
    } catch {
      return null; // a browser may refuse storage to files: then the theme lasts as long as the page
    }
  };
  const theme = remembered((storage) => storage.getItem("retbench-theme"));
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remembered((storage) => storage.setItem("retbench-theme", root.dataset.theme));
    label();
  });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
}

for (const section of all(".sheet")) new Grid(section);
listenForMenus();
listenForCards();
listenForFigures();
listenForExhibits();
listenForPrint();
followContents();
listenForTheme();
