// Everything here only adds comfort: each page works without it.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const closest = (event, selector) => (event.target instanceof Element ? event.target.closest(selector) : null);

  // Theme: the server writes the chosen one into the page; nobody chose yet, so follow the system.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = (theme) => root.setAttribute("data-bs-theme", theme);
  if (!root.hasAttribute("data-theme-chosen") && dark.matches) setTheme("dark");
  document.addEventListener("click", (event) => {
    if (!closest(event, "[data-theme-toggle]")) return;
    event.preventDefault();
    const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
    setTheme(theme);
    document.cookie = `theme=${theme};path=/;max-age=31536000;samesite=lax`;
  });

  // Pop-up menus (<details data-pop>): one open at a time, closed by a click elsewhere or Escape, never cut off by a scrolling table.
  const openPops = () => [...document.querySelectorAll("details[data-pop][open]")];
  document.addEventListener("click", (event) => {
    for (const pop of openPops()) if (!pop.contains(event.target)) pop.open = false;
  });
  const place = (pop) => {
    const sheet = pop.querySelector?.(".pop-sheet");
    if (pop.matches?.(".grid-tools details") && pop.open && innerWidth > 992) sheet.style.maxHeight = `${Math.max(240, innerHeight - sheet.getBoundingClientRect().top - 8)}px`;
    if (!pop.matches?.(".grid-table details") || !pop.open || !sheet) return;
    const button = pop.querySelector("summary").getBoundingClientRect();
    const below = button.bottom + sheet.offsetHeight < innerHeight;
    sheet.style.top = `${below ? button.bottom : button.top - sheet.offsetHeight}px`;
    sheet.style.left = `${Math.max(8, Math.min(button.right, innerWidth - 8) - sheet.offsetWidth)}px`;
  };
  document.addEventListener("toggle", (event) => place(event.target), true);
  document.addEventListener("htmx:after:swap", () => openPops().forEach(place));  // a live refresh leaves it open and takes its place away

  // Selection: kept by grid while rows come and go, and sent along with the bulk form whichever page is shown.
  const picked = new Map();
  const picks = (form) => picked.get(form.id) ?? picked.set(form.id, new Set()).get(form.id);
  const boxes = (form) => [...form.querySelectorAll("input[name=ids]")];
  const showPicks = (form) => {
    const set = picks(form), all = form.querySelector("[data-all]"), on = boxes(form).filter((box) => box.checked).length;
    for (const box of boxes(form)) box.closest("tr")?.classList.toggle("picked", box.checked);
    if (all) [all.checked, all.indeterminate] = [on > 0 && on === boxes(form).length, on > 0 && on < boxes(form).length];
    const words = form.querySelector("[data-chosen]");
    if (words) words.textContent = set.size ? `${set.size} selected${set.size > on ? `, ${set.size - on} on other pages` : ""}` : "";
  };
  document.addEventListener("change", (event) => {
    const form = closest(event, "form[data-bulk]");
    if (!form) return;
    if (event.target.matches("[data-all]")) for (const box of boxes(form)) box.checked = event.target.checked;
    for (const box of boxes(form)) picks(form)[box.checked ? "add" : "delete"](box.value);
    if (event.target.matches("[data-all]")) form.querySelector("[data-scope]").value = "ids";
    showPicks(form);
  });
  document.addEventListener("formdata", (event) => {
    if (!event.target.matches("form[data-bulk]") || event.formData.get("scope") !== "ids") return;
    const sent = new Set(event.formData.getAll("ids"));
    for (const id of picks(event.target)) if (!sent.has(id)) event.formData.append("ids", id);
  });

  // Several forms on one page (data-keep): sending one loads the page anew, and what was typed into the others stands there again; never passwords or files.
  const keeping = () => [...document.querySelectorAll("form[data-keep]")];
  const ticked = (field) => /^(checkbox|radio)$/.test(field.type);
  const asLoaded = (field) => (field.options ? ([...field.options].find((each) => each.defaultSelected) ?? field.options[0])?.value : field.defaultValue);
  const typed = (field) => field.name && !/^(hidden|password|file|submit|button)$/.test(field.type) && (ticked(field) ? field.checked !== field.defaultChecked : field.value !== asLoaded(field));
  document.addEventListener("submit", (event) => {
    const kept = keeping().flatMap((form) => (form === event.target ? [] : [...form.elements].filter(typed).map((field) => [form.action, field.name, field.value, field.checked])));
    if (kept.length) sessionStorage.setItem("typed", JSON.stringify({at: Date.now(), kept}));
  });
  document.addEventListener("DOMContentLoaded", () => {
    const before = keeping().length ? JSON.parse(sessionStorage.getItem("typed") ?? "null") : null;
    if (before) sessionStorage.removeItem("typed");
    for (const [action, name, value, checked] of before && Date.now() - before.at < 60000 ? before.kept : []) {
      for (const field of keeping().filter((form) => form.action === action).flatMap((form) => [...form.elements])) {
        if (field.name === name && ticked(field) && field.value === value) field.checked = checked;
        else if (field.name === name && !ticked(field)) field.value = value;
      }
    }
  });

  // After a swap: filter inputs show what the server understood (a morph keeps what was typed), ticks come back, errors get the focus.
  const settle = () => {
    for (const form of document.querySelectorAll("form[data-sync]")) {
      const active = form.contains(document.activeElement) ? document.activeElement : null, typed = active?.value;
      form.reset();
      if (active?.matches("input:not([type=checkbox]):not([type=radio])")) active.value = typed;
    }
    for (const form of document.querySelectorAll("form[data-bulk]")) {
      for (const box of boxes(form)) box.checked = picks(form).has(box.value);
      showPicks(form);
    }
    const wrong = document.querySelector("[data-focus]");
    wrong?.focus();
    wrong?.removeAttribute("data-focus");  // once: a later swap elsewhere must not take the focus from who types
    if (!wrong && left && document.activeElement === document.body) document.getElementById(left)?.focus();
  };
  let left = "";  // the row with the focus: what is in it may be swapped away
  document.addEventListener("htmx:before:swap", () => { left = document.activeElement?.closest("tr[data-row]")?.id || ""; });
  document.addEventListener("htmx:after:swap", settle);
  document.addEventListener("DOMContentLoaded", settle);
  // On a phone a row is a card (app.css), and what is no table to the eye is none to a screen reader either, in some browsers: its roles say that it is one.
  const phone = matchMedia("(max-width: 40rem)");
  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell", TH: "rowheader" };
  const nameRoles = () => {
    for (const each of document.querySelectorAll(".grid-table:is(.cards, .grid-scroll > *), .grid-table:is(.cards, .grid-scroll > *) :is(thead, tbody, tr, th, td)")) {
      if (phone.matches) each.setAttribute("role", each.matches("thead th") ? "columnheader" : roles[each.tagName]);
      else each.removeAttribute("role");
    }
  };
  phone.addEventListener("change", nameRoles);
  document.addEventListener("DOMContentLoaded", () => { if (phone.matches) nameRoles(); });
  document.addEventListener("htmx:after:swap", () => { if (phone.matches) nameRoles(); });
  // A grid shows the newest question's answer. One that a live event asked before a search, and that comes after the search's answer, is not put over it.
  const newest = new Map();
  document.addEventListener("htmx:before:request", (event) => {
    const ctx = event.detail.ctx, source = ctx.sourceElement;
    if (ctx.sourceEvent?.type === "every" && document.hidden) event.preventDefault();
    if (source?.matches?.("section[data-grid]")) ctx.asked = source.getAttribute("hx-get");
    else if (ctx.target?.matches?.("section[data-grid]")) newest.set(ctx.target.id, ctx);
  });
  // Judged right before the swap: between an answer's arrival and its swap another one may be put in.
  document.addEventListener("htmx:before:swap", (event) => {
    const ctx = event.detail.ctx;
    if (!ctx.target?.matches?.("section[data-grid]")) return;
    const late = ctx.asked === undefined ? newest.get(ctx.target.id) !== ctx : document.getElementById(ctx.target.id)?.getAttribute("hx-get") !== ctx.asked;
    if (late) event.preventDefault();
  });

  // What a proxy says instead of the server (a restart, an outage) is no part of the page: what is shown stays, and a note tells that nothing was answered.
  document.addEventListener("htmx:before:response", (event) => {
    const answer = event.detail.ctx.response, note = document.getElementById("unanswered"), toasts = document.getElementById("toasts");
    if (answer.status < 500 || answer.headers.has("HX-Retarget")) return;
    event.preventDefault();
    if (!toasts.querySelector("[data-unanswered]")) toasts.append(note.content.cloneNode(true));
  });

  // A form is sent once, and the panel it stands in closes; copying; dialogs (a link to the same page without JavaScript); toasts that can be put away.
  document.addEventListener("submit", (event) => {
    for (const pop of event.target.querySelectorAll("details[data-pop][open]")) pop.open = false;
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "1";
    setTimeout(() => delete event.target.dataset.sent, 3000);
  });
  document.addEventListener("click", async (event) => {
    const copy = closest(event, "[data-copy]"), opener = closest(event, "[data-dialog]");
    closest(event, "[data-dismiss]")?.closest("[data-toast]").remove();
    if (closest(event, "[data-close]")) closest(event, "dialog")?.close();
    if (opener) { event.preventDefault(); document.getElementById(opener.dataset.dialog)?.showModal(); }
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      copy.classList.add("copied");
      setTimeout(() => copy.classList.remove("copied"), 1500);
    }
  });

  // Countdowns: the server says how many seconds were left when it made the page, so a wrong clock here does not matter.
  const counted = new WeakMap();
  // A <time> whose attribute says nothing is a deadline by our clock: it counts on when it has passed, in the words of the server.
  const deadline = (each) => {
    const left = Math.trunc((Date.parse(each.dateTime) - Date.now()) / 1000), n = Math.abs(left), hours = Math.floor(n / 3600), days = Math.floor(hours / 24);
    const hour = () => (hours < 6 ? `${hours} h ${String(Math.floor(n / 60) % 60).padStart(2, "0")} min` : `${hours} h`);
    const span = n < 60 ? `${n} s` : n < 3600 ? `${Math.floor(n / 60)} min` : days < 1 ? hour() : days < 7 ? `${days} d ${hours % 24} h` : `${days} d`;
    const words = `${span} ${left < 0 ? "overdue" : "left"}`;
    if (left < 0) each.dataset.deadline = "overdue";
    if (each.textContent !== words) each.textContent = words;
  };
  const countDown = () => {
    for (const each of document.querySelectorAll("[data-countdown]")) {
      const given = each.dataset.countdown, known = counted.get(each);
      if (given === "") { deadline(each); continue; }
      if (known?.given !== given) counted.set(each, { given, end: performance.now() + given * 1000 });
      const left = Math.max(0, Math.floor((counted.get(each).end - performance.now()) / 1000)), two = (value) => String(value).padStart(2, "0");
      const words = left >= 3600 ? `${Math.floor(left / 3600)} h ${two(Math.floor(left / 60) % 60)} min left` : left ? `${Math.floor(left / 60)} min ${two(left % 60)} s left` : "ends now";
      if (each.textContent !== words) each.textContent = words;
    }
  };
  setInterval(() => { if (!document.hidden) countDown(); }, 1000);
  document.addEventListener("DOMContentLoaded", countDown);
  document.addEventListener("htmx:after:swap", countDown);

  // Keys in grids: j and k move, x selects, a goes to the actions, Enter opens, / searches.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const pop of openPops()) { pop.open = false; pop.querySelector("summary").focus(); }
    if (event.ctrlKey || event.metaKey || event.altKey || closest(event, "input:not([type=checkbox]), select, textarea")) return;
    const rows = [...document.querySelectorAll("tr[data-row]")], here = document.activeElement?.closest("tr[data-row]");
    const move = (step) => rows[Math.min(Math.max(rows.indexOf(here) + step, 0), rows.length - 1)]?.focus();
    const act = {
      j: () => move(1),
      k: () => move(-1),
      a: () => document.querySelector("form[data-bulk] select[name=action]")?.focus(),
      x: () => here?.querySelector("input[name=ids]")?.click(),
      Enter: () => document.activeElement === here && here?.querySelector("a[data-open], a[href]")?.click(),
      "/": () => document.querySelector("[data-search]")?.focus(),
    }[event.key];
    if (!act || (event.key !== "/" && !rows.length)) return;
    if (event.key !== "Enter") event.preventDefault();
    act();
  });
})();
