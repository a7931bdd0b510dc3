/** What the log is, in numbers. */

import { KINDS } from "../model/columns.js";
import { byId, element } from "./dom.js";
import { count, size } from "./format.js";

/** @typedef {import("../model/model.js").Model} Model */
/** @typedef {import("../model/session.js").Session} Session */

export class Summary {
  /** @param {Model} model */
  constructor(model) {
    const list = byId("summary");
    const which = /** @type {HTMLSelectElement} */ (byId("sessions"));
    const damage = byId("damage");
    which.addEventListener("change", () => model.show(model.sessions[which.selectedIndex]));
    model.subscribe((changed) => {
      const { session, sessions } = model;
      if (!session) return;
      if (changed.has("session")) {
        which.replaceChildren(...sessions.map(({ name }) => element("option", {}, name)));
        which.selectedIndex = sessions.indexOf(session);
        damage.hidden = !session.damage;
        damage.textContent = session.damage ?? "";
      }
      if (!changed.has("entries") && !changed.has("base")) return;
      list.replaceChildren(...factsOf(session).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    });
  }
}

/**
 * @param {Session} session
 * @returns {[name: string, value: string][]}
 */
function factsOf(session) {
  const { columns, log, baseName, base } = session;
  const kinds = KINDS.map((kind, number) => /** @type {[string, number]} */ ([kind, columns.counts[number]]));
  const of = Object.fromEntries(kinds);
  return [
    ["entries", count(columns.length)],
    ["writes", of.fua ? `${count(of.write + of.fua)} (${count(of.fua)} FUA)` : count(of.write)],
    ["flushes", count(of.flush)],
    ["discards", count(of.discard)],
    ["marks", count(of.mark)],
    ["written", size(columns.writtenSectors * log.sectorSize)],
    ["log", size(log.byteLength)],
    ["disk", size(session.byteLength)],
    ["sectors of", size(log.sectorSize)],
    ["base", base ? baseName || "given" : "zeros"],
  ];
}
