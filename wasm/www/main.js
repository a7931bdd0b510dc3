/** The page: a viewer of logs, and a guest beside it. */

import { mountGuest } from "./guest-panel.js";
import { init } from "./logwrites.js";
import { Model } from "./model/model.js";
import { listenForDrops, openFiles } from "./open.js";
import { saveBlob, saveImage } from "./save.js";
import { Address } from "./view/address.js";
import { CrashView } from "./view/crash-view.js";
import { byId } from "./view/dom.js";
import { EntryList } from "./view/entry-list.js";
import { FilterBar } from "./view/filter-bar.js";
import { count, size } from "./view/format.js";
import { PointBar } from "./view/point-bar.js";
import { Progress } from "./view/progress.js";
import { SectorView } from "./view/sector-view.js";
import { Summary } from "./view/summary.js";
import { Timeline } from "./view/timeline.js";

/** @typedef {import("./model/session.js").Session} Session */

const model = new Model();
const progress = new Progress();
/** @type {import("./guest-panel.js").Guest | null} */
let guest = null;
const address = new Address(model, () => progress.run("Going there", async () => goToAddress()));

/** Goes where the address says, if it says where. */
function goToAddress() {
  const { state } = address;
  if (state !== null) model.goToState(state);
}

/** @param {File[]} files */
async function open(files) {
  if (files.length === 0) return;
  await progress.run("Reading the log", async (report, signal) => {
    const onprogress = (/** @type {import("./open.js").Progress} */ { nrEntries, offset, byteLength }) =>
      report(offset / byteLength, `${count(nrEntries)} entries, ${size(offset)} of ${size(byteLength)}`);
    const { session, base } = await openFiles(files, { onprogress, signal });
    if (session) {
      const isFirst = model.session === null;
      model.open(session);
      // Later, the address is that of the log before.
      if (isFirst) goToAddress();
    } else if (base && model.session) model.setBase(base, base.name);
    else throw new Error(`${files.map(({ name }) => name).join(", ")}: not a dm-log-writes log. Choose a log, or a log and its base image together.`);
  });
}

/** @param {Session} session */
async function downloadImage(session) {
  const { point, lost, name } = session;
  await progress.run("Making the image", async (report) => {
    await saveImage(session.disk(), `${stem(name)}-at-${point}${lost.size ? "-crashed" : ""}.img`, (done, all) =>
      report(done / all, `${size(done)} of ${size(all)}`),
    );
  });
}

/** @param {Session} session */
async function downloadLog({ blob, name, isLive }) {
  await progress.run("Saving the log", async () => saveBlob(await blob(), isLive ? `${name}.log` : name));
}

/** @param {Session} session */
async function crash(session) {
  const { point, lost, name } = session;
  const without = lost.size ? `, without ${[...lost].sort((a, b) => a - b).join(", ")}` : "";
  await progress.run("Booting the guest", async () => guest?.boot(session.disk(), `${name} at ${point}${without}`));
}

/** @param {string} name */
function stem(name) {
  return name.replace(/\.[^.]*$/, "");
}

/**
 * Opens what is chosen in a file input.
 *
 * @param {string} id
 */
function listenToInput(id) {
  const input = /** @type {HTMLInputElement} */ (byId(id));
  input.addEventListener("change", () => {
    open([...(input.files ?? [])]);
    input.value = "";
  });
}

function mountViewer() {
  // First, since nothing that is hidden has a size.
  model.subscribe(() => document.body.classList.toggle("has-log", model.session !== null));
  const timeline = new Timeline(/** @type {HTMLCanvasElement} */ (byId("timeline")), byId("tip"), model);
  new Summary(model);
  new PointBar(model);
  new FilterBar(model);
  new EntryList(byId("entries"), byId("entries-status"), model);
  new SectorView(model);
  new CrashView(model, crash);
  byId("zoom-in").addEventListener("click", () => timeline.zoom(0.5));
  byId("zoom-out").addEventListener("click", () => timeline.zoom(2));
  byId("zoom-fit").addEventListener("click", () => timeline.fit());
  byId("save-image").addEventListener("click", () => model.session && downloadImage(model.session));
  byId("save-log").addEventListener("click", () => model.session && downloadLog(model.session));
  for (const id of ["file", "file-first", "file-base"]) listenToInput(id);
  listenForDrops(open);
}

mountViewer();
await init();
guest = await mountGuest(byId("guest"), model);
byId("crash").hidden = guest === null;
document.body.dataset.ready = "";
