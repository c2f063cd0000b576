// What is on the screen. The view knows a talk and shows it; it changes only
// what differs, so that a screen reader reads new messages only, and a
// selection and the place in the history survive.
import { safeHTML, address } from "./html.js";
import { Attachments, shrunk } from "./attachments.js";
import { Rights } from "./rights.js";
import { direction, errorText, filled, sameLanguage, textsFor } from "./texts.js";

const maxText = 10_000; // characters; the server's own limit decides
const counterFrom = 500; // characters left when the counter appears
const nearEnd = 80; // pixels from the end at which new messages are followed
// What the bridge takes; naming JPEG lets phones make one of their own formats.
const accepted = "image/jpeg,image/png,image/webp,application/pdf,text/plain";
const calm = 150; // milliseconds: what is forgotten and told again is shown once

// h makes an element: attributes with null are left out, "on…" are listeners.
export function h(name, attributes = {}, ...children) {
  const svg = ["svg", "path"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((c) => c !== null));
  return element;
}

const icons = {
  chat: "M5 3h14a3 3 0 0 1 3 3v9a3 3 0 0 1-3 3h-7l-6 4v-4H5a3 3 0 0 1-3-3V6a3 3 0 0 1 3-3z",
  close: "M5.600 4.200 12 10.600l6.400-6.400 1.400 1.400L13.400 12l6.400 6.400-1.400 1.400L12 13.400l-6.400 6.400-1.400-1.400L10.600 12 4.200 5.600z",
  clip: "M7.5 8v8a4.5 4.5 0 0 0 9 0V6.5a3 3 0 0 0-6 0V15a1.5 1.5 0 0 0 3 0V8",
  send: "M3 4l19 8-19 8 2.5-7L14 12 5.5 11z",
  down: "M12 16.5 4.5 9l1.400-1.400 6.100 6.100 6.100-6.100L19.5 9z",
  more: "M4 10h4v4H4zM10 10h4v4h-4zM16 10h4v4h-4z",
  file: "M6 2h8l5 5v13a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zm7 1.800V8h4.200z",
};
export const icon = (name) => h("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: `icon ${name}` }, h("path", { d: icons[name] }));

export class View {
  #shown = new Map(); // by entry id: {element, as}
  #files = []; // chosen and not yet sent
  #opensNew = false; // the next message begins a new chat
  #timer = null;
  #drawn = false;

  // host has talk(), language(), languages(), choose(code), close(), anew().
  constructor(host) {
    this.host = host;
    this.attachments = new Attachments(() => host.talk());
    this.rights = new Rights(host, (busy) => (this.form.inert = busy));
    this.#build();
    this.#listen();
    this.seen = new IntersectionObserver((seen) => this.#see(seen), { root: this.log, threshold: 0.4 });
  }

  #build() {
    const at = (name, element) => (this[name] = element);
    this.panel = h("section", { class: "panel", id: "panel", part: "panel", "aria-labelledby": "title" },
      h("header", { part: "header" },
        at("title", h("h2", { id: "title" }, "Chat")),
        this.rights.button,
        at("shut", h("button", { id: "close", type: "button", class: "quiet round", onclick: () => this.host.close() }, icon("close"))),
        at("languages", h("select", { id: "languages", onchange: () => this.host.choose(this.languages.value) })),
        at("fresh", h("button", { id: "new", type: "button", class: "quiet", onclick: () => this.#toggleNew() }))),
      this.rights.panel,
      at("notice", h("p", { id: "notice", class: "notice", role: "status" })),
      h("div", { class: "middle" },
        at("log", h("div", { id: "log", class: "log", role: "log", "aria-live": "off", "aria-relevant": "additions", tabindex: "0" },
          at("empty", h("div", { id: "empty", class: "empty" })),
          at("list", h("ol", { id: "messages", role: "list" })))),
        at("latest", h("button", { id: "latest", type: "button", class: "round", hidden: "", onclick: () => this.toEnd() }, icon("down")))),
      at("typing", h("p", { id: "typing", class: "typing" })),
      at("away", h("p", { id: "away", class: "notice", role: "status" })),
      at("form", h("form", { id: "composer", autocomplete: "off" },
        at("chosen", h("ul", { id: "chosen", class: "chosen", role: "list" })),
        at("label", h("label", { id: "label", for: "text", class: "hidden" })),
        at("picker", h("input", { id: "picker", type: "file", accept: accepted, multiple: "", hidden: "", onchange: () => this.#choose() })),
        at("attach", h("button", { id: "attach", type: "button", class: "quiet round", onclick: () => this.picker.click() }, icon("clip"))),
        at("text", h("textarea", { id: "text", rows: "1", dir: "auto", enterkeyhint: "send", "aria-describedby": "counter" })),
        at("send", h("button", { id: "send", type: "submit", class: "round" }, icon("send"))),
        at("counter", h("output", { id: "counter", class: "counter", for: "text" })))),
      at("told", h("p", { id: "told", class: "hidden", role: "status" })));
  }

  #listen() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.text.addEventListener("input", () => {
      this.#count();
      if (this.text.value.trim() !== "") this.host.talk()?.type();
    });
    this.text.addEventListener("keydown", (event) => {
      const touch = matchMedia("(pointer: coarse)").matches; // there Enter is for lines
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || touch) return;
      event.preventDefault();
      this.#submit();
    });
    this.text.addEventListener("paste", (event) => this.#add(event.clipboardData?.files ?? [], event));
    this.log.addEventListener("scroll", () => this.#followed());
  }

  // changed draws soon; more says that the rest is still on its way.
  changed(more = false) {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.draw();
    }, more ? calm : 0);
  }

  // speak puts all texts into another language.
  speak(code) {
    const say = (this.say = textsFor(code));
    this.panel.dir = direction(code);
    this.panel.lang = textsFor(code) === textsFor("en") && !sameLanguage(code, "en") ? "en" : code;
    this.code = code;
    this.fresh.textContent = say.newChat;
    this.label.textContent = this.text.placeholder = say.label;
    this.log.setAttribute("aria-label", say.history);
    for (const [element, words] of [[this.languages, say.languages], [this.shut, say.close], [this.attach, say.attach], [this.latest, say.latest], [this.send, say.send]]) {
      element.setAttribute("aria-label", words);
      element.title = words;
    }
    this.#count();
    this.#showChosen();
    this.rights.speak(say);
    this.draw();
  }

  draw() {
    const talk = this.host.talk();
    if (!talk || !this.say) return;
    this.#drawHead(talk);
    this.#drawNotices(talk);
    this.#drawMessages(talk);
    if (talk.learned && !this.#drawn) { // what was there before is not read aloud
      this.#drawn = true;
      setTimeout(() => this.log.setAttribute("aria-live", "polite"), calm);
    }
    this.host.drawn();
  }

  #drawHead(talk) {
    put(this.title, this.host.heading ?? talk.region?.name ?? "Chat");
    const languages = this.host.languages();
    const codes = languages.map((l) => l.code).join();
    if (this.languages.dataset.codes !== codes) {
      this.languages.dataset.codes = codes;
      this.languages.replaceChildren(...languages.map((l) => h("option", { value: l.code, lang: l.code }, l.native_name || l.code)));
    }
    this.languages.value = this.host.language();
    this.languages.hidden = languages.length < 2;
    this.fresh.setAttribute("aria-pressed", String(this.#opensNew));
    this.fresh.hidden = talk.history.messages.size === 0;
  }

  #drawNotices(talk) {
    const { say } = this, { chat } = talk.history;
    const closed = talk.region?.is_chat_enabled === false ? "chat_disabled" : "device_not_served";
    const off = !talk.served && talk.history.messages.size === 0;
    const trouble = talk.reader.trouble || talk.sender.trouble;
    put(this.notice, trouble === "offline" ? say.offline : trouble ? errorText(say, trouble) :
      off ? errorText(say, closed) : this.#opensNew ? say.newChatNext : "");
    put(this.away, [chat.notice, chat.away].filter(Boolean).join("\n"));
    const who = talk.history.typing === "bot" ? say.automatic : say.agent;
    put(this.typing, talk.history.typing ? filled(say.typing, { name: who }) : "");
    const key = [this.code, talk.region?.zammad_privacy_policy].join();
    if (this.empty.dataset.key === key) return;
    this.empty.dataset.key = key;
    const policy = address(talk.region?.zammad_privacy_policy);
    this.empty.replaceChildren(icon("chat"), h("p", {}, say.empty),
      ...(policy ? [h("p", {}, h("a", { href: policy, target: "_blank", rel: "noopener noreferrer" }, say.privacy))] : []));
  }

  #drawMessages(talk) {
    const follow = this.#atEnd();
    const wanted = this.#withDays(talk.entries());
    const ids = new Set(wanted.map((e) => e.id));
    for (const [id, old] of this.#shown) {
      if (ids.has(id)) continue;
      this.seen.unobserve(old.element);
      old.element.remove();
      this.#shown.delete(id);
    }
    let grew = false;
    wanted.forEach((entry, i) => {
      const as = JSON.stringify([entry, this.code]);
      let known = this.#shown.get(entry.id);
      if (!known) {
        known = { element: h("li") };
        this.#shown.set(entry.id, known);
        grew = true;
      }
      if (known.as !== as) this.#fill(known, entry);
      known.as = as;
      if (this.list.children[i] !== known.element) this.list.insertBefore(known.element, this.list.children[i] ?? null);
    });
    this.empty.hidden = wanted.length > 0 || (!talk.learned && talk.reader.trouble === "");
    if (grew && follow) this.toEnd();
    else this.#followed();
  }

  // withDays puts a line before the first message of each day.
  #withDays(entries) {
    const long = new Intl.DateTimeFormat(this.code, { dateStyle: "full", calendar: "gregory" });
    const out = [];
    let last = "";
    for (const entry of entries) {
      const day = long.format(new Date(entry.at));
      if (day !== last) out.push({ id: `day ${day}`, day });
      last = day;
      out.push(entry);
    }
    return out;
  }

  #fill(known, entry) {
    const { element } = known;
    if (entry.day) {
      element.className = "day";
      element.textContent = entry.day;
      return;
    }
    element.className = ["message", entry.mine && "mine", entry.status === "failed" && "failed"].filter(Boolean).join(" ");
    const content = JSON.stringify([entry.text, entry.html, entry.files, entry.local, this.code]);
    if (known.content !== content) {
      known.content = content;
      known.about = h("span");
      known.more = h("div", { class: "more" });
      const who = entry.mine ? this.say.you : entry.name || (entry.automatic ? this.say.automatic : this.say.agent);
      const time = h("time", { datetime: entry.at }, new Intl.DateTimeFormat(this.code, { hour: "2-digit", minute: "2-digit" }).format(new Date(entry.at)));
      element.replaceChildren(this.#body(entry), h("p", { class: "about" }, h("bdi", {}, who), " · ", time, known.about), known.more);
    }
    const failure = entry.error ? `. ${errorText(this.say, entry.error)}` : "";
    put(known.about, entry.status ? ` · ${this.say.status[entry.status] ?? entry.status}${failure}` : "");
    if (entry.status === "failed" && this.#drawn) put(this.told, `${this.say.status.failed}: ${entry.text}`);
    known.more.replaceChildren(...this.#actions(entry));
    if (entry.seq && !entry.mine) {
      element.dataset.seq = entry.seq;
      this.seen.observe(element);
    }
  }

  #body(entry) {
    const words = h("div", { dir: "auto" }); // inside, so that the bubble keeps its side
    const below = new Set(entry.files), show = (file) => (entry.local ? chip(file) : this.attachments.element(file, this.say));
    words.append(entry.mine ? entry.text : safeHTML(entry.html, (address) => {
      const file = entry.files.find((f) => address === `attachments/${f.id}/`);
      return below.delete(file) ? show(file) : null; // in its place, and only once
    }) ?? entry.text);
    const files = [...below].map(show);
    const body = h("div", { class: "body" });
    if (entry.text || !files.length) body.append(words);
    if (files.length > 0) body.append(h("ul", { class: "files", role: "list" }, ...files.map((f) => h("li", {}, f))));
    return body;
  }

  #actions(entry) {
    if (entry.status !== "failed") return [];
    const sender = this.host.talk().sender;
    const add = (words, act) => h("button", { type: "button", class: "quiet", onclick: () => {
      act();
      this.text.focus();
    } }, words);
    // Files of what has arrived once are not on this device any more: it goes without them.
    const again = entry.local || entry.text ? [add(this.say.sendAgain, () => sender.again(entry, this.host.language()))] : [];
    return [...again, ...(entry.local ? [add(this.say.discard, () => sender.discard(entry.id))] : [])];
  }

  // --- where in the history one is

  #atEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < nearEnd;
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.#followed();
  }

  #followed() {
    this.latest.hidden = this.#atEnd();
  }

  // see marks as read what is on the screen of somebody who looks.
  #see(seen) {
    for (const { isIntersecting, target } of seen) target.dataset.visible = isIntersecting ? "1" : "";
    this.look();
  }

  look() {
    if (!this.host.attended()) return;
    const visible = this.list.querySelectorAll("[data-visible='1']");
    if (visible.length > 0) this.host.talk()?.see(Math.max(...[...visible].map((e) => Number(e.dataset.seq))));
  }

  // --- writing

  #submit() {
    if (this.send.disabled) return;
    this.host.talk().write(this.text.value.trim() === "" ? "" : this.text.value, this.#opensNew, this.#files);
    this.#opensNew = false;
    this.#files = [];
    this.text.value = "";
    this.#count();
    this.#showChosen();
    this.draw();
    this.toEnd();
    this.text.focus();
  }

  #count() {
    if (!this.say) return;
    const left = maxText - [...this.text.value].length; // characters, not UTF-16 units
    put(this.counter, left < 0 ? filled(this.say.over, { n: -left }) : left <= counterFrom ? filled(this.say.left, { n: left }) : "");
    this.counter.classList.toggle("over", left < 0);
    this.text.setAttribute("aria-invalid", String(left < 0));
    this.send.disabled = left < 0 || (this.text.value.trim() === "" && this.#files.length === 0);
  }

  #toggleNew() {
    this.#opensNew = !this.#opensNew;
    this.draw();
    this.text.focus();
  }

  #choose() {
    this.#add(this.picker.files);
    this.picker.value = "";
    this.text.focus();
  }

  async #add(files, event) {
    if (files.length === 0) return;
    event?.preventDefault();
    this.#files = [...this.#files, ...(await Promise.all([...files].map(shrunk)))];
    this.#showChosen();
    this.#count();
  }

  #showChosen() {
    this.chosen.hidden = this.#files.length === 0;
    this.chosen.replaceChildren(...this.#files.map((file) => {
      const words = filled(this.say.remove, { name: file.name });
      const remove = h("button", { type: "button", class: "quiet round", "aria-label": words, title: words, onclick: () => {
        this.#files = this.#files.filter((f) => f !== file);
        this.#showChosen();
        this.#count();
        this.text.focus();
      } }, icon("close"));
      return h("li", {}, chip(file), remove);
    }));
  }
}

// put changes a text only where it differs: what is set again is read again.
export function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

const chip = (file) => h("span", { class: "chip" }, icon("file"), h("bdi", {}, file.name));
