// Tooltips over charts, a quick filter over tables, files into the field of the audit, and the name of this page in sight. Every page works without it.
"use strict";
document.querySelector(".top [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);
for (const bar of document.querySelectorAll(".bars .bar")) {
  const words = bar.querySelector("title").textContent;
  bar.querySelector("title").textContent = "";
  const show = (x, y) => {
    tip.textContent = words;
    tip.hidden = false;
    const room = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - room.width - 8))}px`;
    tip.style.top = `${Math.max(4, y - room.height - 12)}px`;
  };
  bar.addEventListener("pointermove", (event) => show(event.clientX, event.clientY));
  bar.addEventListener("focus", () => {
    const box = bar.getBoundingClientRect();
    show(box.left, Math.max(box.top, 60));
  });
  for (const gone of ["pointerleave", "blur"]) bar.addEventListener(gone, () => { tip.hidden = true; });
}
for (const table of document.querySelectorAll(".card table")) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 12) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter these rows";
  field.setAttribute("aria-label", "Filter these rows");
  field.addEventListener("input", () => {
    const word = field.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(word);
  });
  const head = table.closest(".card").querySelector(".card-head");
  head.insertBefore(field, head.querySelector(".csv"));
}
for (const area of document.querySelectorAll(".paste textarea")) {
  const file = document.createElement("input");
  file.type = "file";
  const label = document.createElement("label");
  label.append("Or a file, read into the field above", file);
  file.addEventListener("change", async () => { if (file.files[0]) area.value = await file.files[0].text(); });
  area.closest("label").after(label);
}
