/** The guest's panel with the least of a page around it: a crash is made from two numbers. */

import { mountGuest } from "./guest/panel.js";

const field = (id) => document.getElementById(id);

/** What the panel has told of, for the tests. */
const told = { logs: [], log: null, disk: null };
globalThis.told = told;

const guest = mountGuest(field("guest"), {
  onLog(log, disk) {
    Object.assign(told, { log, disk });
    told.logs.push(log);
    field("log").textContent = `log ${told.logs.length}`;
  },
});
globalThis.guest = guest;

field("crash").addEventListener("submit", (event) => {
  event.preventDefault();
  const point = Number(field("point").value);
  const without = field("without").value.split(/[ ,]+/).filter(Boolean).map(Number);
  guest.boot(told.disk.diskAt(point, { without }), `${point}${without.length > 0 ? ` without ${without.join(", ")}` : ""}`);
});
document.body.dataset.ready = "";
