/* The four questions, each a card with the worker's own verdict, and all of them in one sentence.

   Each function makes a section once and returns what shows a document in it. */

import {
  at, attribute, duration, icon, late, make, milliseconds, NONE, number, ORDER, percent, rows, span, text,
  Trend, turn, whole, words,
} from "./elements.js";

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

export function freshCard() {
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

export function fastCard() {
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

export function soundCard() {
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

export function readyCard() {
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

export function overall() {
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
