// The way to the desk. What was written is stored before anything is sent, with
// a key that stays the same at every try, and goes one after the other.
import { applyState, pause, verdict } from "./logic.js";
import { Files, randomID } from "./memory.js";
import { Rest, endOf } from "./line.js";

// patience is how long a tab waits for another one that sends, in milliseconds.
// Phones put tabs to sleep in the middle of their work; where a browser has no
// locks there is no wait.
const patience = 30_000;

export class Sender {
  trouble = ""; // the code of the last failure that will be tried again
  #files = new Files();
  #rest = new Rest();
  #pending = Promise.resolve(); // files on their way into the store
  #pendings = 0;
  #running = false;
  #stopped = false;

  // talk has memory, line, history and changed().
  constructor(talk) {
    this.talk = talk;
  }

  // Read anew each time: another tab may have written.
  waiting() {
    return this.talk.memory.recall("waiting") ?? [];
  }

  #store(waiting) {
    this.talk.memory.remember("waiting", waiting);
    this.talk.changed();
  }

  // write takes a message at the moment of the tap.
  write(text, language, forceNew, files = []) {
    const item = {
      key: randomID(), text, language, forceNew, at: new Date().toISOString(),
      files: files.map(({ name, size, type }) => ({ name, size, type })),
    };
    const keep = () => {
      this.#store([...this.waiting(), item]);
      this.run();
    };
    if (files.length === 0 && this.#pendings === 0) return keep();
    this.#pendings++; // what is written after a file waits for it
    this.#pending = this.#pending.then(async () => {
      if (files.length > 0) await this.#files.put(item.key, files);
      this.#pendings--;
      keep();
    });
  }

  // again sends a text that failed as a new message, with a new key.
  async again(entry, language) {
    const files = entry.local && entry.files.length > 0 ? await this.#files.get(entry.id) : [];
    if (entry.local) this.discard(entry.id);
    this.write(entry.text, language, Boolean(entry.forceNew), files ?? []);
  }

  discard(key) {
    this.#store(this.waiting().filter((w) => w.key !== key));
    this.#files.drop(key);
  }

  #fail(key, error) {
    this.trouble = "";
    this.#store(this.waiting().map((w) => (w.key === key ? { ...w, error } : w)));
  }

  #next() {
    return this.waiting().find((w) => !w.error);
  }

  // run sends what waits. One tab does it for all, for as long as it takes.
  async run() {
    if (this.#running) return this.#rest.wake();
    if (this.#stopped || !this.#next()) return;
    this.#running = true;
    await this.alone(() => this.#work());
    this.#running = false;
  }

  // alone does something while no tab sends.
  async alone(work) {
    try {
      return await navigator.locks.request(this.talk.memory.prefix + "sending", { signal: endOf(patience) }, work);
    } catch {
      return work(); // two tabs may send the same message now, but with the same key
    }
  }

  // clear gives up all that waits.
  clear() {
    for (const { key } of this.waiting()) this.#files.drop(key);
    this.#store([]);
    this.#rest.wake();
  }

  wake() {
    this.#rest.wake();
    this.run();
  }

  stop() {
    this.#stopped = true;
    this.#rest.end();
  }

  async #work() {
    let failures = 0;
    for (let item; !this.#stopped && (item = this.#next());) {
      const wait = await this.#send(item, failures);
      failures = wait === null ? 0 : failures + 1;
      if (wait && (await this.#rest.for(wait.milliseconds, wait.ordered))) failures = 0; // something has changed
    }
    this.talk.changed();
  }

  // send tries one message. It gives null when that is settled, else the wait
  // before the next try.
  async #send(item, failures) {
    const files = item.files?.length > 0 ? await this.#files.get(item.key) : [];
    if (!files) return this.#fail(item.key, "file_gone"), null;
    const { talk } = this, since = talk.history.seq;
    if (!talk.region) await talk.learnRegion();
    const answer = await talk.line.ask(`${talk.line.chat(talk.languageFor(item.language))}?since=${since}`, request(item, files, talk.wantsToken));
    switch (verdict(answer.status, answer.body, Boolean(talk.line.authorize()))) {
      case "stored":
        this.trouble = "";
        if (answer.body.chat_token) talk.memory.remember("token", answer.body.chat_token);
        talk.take(applyState(talk.history, since, answer.body));
        this.discard(item.key);
        return null;
      case "failed":
        this.#fail(item.key, answer.body?.code ?? "body_too_large");
        return null;
      default: // also where a new token did not help: the page will get a better one
        this.trouble = answer.body?.code ?? "offline";
        talk.changed();
        return { milliseconds: pause(failures, answer.retryAfter, Math.random()), ordered: answer.retryAfter !== null };
    }
  }
}

function request(item, files, wantsToken) {
  const headers = { "Idempotency-Key": item.key, ...(wantsToken && item.text && { "X-Chat-Token": "new" }) };
  if (files.length === 0) {
    headers["Content-Type"] = "application/json";
    return { method: "POST", headers, body: JSON.stringify({ message: item.text, force_new: item.forceNew }) };
  }
  const body = new FormData();
  if (item.text) body.append("message", item.text);
  if (item.forceNew) body.append("force_new", "true");
  for (const file of files) body.append("attachment", file, file.name);
  return { method: "POST", headers, body };
}
