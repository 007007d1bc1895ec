// SPDX-License-Identifier: Apache-2.0

// Keeps the page up to date: it asks twice a second for the parts that have changed, and replaces them. Without this script, the
// browser loads the whole page again and again.
"use strict";

(() => {
  const pause = 500; // between two questions, in milliseconds
  const patience = 10000; // for an answer
  const silence = 2500; // that is told
  const instance = document.body.dataset.instance;
  let edition = Number(document.body.dataset.edition);
  let failing = 0; // since when no question is answered; 0: the last one was
  let stopped = false; // by the button
  const element = (id) => document.getElementById(id);
  const services = element("services");
  const wanted = element("wanted");

  // said tells a reader of a screen what is new. A text that has not changed is not read again.
  function say(text) {
    if (element("said").textContent !== text) element("said").textContent = text;
  }

  // replace replaces a part, or adds that of a new service. The focus stays where it is.
  function replace(id, html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const fresh = template.content.firstElementChild;
    const old = element(id);
    if (!old) {
      services.append(fresh);
    } else {
      const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      old.replaceWith(fresh);
      const again = focused && [...fresh.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused);
      if (again) again.focus({ preventScroll: true });
    }
    filter(fresh);
  }

  // arrange puts the services into their order, and removes those that are gone.
  function arrange(ids) {
    const parts = ids.map(element).filter((part) => part);
    const stay = new Set(parts);
    for (const child of [...services.children]) if (!stay.has(child)) child.remove();
    parts.forEach((part, i) => {
      if (services.children[i] !== part) services.insertBefore(part, services.children[i] || null);
    });
  }

  function show(news) {
    if (news.instance !== instance) {
      location.reload(); // another process of the director, and perhaps another version of this page
      return;
    }
    for (const [id, html] of Object.entries(news.parts)) replace(id, html);
    if (news.services) arrange(news.services);
    if (news.parts.overview || news.parts.wrong) {
      document.title = element("overview").dataset.title;
      say(document.title);
    }
    if (wanted.value) countShown();
    edition = news.edition;
  }

  // selecting tells whether the user selects a text of the page, which must not go away then.
  function selecting() {
    const s = getSelection();
    return s !== null && !s.isCollapsed && document.activeElement !== wanted;
  }

  async function ask() {
    const began = Date.now();
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), patience);
    try {
      const answer = await fetch(`parts?after=${edition}`, {
        cache: "no-store",
        headers: { "If-None-Match": `"${instance}-${edition}"` },
        signal: end.signal,
      });
      if (answer.status === 200) show(await answer.json());
      else if (answer.status !== 304) throw new Error(`status ${answer.status}`);
      failing = 0;
      element("as-of").textContent = answer.headers.get("As-Of") || "-";
      element("silent").textContent = "";
    } catch {
      failing = failing || began;
      if (Date.now() - failing >= silence && !element("silent").textContent) {
        element("silent").textContent = `This director has not answered since ${element("as-of").textContent}. What you see is as it was then. Is it running? Look at the other director's page.`;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async function run() {
    for (;;) {
      if (!stopped && !document.hidden && !selecting()) await ask();
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  // filter hides the servers of a part that do not have the wanted text, and the part if it has none of them.
  function filter(part) {
    if (!part.classList.contains("service")) return;
    const text = wanted.value.trim().toLowerCase();
    const all = text === "" || part.querySelector("h3").textContent.toLowerCase().includes(text);
    let some = all;
    for (const row of part.querySelectorAll("tbody tr")) {
      row.hidden = !all && !row.textContent.toLowerCase().includes(text);
      some = some || !row.hidden;
    }
    part.hidden = !some;
  }

  function countShown() {
    const none = ![...services.children].some((part) => !part.hidden);
    element("nothing").hidden = !none;
    return none;
  }

  element("filter").hidden = false;
  element("filter").addEventListener("submit", (event) => event.preventDefault());
  wanted.addEventListener("input", () => {
    for (const part of services.children) filter(part);
    if (countShown()) say("No service and no server has this text.");
  });

  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Pause";
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    stopped = !stopped;
    button.setAttribute("aria-pressed", String(stopped));
  });
  document.querySelector("nav").append(button);

  run();
})();
