// The chat as an app user sees it. One loop talks to the server: it sends what
// waits, asks for news, rests, and begins again, so no two answers overlap.
// What the user has written is stored here before anything is sent, and each
// message has its key: sent twice, it still arrives once.
import { safeHTML } from "./html.js";
import { textsFor } from "./texts.js";

const maxText = 10_000; // characters; the server's own limit decides
const counterFrom = 500; // characters left when the counter appears
const restVisible = 1_500; // milliseconds between two questions
const restHidden = 3_000;
const restLongest = 15_000; // while the server is away
const answerWithin = 10_000;

const query = new URLSearchParams(location.search);
const region = query.get("region") ?? "testland";
const $ = (id) => document.getElementById(id);
const log = $("log"), list = $("messages"), text = $("text"), composer = $("composer");

// --- what this device remembers

const keyOf = (name) => `deskbridge.${name}.${region}`;
const recall = (name) => JSON.parse(localStorage.getItem(keyOf(name)) ?? "null");
const remember = (name, value) => localStorage.setItem(keyOf(name), JSON.stringify(value));

// crypto.randomUUID exists on https and this machine only.
const randomID = () => crypto.randomUUID?.() ??
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

const device = recall("device") ?? randomID();
remember("device", device);

const waiting = () => recall("waiting") ?? []; // read anew each time: another tab may have written
const keep = (item) => remember("waiting", [...waiting().filter((w) => w.key !== item.key), item]);
const change = (key, values) => remember("waiting", waiting().map((w) => (w.key === key ? { ...w, ...values } : w)));
const discard = (key) => remember("waiting", waiting().filter((w) => w.key !== key));

// --- language

let languages = [{ code: "de", native_name: "Deutsch" }, { code: "en", native_name: "English" }];
let language = "en";
let say = textsFor(language);

function chooseLanguage() {
  const wanted = [query.get("language"), recall("language"), ...navigator.languages];
  const codes = languages.map((l) => l.code);
  const match = wanted.filter(Boolean).flatMap((w) => [w.toLowerCase(), w.toLowerCase().split("-")[0]])
    .find((w) => codes.includes(w));
  setLanguage(match ?? codes[0]);
}

function setLanguage(code) {
  language = code;
  say = textsFor(code);
  document.documentElement.lang = code;
  $("languages").setAttribute("aria-label", say.languages);
  for (const button of $("languages").children) button.setAttribute("aria-pressed", String(button.lang === code));
  $("new").textContent = say.newChat;
  $("empty").textContent = say.empty;
  $("label").textContent = say.label;
  $("send").textContent = say.send;
  log.setAttribute("aria-label", say.history);
  count();
  showNotice();
  render();
}

function showLanguages() {
  $("languages").replaceChildren(...languages.map((l) => {
    const button = document.createElement("button");
    button.type = "button";
    button.lang = l.code;
    button.textContent = l.code;
    button.title = l.native_name;
    button.setAttribute("aria-label", l.native_name);
    button.addEventListener("click", () => {
      remember("language", l.code);
      setLanguage(l.code);
    });
    return button;
  }));
}

// --- talking to the server

let state = { messages: [] };
let tag = ""; // of the last answer
let learned = false; // the region's name and languages
let wake = () => {};

// Each way has its own troubles: who may not send for a while may still read.
const sending = { trouble: "", failures: 0, after: 0 }; // code, count, time before which to leave it alone
const reading = { trouble: "", failures: 0, after: 0 };

function failed(way, answer) {
  const pause = Math.min(restVisible * 2 ** Math.min(way.failures, 5), restLongest);
  way.trouble = answer.body.code ?? "error";
  way.failures++;
  way.after = Date.now() + Math.max(pause, answer.wait);
  showNotice();
}

function worked(way) {
  Object.assign(way, { trouble: "", failures: 0, after: 0 });
  showNotice();
}

const path = (...parts) => `/api/v3/${parts.map(encodeURIComponent).join("/")}/`;
const chat = (code) => path(region, code, "chat", device);

// ask gives {status, body, tag, wait}; status 0 means that there was no answer.
async function ask(url, options = {}) {
  try {
    const answer = await fetch(url, { cache: "no-store", ...options, signal: AbortSignal.timeout(answerWithin) });
    const body = answer.status === 304 ? null : await answer.json();
    const wait = Number(answer.headers.get("Retry-After")) * 1000 || 0;
    return { status: answer.status, body, tag: answer.headers.get("ETag") ?? "", wait };
  } catch {
    return { status: 0, body: { code: "offline", retryable: true }, tag: "", wait: 0 };
  }
}

function take(answer) {
  state = answer.body;
  tag = answer.tag;
}

// due are the messages that can be sent now, in order.
const due = () => (Date.now() < sending.after ? [] : waiting().filter((w) => !w.error));

async function sendWaiting() {
  for (const item of due()) {
    const answer = await ask(chat(item.language), {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": item.key },
      body: JSON.stringify({ message: item.text, force_new: item.forceNew }),
    });
    if (answer.status === 200) {
      take(answer);
      discard(item.key);
    } else if (answer.body.retryable || answer.status >= 500) {
      return failed(sending, answer);
    } else {
      change(item.key, { error: answer.body.code ?? "error" });
    }
    worked(sending);
    render();
  }
}

async function poll() {
  const answer = await ask(chat(language), { headers: tag ? { "If-None-Match": tag } : {} });
  const none = answer.status === 404 && answer.body.code === "chat_not_found";
  if (answer.status !== 200 && answer.status !== 304 && !none) return failed(reading, answer);
  if (answer.status === 200) take(answer);
  if (none) take({ body: { messages: [] }, tag: "" }); // none yet, or removed there
  worked(reading);
  if (sending.trouble === "offline") sending.after = Math.min(sending.after, Date.now() + restVisible); // the network is back
  render();
}

