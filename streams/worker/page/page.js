/* The status page: asks the worker for one document a second and shows it.

   Invariant: a section is a function of the document, touches only its own elements, and a fault of one leaves the
   others. */

import {
  ago, at, attribute, bytes, cells, clock, counted, duration, icon, late, make, NONE, ORDER, percent, ranges,
  rows, span, stateCell, text, turn, twoLines, whole, words,
} from "./elements.js";
import { fastCard, freshCard, overall, readyCard, soundCard } from "./questions.js";

const ASK_MS = 1000;
const PATIENCE_MS = 3000; // three missed answers, as long as a busy worker may take
const ROWS_FIRST = 16;
const LATE_SECONDS = 5; // as in the worker's own verdict

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

let answered = null; // when the worker last did

function fresh() {
  answered = new Date();
  document.body.classList.remove("is-stale");
  at("stale").hidden = true;
  text(at("updated"), `live, ${clock(answered)}`);
}

function silent(why) {
  if (answered && Date.now() - answered < PATIENCE_MS) return;
  document.body.classList.add("is-stale");
  const since = answered ? `What you see is from ${clock(answered)}.` : "It has not answered yet.";
  text(at("stale"), `The worker does not answer (${why}). ${since} Is it running? Its log and its supervisor know more.`);
  at("stale").hidden = false;
  text(at("updated"), answered ? `silent for ${span((Date.now() - answered) / 1000)}` : "no answer");
  document.title = "✕ no answer · muse-stream";
}

async function ask() {
  try {
    const options = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
    const response = await fetch("v1/status", options);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const status = await response.json();
    show(status);
    fresh();
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
