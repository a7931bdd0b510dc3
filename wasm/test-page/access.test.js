/** By keyboard alone, on a phone, in the dark. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { demoLog, folder, NR_DEMO, openPage } from "./support.js";
import { choose, goTo, settle } from "./viewer.js";

test("everything works with the keyboard", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  const point = async () => (await settle(page), Number(await page.inputValue("#point")));
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };

  await page.focus("#timeline");
  await press("Home");
  assert.equal(await point(), 0);
  await press("ArrowRight", "ArrowRight", "ArrowLeft");
  assert.equal(await point(), 1);
  await press("PageDown");
  assert.equal(await point(), 3);
  await press("PageDown", "PageUp");
  assert.equal(await point(), 3);
  assert.equal(await page.getAttribute("#timeline", "aria-valuetext"), "point 3 of 14");
  const before = await picture(page);
  await press("Alt++");
  await settle(page);
  assert.notEqual(await picture(page), before, "zoomed");
  await press("0");
  await settle(page);
  assert.equal(await picture(page), before, "all of it again");

  await page.focus("#entries");
  await press("End");
  assert.equal(await point(), NR_DEMO);
  await press("ArrowUp", "ArrowUp", "ArrowUp");
  assert.equal(await point(), 11);
  assert.equal(await page.getAttribute("#entries", "aria-activedescendant"), "entry-10");
  await press("l");
  await settle(page);
  assert.equal(await page.getAttribute("#crash-toggles [data-entry='10']", "aria-pressed"), "true");
  await page.focus("#crash-toggles [data-entry='9']");
  await press("Space");
  await settle(page);
  assert.equal(await page.getAttribute("#crash-toggles [data-entry='9']", "aria-pressed"), "true");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.entry), "9", "the focus stays");
});

test("whatever is reached by Tab shows that it has the focus, and has a name", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  await goTo(page, 12);
  await page.click("h1"); // what Tab starts from
  const seen = new Set();
  for (let nth = 0; nth < 60; nth += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      const shown = element.type === "file" ? element.parentElement : element;
      const { outlineStyle, outlineWidth } = getComputedStyle(shown);
      const label = element.ariaLabel || element.labels?.[0]?.textContent || element.textContent;
      return { isNone: element === document.body, what: element.id || label, outline: outlineStyle !== "none" && outlineWidth !== "0px", label: label?.trim() };
    });
    if (focus.isNone || seen.has(focus.what)) break;
    seen.add(focus.what);
    assert.ok(focus.outline, `${focus.what} shows no focus`);
    assert.ok(focus.label, `${focus.what} has no name`);
  }
  for (const id of ["file", "save-log", "timeline", "slider", "point", "filter-mark", "entries", "sector", "since", "follow", "hexdump"]) {
    assert.ok(seen.has(id), `#${id} is not reached: ${[...seen]}`);
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`a phone's width needs no scrolling sideways, ${colorScheme}`, async (t) => {
    const { log, base } = demoLog(folder(t));
    const page = await openPage(t, { viewport: { width: 390, height: 844 }, hasTouch: true, colorScheme });
    const overhang = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(await overhang(), 0);
    await choose(page, log, base);
    await goTo(page, 12);
    assert.equal(await overhang(), 0);
    for (const id of ["entries", "hexdump", "timeline", "crash-toggles"]) {
      const hidden = await page.evaluate((id) => document.getElementById(id).scrollWidth - document.getElementById(id).clientWidth, id);
      assert.ok(hidden <= 0, `#${id} scrolls sideways by ${hidden}`);
    }
    const { width } = await page.locator("#timeline").boundingBox();
    await page.touchscreen.tap((await page.locator("#timeline").boundingBox()).x + (width * 4.5) / 16, (await page.locator("#timeline").boundingBox()).y + 40);
    await settle(page);
    assert.equal(await page.inputValue("#point"), "5");
  });

  test(`texts stand out from what is behind them, ${colorScheme}`, async (t) => {
    const page = await openPage(t, { colorScheme });
    const ratios = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      const light = (name) => {
        const value = Number.parseInt(style.getPropertyValue(`--${name}`).trim().slice(1), 16);
        const [r, g, b] = [value >> 16, (value >> 8) & 255, value & 255].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
      return [["ink", "page"], ["ink", "surface"], ["muted", "surface"], ["muted", "page"], ["on-accent", "accent"], ["bad", "bad-soft"], ["ink", "accent-soft"]].map(([a, b]) => [`${a} on ${b}`, ratio(a, b)]);
    });
    for (const [pair, ratio] of ratios) assert.ok(ratio >= 4.5, `${pair}: ${ratio.toFixed(2)}`);
  });
}

function picture(page) {
  return page.evaluate(() => document.querySelector("#timeline").toDataURL());
}
