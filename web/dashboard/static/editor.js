// The editor: draws what is written, and saves its state every two seconds, so that a browser that
// was closed comes back to it as it was.

import { draw } from "./geometry.js";

const EVERY = 2000; // ms between two looks at whether anything has changed
const form = document.querySelector("[data-editor]");
const text = form.elements.structure;
const said = document.getElementById("saved");
const drawing = document.getElementById("drawing");
const geometry = document.getElementById("geometry");
const trouble = document.getElementById("unreadable");
const names = ["structure", "name", "method", "solvent", "charge", "multiplicity"];

function content() {
  const now = Object.fromEntries(names.map((name) => [name, form.elements[name].value]));
  return JSON.stringify({
    ...now, selection: [text.selectionStart, text.selectionEnd], scroll: Math.round(text.scrollTop),
  });
}

const began = JSON.parse(form.dataset.editor);
const length = text.value.length;
text.setSelectionRange(Math.min(began.selection[0], length), Math.min(began.selection[1], length));
text.scrollTop = began.scroll;
let kept = content();
let saving = false;

async function save({ keepalive = false } = {}) {
  const now = content();
  if (saving || now === kept) return;
  saving = true;
  try {
    const body = new URLSearchParams({ csrf: form.elements.csrf.value, action: "save", content: now });
    const reply = await fetch("/editor", {
      method: "POST", body, redirect: "manual", credentials: "same-origin", keepalive,
    });
    if (reply.type !== "opaqueredirect") throw new Error(`${reply.status}`);
    kept = now;
    said.textContent = `Saved ${new Date().toLocaleTimeString()}`;
  } catch {
    said.textContent = "Not saved: the server does not take it. What is written is only here.";
  } finally {
    saving = false;
  }
}

function show() {
  const lines = text.value.trim().split("\n");
  const isGeometry = lines.length > 1;
  drawing.hidden = isGeometry || !lines[0];
  geometry.hidden = true;
  trouble.textContent = "";
  if (isGeometry) {
    const points = lines.slice(2).map((line) => line.trim().split(/\s+/)).filter((parts) => parts.length > 3)
      .map(([element, x, y, z]) => ({ element, x: Number(x), y: Number(y), z: Number(z), charge: 0 }));
    if (points.length && points.every((point) => [point.x, point.y, point.z].every(Number.isFinite))) {
      geometry.replaceChildren();
      geometry.dataset.geometry = JSON.stringify(points);
      draw(geometry.parentElement);
    } else {
      trouble.textContent = "This is not an XYZ geometry yet.";
    }
  } else if (lines[0]) {
    drawing.src = `/drawing.svg?${new URLSearchParams({ smiles: lines[0].trim(), size: "large" })}`;
  }
}

drawing.addEventListener("error", () => {
  drawing.hidden = true;
  trouble.textContent = "This is not a SMILES yet.";
});

let typed = null;
text.addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(show, 400);
});
setInterval(save, EVERY);
document.addEventListener("visibilitychange", () => { if (document.hidden) save({ keepalive: true }); });
addEventListener("pagehide", () => save({ keepalive: true }));
show();