async function run() {
  for (;;) {
    if (!learned) await learnRegion();
    await sendWaiting();
    await poll();
    if (due().length > 0) continue; // written in the meantime
    const rest = Math.max(reading.after - Date.now(), document.hidden ? restHidden : restVisible);
    await new Promise((done) => {
      const timer = setTimeout(done, rest);
      wake = () => { clearTimeout(timer); done(); };
    });
    wake = () => {};
  }
}

async function learnRegion() {
  const answer = await ask(path("regions", region));
  if (answer.status !== 200) return;
  learned = true;
  $("title").textContent = document.title = answer.body.name;
  if (answer.body.languages.length > 0) languages = answer.body.languages;
  showLanguages();
  chooseLanguage();
}

// --- showing

let opensNew = false; // the next message begins a new chat

function showNotice() {
  const trouble = reading.trouble || sending.trouble;
  const words = trouble === "offline" ? say.offline : trouble ? say.errors[trouble] ?? say.error : opensNew ? say.newChatNext : "";
  if ($("notice").textContent !== words) $("notice").textContent = words; // what is set again is read again
  $("new").setAttribute("aria-pressed", String(opensNew));
}

// entries are what is shown: the server's messages, then what still waits.
function entries() {
  const arrived = state.messages.filter((m) => !m.retracted);
  const keys = new Set(arrived.map((m) => m.client_id));
  return [
    ...arrived.map((m) => ({
      id: m.user_is_author && m.client_id ? m.client_id : `#${m.id}`, mine: m.user_is_author, at: m.created_at, text: m.text, html: m.content,
      automatic: m.automatic_answer, status: m.user_is_author ? m.status : "", error: m.error,
    })),
    ...waiting().filter((w) => !keys.has(w.key)).map((w) => ({
      id: w.key, mine: true, at: w.at, text: w.text, status: w.error ? "failed" : "waiting", error: w.error, local: true,
    })),
  ];
}

const shown = new Map(); // by entry id: {element, as}

// render changes only what differs, so that a screen reader reads new messages
// only and a selection survives.
function render() {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const wanted = entries();
  const ids = new Set(wanted.map((e) => e.id));
  for (const [id, old] of shown) {
    if (ids.has(id)) continue;
    old.element.remove();
    shown.delete(id);
  }
  let grew = false;
  wanted.forEach((entry, i) => {
    const as = JSON.stringify([entry, language]);
    let known = shown.get(entry.id);
    if (!known) {
      known = { element: document.createElement("li") };
      shown.set(entry.id, known);
      grew = true;
    }
    if (known.as !== as) fill(known.element, entry);
    known.as = as;
    if (list.children[i] !== known.element) list.insertBefore(known.element, list.children[i] ?? null);
  });
  $("empty").hidden = wanted.length > 0;
  if (grew && atEnd) log.scrollTop = log.scrollHeight;
}

function fill(element, entry) {
  element.className = ["message", entry.mine && "mine", entry.status === "failed" && "failed"].filter(Boolean).join(" ");
  const body = document.createElement("div");
  body.className = "body";
  const words = document.createElement("div"); // inside, so that the bubble keeps its side
  words.dir = "auto";
  words.append(entry.mine ? entry.text : safeHTML(entry.html));
  body.append(words);
  const about = document.createElement("p");
  about.className = "about";
  const time = document.createElement("time");
  time.dateTime = entry.at;
  time.textContent = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(new Date(entry.at));
  const who = entry.mine ? say.you : entry.automatic ? say.automatic : say.agent;
  about.append(`${who}, `, time, entry.status ? `, ${say.status[entry.status] ?? entry.status}` : "");
  if (entry.error) about.append(`. ${say.errors[entry.error] ?? say.error}`);
  element.replaceChildren(body, about, ...actions(entry));
}

function actions(entry) {
  if (entry.status !== "failed") return [];
  const row = document.createElement("p");
  row.className = "actions";
  const add = (words, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = words;
    button.addEventListener("click", act);
    row.append(button);
  };
  add(say.sendAgain, () => {
    if (entry.local) discard(entry.id);
    write(entry.text);
  });
  if (entry.local) add(say.discard, () => { discard(entry.id); render(); text.focus(); });
  return [row];
}

// --- writing

function write(words) {
  keep({ key: randomID(), text: words, language, forceNew: opensNew, at: new Date().toISOString() });
  opensNew = false;
  showNotice();
  render();
  log.scrollTop = log.scrollHeight;
  wake();
}

function count() {
  const left = maxText - [...text.value].length; // characters, not UTF-16 units
  const counter = $("counter");
  counter.textContent = left < 0 ? say.over(-left) : left <= counterFrom ? say.left(left) : "";
  counter.classList.toggle("over", left < 0);
  text.setAttribute("aria-invalid", String(left < 0));
  $("send").disabled = left < 0 || text.value.trim() === "";
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("send").disabled) return;
  write(text.value);
  text.value = "";
  count();
  text.focus();
});

text.addEventListener("input", count);

text.addEventListener("keydown", (event) => {
  const touch = matchMedia("(pointer: coarse)").matches; // there Enter is for lines
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || touch) return;
  event.preventDefault();
  composer.requestSubmit();
});

$("new").addEventListener("click", () => {
  opensNew = !opensNew && entries().length > 0;
  showNotice();
  text.focus();
});

addEventListener("online", () => { sending.after = 0; wake(); });
document.addEventListener("visibilitychange", () => wake());
addEventListener("storage", () => { render(); wake(); }); // another tab has written

showLanguages();
chooseLanguage();
run();
