// The keys and the copy buttons; everything else works without.
const findings = [...document.querySelectorAll(".finding")];

document.addEventListener("keydown", (event) => {
  const step = { j: 1, n: 1, k: -1, p: -1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey || findings.length === 0) return;
  const at = findings.findIndex((finding) => finding.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : findings.length - 1) : Math.min(Math.max(at + step, 0), findings.length - 1);
  findings[next].focus({ preventScroll: true });
  findings[next].scrollIntoView({ block: "start" });
});

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const command = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
