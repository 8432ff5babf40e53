/* The status page: asks the worker for one document a second and shows it.

   Invariants: data becomes text by textContent alone, never markup; a section is a function of the document, touches only
   its own elements, and a fault of one leaves the others; what has not changed is not touched, so that selections, focus
   and screen readers stay where they are. */

const ASK_MS = 1000;
const PATIENCE_MS = 3000; // three missed answers, as long as a busy worker may take
const ROWS_FIRST = 16;
const LATE_SECONDS = 5; // as in the worker's own verdict
const ORDER = { wrong: 0, watch: 1, idle: 2, ok: 3 };

/* ---- elements ---- */

const at = (id) => document.getElementById(id);

function text(element, value) {
  const wanted = value ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
  return element;
}

function attribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  return element;
}

function make(tag, name = "", ...children) {
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

function icon(state) {
  return drawn("svg", { class: `icon ${state}`, "aria-hidden": "true" }, drawn("use", { href: `#${state}` }));
}

function turn(element, state) {
  attribute(element, "class", `icon ${state}`);
  attribute(element.firstChild, "href", `#${state}`);
}

/* Rows that stay the same elements for as long as their key is there: `fill(row, item)` writes into `row.parts`. */
function rows(parent, items, key, build, fill) {
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

function cells(...names) {
  return () => {
    const row = make("tr");
    row.parts = names.map((name) => row.appendChild(make("td", name)));
    return row;
  };
}

/* A text with a quieter one under it. */
function twoLines(element, first, second) {
  const [above, below] = (element.lines ??= [element.appendChild(make("span")), element.appendChild(make("small"))]);
  text(above, first);
  text(below, second);
}

function stateCell(element, state, word) {
  const [mark, name] = (element.lines ??= (() => {
    const inside = element.appendChild(make("span", "state", icon(state), make("span")));
    return [inside.firstChild, inside.lastChild];
  })());
  turn(mark, state);
  text(name, word);
}

/* ---- words and numbers ---- */

const whole = new Intl.NumberFormat("en");
const NONE = "–";

function milliseconds(value) {
  if (value === null || value === undefined) return [NONE, ""];
  if (value >= 60_000) return [(value / 60_000).toFixed(1), "min"];
  if (value >= 1000) return [(value / 1000).toFixed(value < 10_000 ? 2 : 1), "s"];
  return [value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : value.toFixed(0), "ms"];
}

const duration = (value) => milliseconds(value).join(" ").trim();
const late = (seconds) => (seconds < 0.05 ? "0 s" : seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds));

function number(value) {
  if (value === null || value === undefined) return NONE;
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : whole.format(Math.round(value));
}

function percent(ratio) {
  if (ratio === null || ratio === undefined) return NONE;
  const shown = ratio * 100;
  return (shown >= 100 || shown === 0 ? shown.toFixed(0) : Math.min(shown, 99.99).toFixed(shown < 99 ? 1 : 2)) + " %";
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  for (; value >= 1024 && power < units.length - 1; power++) value /= 1024;
  return `${power && value < 100 ? value.toFixed(1) : value.toFixed(0)} ${units[power]}`;
}

function span(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} days`;
}

const ago = (now_ms, then_ms) => `${span((now_ms - then_ms) / 1000)} ago`;
const clock = (moment) => moment.toLocaleTimeString("en-GB");
const words = (name) => name.replaceAll("_", " ");
const counted = (count, one, many = `${one}s`) => `${whole.format(count)} ${count === 1 ? one : many}`;

/* [0,1,2,5] -> "0–2, 5" */
function ranges(numbers) {
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

class Trend {
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

/* ---- the four questions ---- */

class Card {
  constructor(key, question, figures, trend) {
    this.badge = make("span", "badge");
    this.badge.append((this.mark = icon("idle")), (this.word = make("span")));
    [this.value, this.unit, this.what, this.said] = [make("span"), make("small"), make("span"), make("p", "said")];
    this.figures = Object.fromEntries(figures.map((name) => [name, make("dd")]));
    const facts = figures.map((name) => make("div", "", make("dt", "", name), this.figures[name]));
    const title = make("h2", "", make("span", "", question), this.badge);
    title.id = `${key}-title`;
    this.element = make("section", "card", title);
    this.element.append(make("p", "big", make("b", "", this.value, this.unit), this.what), this.said);
    if (figures.length) this.element.append(make("dl", "figures", ...facts));
    if (trend) this.element.append((this.trend = trend).element);
    attribute(this.element, "aria-labelledby", title.id);
    at("cards").append(this.element);
  }

  show(verdict, [value, unit], what, figures = {}) {
    const word = { ok: "yes", idle: "idle", watch: "watch", wrong: "no" }[verdict.state];
    attribute(this.badge, "class", `badge ${verdict.state}`);
    turn(this.mark, verdict.state);
    text(this.word, word);
    text(this.value, value);
    text(this.unit, unit);
    text(this.what, what);
    text(this.said, sentence(verdict.text));
    for (const [name, shown] of Object.entries(figures)) text(this.figures[name], shown);
  }
}

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?…]$/.test(words) ? "" : ".");
const judged = (status, key) => status.verdicts.find((verdict) => verdict.key === key);
const points = (status, name) => (status.trends?.points ?? []).map((point) => point[name]);
const now = (status, name) => points(status, name).at(-1) ?? null;
const reach = (status) => Math.max(1, points(status, "records_per_second").length) * (status.trends?.step_seconds ?? 1);

const QUESTIONS = { ready: "Ready for requests?", fresh: "Behaviours retrievable in time?", fast: "Answers fast?", sound: "Answers sane?" };

function freshCard() {
  const card = new Card("fresh", QUESTIONS.fresh, ["half within", "worst partition", "records read"], new Trend("p99 until retrievable", duration));
  return (status) => {
    const found = status.trends?.freshness;
    const canary = status.canary_unseen_seconds_max;
    const seen = canary === null ? "" : `, canary seen ${span(canary)} ago`;
    card.show(judged(status, "fresh"), milliseconds(found?.p99_ms), `p99 from broker to retrievable${seen}`, {
      "half within": duration(found?.p50_ms),
      "worst partition": `${late(status.lag_seconds_max)} late`,
      "records read": `${number(now(status, "records_per_second"))}/s`,
    });
    card.trend.show(points(status, "fresh_p99_ms"), reach(status), found?.in_time_ms ?? null);
  };
}

function fastCard() {
  const card = new Card("fast", QUESTIONS.fast, ["half within", "in time", "answers"], new Trend("p99 of answers", duration));
  return (status) => {
    const found = status.trends?.answers;
    card.show(judged(status, "fast"), milliseconds(found?.p99_ms), "p99 from arrival to answered", {
      "half within": duration(found?.p50_ms),
      "in time": percent(found?.in_time_ratio),
      answers: `${number(now(status, "answers_per_second"))}/s`,
    });
    card.trend.show(points(status, "answer_p99_ms"), reach(status), found?.in_time_ms ?? null);
  };
}

function soundCard() {
  const card = new Card("sound", QUESTIONS.sound, ["refused", "not answered", "records rejected"], new Trend("answers a second", number));
  const failing = ["not_ready", "expired", "overload", "error"];
  return (status) => {
    const outcomes = status.trends?.outcomes ?? {};
    const sum = (names) => names.reduce((total, name) => total + (outcomes[name] ?? 0), 0);
    const [all, failed, refused] = [sum(Object.keys(outcomes)), sum(failing), sum(["malformed", "too_large"])];
    const share = all ? percent((all - failed - refused) / all).split(" ") : [NONE, ""];
    card.show(judged(status, "sound"), share, "answered with what was asked for", {
      refused: whole.format(refused),
      "not answered": whole.format(failed),
      "records rejected": `${number(now(status, "rejected_per_second"))}/s`,
    });
    card.trend.show(points(status, "answers_per_second"), reach(status));
  };
}

function readyCard() {
  const card = new Card("ready", QUESTIONS.ready, [], null);
  const list = card.element.appendChild(make("ul", "tally"));
  return (status) => {
    const { checks } = status.health;
    const passed = checks.filter((check) => check.ok).length;
    card.show(judged(status, "ready"), [`${passed}`, `of ${checks.length}`], "checks pass");
    rows(list, checks, (check) => check.name, () => make("li", "", icon("ok"), make("span")), (row, check) => {
      turn(row.firstChild, check.ok ? "ok" : "wrong");
      text(row.lastChild, words(check.name));
    });
  };
}

/* ---- in one sentence ---- */

function overall() {
  const said = at("overall");
  const [mark, line] = [said.appendChild(icon("idle")), said.appendChild(make("span"))];
  const name = { ready: "not ready", fresh: "late behaviours", fast: "slow answers", sound: "refusals" };
  return (status) => {
    const trouble = status.verdicts.filter(({ state }) => ORDER[state] < ORDER.idle);
    trouble.sort((one, other) => ORDER[one.state] - ORDER[other.state]);
    const state = trouble[0]?.state ?? "ok";
    attribute(said.parentElement, "class", `overall ${state}`);
    turn(mark, state);
    const quiet = status.verdicts.every(({ key, state }) => key === "ready" || state === "idle");
    const calm = quiet ? "All is well, and nothing comes in." : "All is well.";
    const what = trouble.map(({ key }) => name[key]).join(", ");
    text(line, trouble.length ? `${state === "wrong" ? "Needs you" : "Watch"}: ${what}.` : calm);
    rows(at("to-do"), trouble, (verdict) => verdict.key, toDo, (row, verdict) => {
      turn(row.firstChild, verdict.state);
      text(row.said, sentence(verdict.text));
      text(row.advice, verdict.advice);
    });
    document.title = `${{ ok: "✓", watch: "!", wrong: "✕" }[state]} ${status.app} · muse-stream`;
  };
}

function toDo(verdict) {
  const [said, advice] = [make("span"), make("div", "advice")];
  const row = make("li", "", icon("idle"), make("div", "", make("b", "", `${QUESTIONS[verdict.key]} `), said, advice));
  return Object.assign(row, { said, advice });
}

/* ---- sections ---- */

function heading(status) {
  text(at("app"), `· ${status.app}`);
  const { url, host, process } = status.worker;
  text(at("whose"), `${url || host}, process ${process}, up ${span((status.at_ms - status.started_ms) / 1000)}`);
}

function stages(status) {
  const found = status.trends?.stages ?? [];
  const answers = status.trends?.answers;
  const total = found.reduce((sum, stage) => sum + stage.mean_ms, 0);
  const worst = found.reduce((most, stage) => (stage.mean_ms > (most?.mean_ms ?? 0) ? stage : most), null);
  const window = `the last ${span(status.trends?.window_seconds ?? 0)}`;
  text(at("stages-about"), found.length ? `${counted(answers.count, "answer")} in ${window}; ${worst.stage} takes ${percent(worst.mean_ms / total)} of the time.` : `No answers in ${window}.`);
  let begun = 0;
  const shown = found.map((stage) => ({ ...stage, begun: ((begun += stage.mean_ms), begun - stage.mean_ms) }));
  if (found.length) shown.push({ stage: "whole", begun: 0, mean_ms: total, p50_ms: answers.p50_ms, p99_ms: answers.p99_ms });
  rows(at("stages").tBodies[0], shown, ({ stage }) => stage, stageRow, (row, stage) => {
    attribute(row, "class", stage.stage === "whole" ? "whole" : stage.stage === worst.stage ? "worst" : "");
    const [name, , ...figures] = row.parts;
    text(name, words(stage.stage));
    row.bar.style.left = `${((stage.begun / total) * 100).toFixed(2)}%`;
    row.bar.style.width = `${((stage.mean_ms / total) * 100).toFixed(2)}%`;
    [stage.mean_ms, stage.p50_ms, stage.p99_ms].forEach((value, place) => text(figures[place], duration(value)));
  });
  at("stages").hidden = !found.length;
}

function stageRow() {
  const row = cells("", "bar", "n wide", "n", "n")();
  row.bar = make("i");
  row.parts[1].append(make("div", "track", row.bar));
  return row;
}

/* What an operator needs of a partition: both its logs together. */
function partitionOf(one) {
  const logs = Object.entries(one.logs);
  const behind_seconds = Math.max(0, ...logs.map(([, log]) => log.lag_seconds));
  const state = one.error ? "wrong" : one.phase !== "ready" || behind_seconds > LATE_SECONDS ? "watch" : one.serving ? "ok" : "idle";
  const waiting = logs.map(([topic, log]) => (log.waiting ? `${topic} waits: ${log.waiting}` : "")).filter(Boolean);
  const held = logs.reduce((sum, [, log]) => sum + log.held_back, 0);
  if (held) waiting.push(`an open transaction holds ${counted(held, "record")} back`);
  return {
    number: one.partition,
    state,
    late: behind_seconds,
    word: one.error ? "stopped" : one.phase !== "ready" ? one.phase : behind_seconds > LATE_SECONDS ? "late" : one.serving ? "ready" : "standby",
    note: one.error ? one.error.split("\n")[0] : waiting.join("; "),
    behind: logs.reduce((sum, [, log]) => sum + log.lag_messages, 0),
    position: logs[0]?.[1].position ?? null,
  };
}

function partitions() {
  const button = at("all-partitions");
  let all = false;
  let last = null;
  button.addEventListener("click", () => ((all = !all), show(last)));
  const build = cells("n", "", "n", "n", "n wide");

  function show(status) {
    last = status;
    const found = [...status.partitions, ...(status.items.error || status.items.phase !== "ready" ? [{ ...status.items, partition: "items", serving: true }] : [])].map(partitionOf);
    const known = found.filter((one) => one.number !== "items");
    const ready = known.filter((one) => one.state === "ok" || one.state === "idle").length;
    text(at("partitions-about"), known.length ? `${ready} of ${known.length} are read to their ends; items are ${status.items.phase}.` : "None is assigned to this worker.");
    map(known);
    found.sort((one, other) => ORDER[one.state] - ORDER[other.state] || other.late - one.late || (one.number > other.number ? 1 : -1));
    const few = all ? found : found.slice(0, ROWS_FIRST);
    const flat = few.flatMap((one) => (one.note ? [one, { number: `${one.number} note`, said: one.note }] : [one]));
    rows(at("partitions").tBodies[0], flat, (one) => one.number, (one) => (one.said ? noteRow() : build()), (row, one) => {
      if (one.said) return void text(row.lastChild, one.said);
      const [number, state, seconds, behind, position] = row.parts;
      text(number, `${one.number}`);
      stateCell(state, one.state, one.word);
      text(seconds, one.position === null ? NONE : late(one.late));
      text(behind, one.position === null ? NONE : whole.format(one.behind));
      text(position, one.position === null ? NONE : whole.format(one.position));
    });
    button.hidden = found.length <= ROWS_FIRST;
    text(button, all ? `Show the first ${ROWS_FIRST}` : `Show all ${found.length}`);
    at("partitions").hidden = !found.length;
  }
  return show;
}

function noteRow() {
  const said = make("td");
  said.colSpan = 4;
  return make("tr", "note", make("td"), said);
}

function map(found) {
  const element = at("partition-map");
  element.hidden = found.length < 5;
  const bad = found.filter((one) => ORDER[one.state] < ORDER.idle).map((one) => one.number);
  attribute(element, "aria-label", bad.length ? `Not well: partitions ${ranges(bad)}` : `All ${found.length} partitions are well`);
  rows(element, found, (one) => one.number, () => make("i"), (cell, one) => {
    attribute(cell, "class", one.state);
    attribute(cell, "title", `partition ${one.number}: ${one.word}`);
  });
}

function workers(status) {
  const given = new Set(status.workers.flatMap((worker) => worker.partitions));
  const nobody = [...Array(status.partition_count).keys()].filter((partition) => !given.has(partition));
  const found = [...status.workers];
  if (nobody.length) found.push({ url: "", partitions: nobody });
  const count = counted(status.workers.length, "worker");
  text(at("workers-about"), nobody.length ? `${count}; ${counted(nobody.length, "partition")} without an owner.` : `${count} ${status.workers.length === 1 ? "owns" : "share"} ${counted(status.partition_count, "partition")}, as of the last assignment.`);
  rows(at("workers").tBodies[0], found, (worker) => worker.url, workerRow, (row, worker) => {
    const [, owned, share] = row.parts;
    text(row.mark, worker.this ? "this one" : worker.url ? "" : "wait for the next assignment, or start a worker");
    text(owned, ranges(worker.partitions) || "none");
    text(share, percent(worker.partitions.length / status.partition_count));
  });
}

function workerRow(worker) {
  const row = cells("", "", "n")();
  const safe = /^https?:\/\//.test(worker.url);
  const name = make(safe && !worker.this ? "a" : "span", "", worker.url.replace(/^https?:\/\//, "").replace(/\/$/, "") || "nobody");
  if (safe && !worker.this) name.href = worker.url;
  row.mark = make("small");
  row.parts[0].append(name, row.mark);
  return row;
}

function checks(status) {
  const found = [...status.health.checks].sort((one, other) => one.ok - other.ok);
  rows(at("checks"), found, (check) => check.name, checkRow, (row, check) => {
    turn(row.firstChild, check.ok ? (check.advice ? "watch" : "ok") : "wrong");
    attribute(row, "class", check.ok ? "" : "failing");
    text(row.name, words(check.name));
    text(row.detail, check.detail);
    text(row.advice, check.advice);
    row.advice.hidden = !check.advice;
  });
}

function checkRow() {
  const [name, detail, advice] = [make("b"), make("small"), make("div", "advice")];
  return Object.assign(make("li", "", icon("ok"), make("div", "", name, detail, advice)), { name, detail, advice });
}

function models(status) {
  const facts = [["Answers", model(status.models.live, status, "no model: only retrieval is answered")]];
  if (status.models.shadow) facts.push(["Shadow", model(status.models.shadow, status, "")]);
  const covered = Object.entries(status.coverage).map(([space, share]) => `${space} ${percent(share)}`);
  const { engine } = status;
  facts.push(["Vectors", [`${whole.format(engine.vectors)} items in space ${status.space}`, covered.length > 1 ? `coverage: ${covered.join(", ")}` : ""]]);
  facts.push(["Searches", [`on ${engine.backend}`, engine.why]]);
  facts.push(["In memory", [
    `${counted(engine.resident_users, "user")}, ${counted(engine.resident_behaviours, "behaviour")}`,
    `${bytes(engine.pool_bytes)} of ${bytes(engine.pool_budget_bytes)} (${percent(engine.pool_bytes / engine.pool_budget_bytes)}), ${whole.format(engine.evictions)} evicted since the start`,
  ]]);
  if (engine.gpu) facts.push(["GPU", [engine.gpu.name, engine.gpu.lost ? `lost, the CPU answers: ${engine.gpu.lost}` : `${counted(engine.gpu.resident_users, "user")}, ${bytes(engine.gpu.pool_bytes)} of histories, ${bytes(engine.gpu.vector_bytes)} of vectors`]]);
  facts.push(["On disk", [`${counted(status.behaviours_stored, "behaviour")} written since the start`, `Kafka cluster ${status.cluster}`]]);
  const flat = facts.flatMap(([name, value]) => [{ name, tag: "dt" }, { name, tag: "dd", value }]);
  rows(at("models"), flat, ({ name, tag }) => tag + name, ({ tag }) => make(tag), (cell, { name, tag, value }) => {
    if (tag === "dt") text(cell, name);
    else twoLines(cell, value[0], value[1]);
  });
}

function model(slot, status, none) {
  if (!slot?.version) return [slot?.name || none, slot?.note ?? ""];
  const since = slot.loaded_at_ms ? `, since ${span((status.at_ms - slot.loaded_at_ms) / 1000)}` : "";
  const share = slot.share < 1 ? `, ${percent(slot.share)} of the requests` : "";
  return [`${slot.name || slot.version}${since}${share}`, `${slot.version}, digest ${slot.digest.slice(0, 12)}, space ${slot.space}${slot.note ? `; ${slot.note}` : ""}`];
}

function warnings(status) {
  const found = status.warnings;
  text(at("warnings-about"), found.length ? "Repeats of a line are counted into it; the log has all of them." : "None since the start.");
  rows(at("warnings"), found, (line) => `${line.place} ${line.level}`, warningRow, (row, line) => {
    turn(row.firstChild, line.level === "warning" ? "watch" : "wrong");
    text(row.said, line.text);
    text(row.where, `${line.level} from ${line.logger} (${line.place})${line.count > 1 ? `, ${whole.format(line.count)} times since ${clock(new Date(line.first_ms))}` : ""}`);
    text(row.lastChild, ago(status.at_ms, line.last_ms));
    attribute(row.lastChild, "datetime", new Date(line.last_ms).toISOString());
  });
}

function warningRow() {
  const [said, where] = [make("span"), make("small")];
  return Object.assign(make("li", "", icon("watch"), make("div", "", said, where), make("time")), { said, where });
}

function letters(status) {
  const { total, last } = status.dead_letters;
  text(at("letters-about"), total ? `${counted(total, "record")} since the start could not be used; their contents are in the dead-letter topic.` : "None since the start.");
  at("letters").hidden = !last.length;
  const build = cells("", "", "n");
  rows(at("letters").tBodies[0], last, (one) => `${one.topic} ${one.partition} ${one.offset}`, build, (row, one) => {
    const [reason, place, when] = row.parts;
    text(reason, words(one.reason));
    twoLines(place, `partition ${one.partition}, offset ${whole.format(one.offset)}`, one.topic);
    text(when, ago(status.at_ms, one.at_ms));
  });
}

function build(status) {
  text(at("build"), Object.entries(status.build).map(([name, version]) => `${name} ${version}`).join(" · "));
}

/* ---- the page ---- */

const sections = [overall(), readyCard(), freshCard(), fastCard(), soundCard(), heading, stages, partitions(), workers, checks, models, warnings, letters, build];

function show(status) {
  for (const section of sections) {
    try {
      section(status);
    } catch (error) {
      console.error(`the section ${section.name} cannot show this document:`, error);
    }
  }
  at("main").removeAttribute("aria-busy");
}

const answered = { at: null, started_ms: null };

function fresh(status) {
  answered.at = new Date();
  answered.started_ms = status.started_ms;
  document.body.classList.remove("is-stale");
  at("stale").hidden = true;
  text(at("updated"), `live, ${clock(answered.at)}`);
}

function silent(why) {
  if (answered.at && Date.now() - answered.at < PATIENCE_MS) return;
  document.body.classList.add("is-stale");
  const since = answered.at ? `What you see is from ${clock(answered.at)}.` : "It has not answered yet.";
  text(at("stale"), `The worker does not answer (${why}). ${since} Is it running? Its log and its supervisor know more.`);
  at("stale").hidden = false;
  text(at("updated"), answered.at ? `silent for ${span((Date.now() - answered.at) / 1000)}` : "no answer");
  document.title = "✕ no answer · muse-stream";
}

async function ask() {
  try {
    const options = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
    const response = await fetch("v1/status", options);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const status = await response.json();
    show(status);
    fresh(status);
  } catch (error) {
    silent(error.name === "TimeoutError" ? `nothing within ${PATIENCE_MS / 1000} s` : error.name === "TypeError" ? "no connection" : error.message);
  }
}

async function live() {
  for (;;) {
    if (!document.hidden) await ask();
    await new Promise((resume) => setTimeout(resume, ASK_MS));
  }
}

live();
