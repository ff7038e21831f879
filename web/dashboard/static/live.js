// Keeps the panels of an open page current: /events tells that something happened, and the panels
// that it concerns are fetched again. Whoever may not follow the log asks at intervals.

import { follow } from "./follow.js";

const THROTTLE = 2000; // ms between two fetches of the panels
const SETTLE = 700; // ms for which the read models may take to follow the log
const WITHOUT_NEWS = 30000; // ms after which panels are fetched although nothing was heard

const root = document.querySelector(".panels");
const said = document.getElementById("live");
const panels = root ? [...root.querySelectorAll("[data-live]")].filter((each) => each.dataset.live) : [];
const due = new Set();
let timer = null;
let last = 0;
let source = null;

/** Fetch a panel again, and put it in the place of the old one. */
async function refresh(panel) {
  const content = panel.querySelector(".content");
  if (content.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) {
    return; // somebody types there
  }
  const address = new URL(location.href);
  address.searchParams.set("panel", panel.dataset.panel);
  const reply = await fetch(address, { credentials: "same-origin", cache: "no-store" });
  if (reply.status === 401) {
    location.reload(); // the session has ended: the page asks to sign in
    return;
  }
  if (!reply.ok) throw new Error(`${reply.status}`);
  const text = await reply.text();
  if (panel.dataset.text === text) return;
  panel.dataset.text = text;
  const open = [...content.querySelectorAll("details")].map((each) => each.open);
  content.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
  content.querySelectorAll("details").forEach((each, index) => { each.open = open[index] ?? each.open; });
  panel.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
}

async function refreshDue() {
  timer = null;
  last = Date.now();
  const now = [...due];
  due.clear();
  try {
    for (const panel of now) await refresh(panel);
    say("");
  } catch {
    say("The server does not answer; what is shown may be old.");
  }
}

/** Whether the reader wants to see news: a page may have a box for that. */
function follows() {
  return document.querySelector("input[data-follow]")?.checked ?? true;
}

function plan(wanted) {
  if (!follows()) return;
  wanted.forEach((each) => due.add(each));
  if (due.size && timer === null && !document.hidden) {
    timer = setTimeout(refreshDue, Math.max(SETTLE, last + THROTTLE - Date.now()));
  }
}

function say(text) {
  if (said.textContent !== text) said.textContent = text;
}

function listen() {
  const wanted = new Set(panels.flatMap((each) => each.dataset.live.split(" ")));
  const types = wanted.has("*") ? "" : `?type=${[...wanted].join(",")}`;
  source = new AbortController();
  follow(root.dataset.events + types, {
    signal: source.signal,
    lost: () => say("The server does not answer; what is shown may be old."),
    heard: ({ type }) => plan(panels.filter((each) => {
      const live = each.dataset.live.split(" ");
      return live.includes("*") || live.includes(type);
    })),
  });
}

function begin() {
  if (document.hidden) {
    source?.abort(); // browsers allow few connections to one host: those that nobody sees are closed
    source = null;
  } else {
    if (root.dataset.events && !source) listen();
    plan(panels);
  }
}

if (panels.length) {
  document.addEventListener("visibilitychange", begin);
  setInterval(() => plan(panels), WITHOUT_NEWS);
  if (root.dataset.events && !document.hidden) listen();
}
