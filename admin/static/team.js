// The team chat, live. Without this script everything works by forms and pages;
// with it news come over one socket for all rooms of the person. What was missed
// comes after the cursor of each room, as docs/team.md says.
"use strict";

(() => {
  const page = document.querySelector("[data-team]");
  if (!page) return;
  const room = Number(page.dataset.room || 0); // 0: the list of rooms
  const log = page.querySelector(".messages");
  const form = page.querySelector("form#end");
  const state = page.querySelector("[data-state]");
  const cursors = new Map();
  const unread = new Map();
  if (room) cursors.set(room, Number(page.dataset.seq));

  // --- messages

  const shown = (id) => log.querySelector(`article[data-id="${Number(id)}"]`);

  const element = (name, attributes, ...children) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    e.append(...children);
    return e;
  };

  // As the server writes it: 02.01.2026, 15:04 or 2 Jan 2026, 15:04.
  const german = page.dataset.language === "de";
  const clock = new Intl.DateTimeFormat(german ? "de-DE" : "en-GB", {
    timeZone: page.dataset.zone || "UTC", day: german ? "2-digit" : "numeric", month: german ? "2-digit" : "short", year: "numeric",
    hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  const moment = (at) => clock.format(new Date(at));

  // Text becomes text, never HTML; only the server says what is a link.
  const words = (parts) => parts.map((part) => part.link && /^https?:\/\//i.test(part.text)
    ? element("a", { href: part.text, rel: "noopener noreferrer", target: "_blank" }, part.text) : part.text);

  const show = (message) => {
    if (shown(message.id) || !message.parts) return; // there already, or deleted since it was sent
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const who = message.own ? page.dataset.you : element("bdi", {}, message.author);
    const article = element("article", { class: message.own ? "message own" : "message", "data-id": message.id, "data-seq": message.seq },
      element("p", { class: "meta" }, element("strong", {}, who), " ", element("time", { datetime: message.created_at }, moment(message.created_at))),
      element("p", { class: "words", dir: "auto", id: `words-${message.id}` }, ...words(message.parts)));
    if (message.deletable && page.dataset.closed !== "true") {
      article.append(element("p", { class: "act" },
        element("a", { href: `/admin/team/rooms/${room}/messages/${message.id}/delete/`, "aria-describedby": `words-${message.id}` }, page.dataset.delete)));
    }
    const later = [...log.querySelectorAll("article")].find((a) => Number(a.dataset.seq) > message.seq);
    log.insertBefore(article, later || log.querySelector(".empty"));
    empty();
    if (atEnd || message.own) log.scrollTop = log.scrollHeight;
  };

  const empty = () => { log.querySelector(".empty").hidden = Boolean(log.querySelector("article")); };

  // --- what is unread

  const badge = (of, count) => {
    for (const e of document.querySelectorAll(`[data-unread="${of}"]`)) {
      e.hidden = count === 0;
      e.querySelector("[data-count]").textContent = count;
      e.querySelector("[data-said]").textContent = e.dataset.text.replace("#", count);
    }
  };

  const count = (of, n) => {
    unread.set(of, n);
    badge(of, n);
    badge("all", [...unread.values()].reduce((sum, each) => sum + each, 0));
  };

  let marked = 0;
  const markRead = () => {
    const seq = cursors.get(room);
    if (!room || !seq || seq <= marked || document.visibilityState !== "visible" || !unread.get(room)) return;
    marked = seq;
    fetch(`/admin/team/rooms/${room}/read/`, { method: "POST", body: new URLSearchParams({ seq }), redirect: "manual" })
      .then((answer) => { if (!answer.ok) marked = 0; }, () => { marked = 0; });
  };
  document.addEventListener("visibilitychange", markRead);

  // --- the socket

  const take = (frame) => {
    switch (frame.type) {
      case "bye":
        pause = frame.retry_ms;
        return;
      case "gone":
        cursors.delete(frame.room);
        count(frame.room, 0);
        unread.delete(frame.room);
        if (frame.room === room || document.querySelector(`[data-unread="${frame.room}"]`)) location.reload();
        return;
      case "room":
        if (!room && !document.querySelector(`[data-unread="${frame.room}"]`)) return location.reload();
        if (frame.room === room && String(frame.state.read_only) !== page.dataset.closed) return location.reload();
        count(frame.room, frame.state.unread);
        break;
      case "reset":
        if (frame.room === room) log.querySelectorAll("article").forEach((a) => a.remove());
        break;
      case "message":
        if (frame.room === room) show(frame.message);
        break;
      case "deleted":
        if (frame.room === room) { shown(frame.id)?.remove(); empty(); }
        break;
    }
    cursors.set(frame.room, frame.seq);
    if (frame.room === room) markRead();
  };

  let pause = 500, socket = null, timer = 0, failures = 0;
  const lost = (is) => { if (state) state.textContent = is ? page.dataset.lost : ""; };

  const connect = () => {
    clearTimeout(timer);
    const since = [...cursors].map(([id, seq]) => `${id}.${seq}`).join(",");
    const mine = socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/admin/team/socket/?since=${since}`);
    let opened = false;
    mine.onopen = () => { opened = true; failures = 0; pause = 500; lost(false); };
    mine.onmessage = (event) => { if (mine === socket) take(JSON.parse(event.data)); };
    mine.onclose = (event) => {
      if (mine !== socket) return;
      socket = null;
      if (event.code === 4001) return location.reload(); // signed out: the page leads to the sign-in
      if (!opened && ++failures % 3 === 1) lookSignedOut();
      if (failures) lost(true);
      else timer = setTimeout(() => lost(!socket), 2000);
      setTimeout(() => { if (!socket) connect(); }, pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, 30000);
    };
  };

  // A socket that is refused does not say why; the same address leads to the
  // sign-in where nobody is signed in any more.
  const lookSignedOut = () => fetch("/admin/team/socket/", { redirect: "manual" })
    .then((answer) => { if (answer.type === "opaqueredirect") location.reload(); }, () => {});

  addEventListener("online", () => { if (!socket) { pause = 500; connect(); } });
  addEventListener("offline", () => { lost(true); socket?.close(); });
  connect();

  // --- sending

  if (log) log.scrollTop = log.scrollHeight;
  if (!form) return;
  const text = form.elements.text, key = form.elements.key, problem = form.querySelector("[role=alert]");
  const newKey = () => [...crypto.getRandomValues(new Uint32Array(4))].join("-");
  key.value = newKey(); // a page from the browser's memory must not repeat the key of what was sent
  let sending = false;

  const complain = (why) => {
    problem.hidden = !why;
    problem.textContent = why;
  };

  // The key stays with the text until it is known what became of it, so that a
  // second try doubles nothing.
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    sending = true;
    const sent = text.value;
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" }, redirect: "manual",
      });
      if (answer.type === "opaqueredirect" || answer.status === 404) return location.reload();
      const said = (answer.headers.get("Content-Type") || "").startsWith("application/json") ? await answer.json() : {};
      if (answer.status === 409) key.value = newKey(); // it arrived before, with another text
      if (!answer.ok) return complain(said.error || page.dataset.unsent);
      show(said.message);
      if (text.value === sent) text.value = "";
      key.value = newKey();
      complain("");
    } catch {
      complain(page.dataset.unsent);
    } finally {
      sending = false;
    }
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });
})();
