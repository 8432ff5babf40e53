/* What the page is drawn with: elements, words and numbers, a line over the last minutes. It knows no document.

   Invariants: data becomes text by textContent alone, never markup; what has not changed is not touched, so that
   selections, focus and screen readers stay where they are. */

/* ---- elements ---- */

export const ORDER = { wrong: 0, watch: 1, idle: 2, ok: 3 }; // of states, those in trouble first

export const at = (id) => document.getElementById(id);

export function text(element, value) {
  const wanted = value ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
  return element;
}

export function attribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  return element;
}

export function make(tag, name = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function icon(state) {
  return drawn("svg", { class: `icon ${state}`, "aria-hidden": "true" }, drawn("use", { href: `#${state}` }));
}

export function turn(element, state) {
  attribute(element, "class", `icon ${state}`);
  attribute(element.firstChild, "href", `#${state}`);
}

/* Rows that stay the same elements for as long as their key is there: `fill(row, item)` writes into `row.parts`. */
export function rows(parent, items, key, build, fill) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, row] of known) if (!wanted.has(name)) (row.remove(), known.delete(name));
  items.forEach((item, place) => {
    const name = key(item);
    let row = known.get(name);
    if (!row) known.set(name, (row = build(item)));
    if (parent.children[place] !== row) parent.insertBefore(row, parent.children[place] ?? null);
    fill(row, item);
  });
}

export function cells(...names) {
  return () => {
    const row = make("tr");
    row.parts = names.map((name) => row.appendChild(make("td", name)));
    return row;
  };
}

/* A text with a quieter one under it. */
export function twoLines(element, first, second) {
  const [above, below] = (element.lines ??= [element.appendChild(make("span")), element.appendChild(make("small"))]);
  text(above, first);
  text(below, second);
}

export function stateCell(element, state, word) {
  const [mark, name] = (element.lines ??= (() => {
    const inside = element.appendChild(make("span", "state", icon(state), make("span")));
    return [inside.firstChild, inside.lastChild];
  })());
  turn(mark, state);
  text(name, word);
}

/* ---- words and numbers ---- */

export const whole = new Intl.NumberFormat("en");
export const NONE = "–";

export function milliseconds(value) {
  if (value === null || value === undefined) return [NONE, ""];
  if (value >= 60_000) return [(value / 60_000).toFixed(1), "min"];
  if (value >= 1000) return [(value / 1000).toFixed(value < 10_000 ? 2 : 1), "s"];
  return [value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : value.toFixed(0), "ms"];
}

export const duration = (value) => milliseconds(value).join(" ").trim();
export const late = (seconds) => (seconds < 0.05 ? "0 s" : seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds));

export function number(value) {
  if (value === null || value === undefined) return NONE;
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : whole.format(Math.round(value));
}

export function percent(ratio) {
  if (ratio === null || ratio === undefined) return NONE;
  const shown = ratio * 100;
  return (shown >= 100 || shown === 0 ? shown.toFixed(0) : Math.min(shown, 99.99).toFixed(shown < 99 ? 1 : 2)) + " %";
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  for (; value >= 1024 && power < units.length - 1; power++) value /= 1024;
  return `${power && value < 100 ? value.toFixed(1) : value.toFixed(0)} ${units[power]}`;
}

export function span(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} days`;
}

export const ago = (now_ms, then_ms) => `${span((now_ms - then_ms) / 1000)} ago`;
export const clock = (moment) => moment.toLocaleTimeString("en-GB");
export const words = (name) => name.replaceAll("_", " ");
export const counted = (count, one, many = `${one}s`) => `${whole.format(count)} ${count === 1 ? one : many}`;

/* [0,1,2,5] -> "0–2, 5" */
export function ranges(numbers) {
  const found = [];
  for (const one of numbers) {
    const last = found.at(-1);
    if (last && one === last[1] + 1) last[1] = one;
    else found.push([one, one]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
}

/* ---- a line over the last minutes ---- */

const WIDTH = 300;
const HEIGHT = 54;

export class Trend {
  constructor(label, format) {
    [this.label, this.format] = [label, format];
    this.area = drawn("path", { class: "area" });
    this.line = drawn("path", { class: "line" });
    this.level = drawn("line", { class: "level", x1: 0, x2: WIDTH });
    const base = drawn("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" };
    this.drawing = drawn("svg", box, base, this.area, this.level, this.line);
    [this.left, this.right] = [make("span"), make("span")];
    this.element = make("figure", "trend", make("figcaption", "", this.left, this.right), this.drawing);
  }

  /* `level`: where the service level lies, drawn where the scale reaches it. */
  show(values, seconds, level = null) {
    const known = values.filter((value) => value !== null);
    const highest = Math.max(0, ...known);
    const top = Math.max(highest * 1.08, 1e-9);
    text(this.left, `${this.label}, ${span(seconds)}`);
    text(this.right, known.length ? `highest ${this.format(highest)}` : "nothing yet");
    attribute(this.drawing, "aria-label", this.told(known, seconds));
    this.draw(values, Math.max(1, values.length - 1), top);
    const visible = level !== null && level <= top;
    attribute(this.level, "visibility", visible ? "visible" : "hidden");
    for (const end of ["y1", "y2"]) attribute(this.level, end, visible ? `${HEIGHT * (1 - level / top)}` : "0");
  }

  told(known, seconds) {
    if (!known.length) return `${this.label}: nothing in the last ${span(seconds)}`;
    const [low, high] = [Math.min(...known), Math.max(...known)].map(this.format);
    return `${this.label} in the last ${span(seconds)}: from ${low} to ${high}, now ${this.format(known.at(-1))}`;
  }

  draw(values, last, top) {
    let [line, area, begun] = ["", "", null];
    const close = (x) => (area += begun === null ? "" : `L${x} ${HEIGHT}L${begun} ${HEIGHT}Z`);
    values.forEach((value, place) => {
      const x = ((place / last) * WIDTH).toFixed(1);
      if (value === null) {
        close((((place - 1) / last) * WIDTH).toFixed(1));
        begun = null;
        return;
      }
      const step = `${begun === null ? "M" : "L"}${x} ${(HEIGHT * (1 - value / top)).toFixed(1)}`;
      begun ??= x;
      line += step;
      area += step;
    });
    close(WIDTH);
    attribute(this.line, "d", line);
    attribute(this.area, "d", area);
  }
}
