// A talk is a device's conversation in a region: what is known of it, the way to
// the desk and the way back. It knows no page.
import { emptyHistory, ordered, unread, unsent } from "./logic.js";
import { Memory, randomID } from "./memory.js";
import { Line, longWithin } from "./line.js";
import { Sender } from "./sender.js";
import { Reader } from "./reader.js";

const typingEvery = 5_000; // milliseconds between two notices that somebody types
const readAfter = 1_000; // so long a message is on the screen before it counts as read

export class Talk {
  history = emptyHistory();
  served = true; // false: the gate keeps this device out
  learned = false; // the history has been read at least once
  #typed = -typingEvery;
  #own; // the device was made here
  #silent = new Set(); // what this server does not have
  #known;
  #learning = null;
  #waited = new Map(); // by key: what waited when it was last looked at

  // language gives the code for addresses; changed is called when there is
  // something else to show, and is told whether it may wait for more.
  constructor({ server, region, device, authorize, language, changed }) {
    Object.assign(this, { language, changed });
    const known = new Memory(server, region);
    if (!device && !known.recall("device")) known.remember("device", randomID());
    this.#own = !device;
    this.device = device || known.recall("device");
    this.#known = known;
    this.region = known.recall("document"); // the region's, as it was last time
    this.memory = new Memory(server, region, this.device);
    this.line = new Line({ server, region, device: this.device, authorize, secret: () => this.memory.recall("token") });
    this.sender = new Sender(this);
    this.reader = new Reader(this);
  }

  // known says whether this browser has a device for the region already.
  static known(server, region) {
    return Boolean(new Memory(server, region).recall("device"));
  }

  start() {
    this.reader.run();
    this.sender.run();
    this.learnRegion();
    this.#learnServed();
  }

  stop() {
    clearTimeout(this.reading);
    this.sender.stop();
    this.reader.stop();
  }

  wake() {
    this.sender.wake();
    this.reader.wake();
  }

  // take is told the history after something came.
  take(history, more = false) {
    this.history = history;
    this.learned = true;
    this.changed(more);
  }

  // connected is told when the bridge is there again after it was not.
  connected() {
    this.learned = true;
    this.sender.wake();
    this.learnRegion();
  }

  // learnRegion asks for the region's document, until it is there. Nothing is
  // read or sent before: addresses have a language that the region must have.
  learnRegion() {
    return (this.#learning ??= this.line.ask(this.line.address("regions", this.line.region)).then(({ status, body }) => {
      if (status !== 200 || !body?.path) return (this.#learning = null);
      this.region = body;
      this.#known.remember("document", body);
      this.changed();
    }));
  }

  // wantsToken says whether this device is to get a chat token: a page's own may
  // be in use elsewhere too.
  get wantsToken() {
    return this.#own && !this.memory.recall("token");
  }

  // languageFor gives the code if the region has it, else the one that is shown.
  languageFor(code) {
    return this.region?.languages?.some((l) => l.code === code) ? code : this.language();
  }

  async #learnServed() {
    const answer = await this.line.ask(this.line.address(this.line.region, this.device, "is_chat_enabled"));
    this.served = answer.body?.is_chat_enabled !== false;
    this.changed();
  }

  write(text, forceNew, files) {
    this.sender.write(text, this.language(), forceNew, files);
    this.#typed = -typingEvery;
    this.reader.wake();
  }

  // What another tab has sent waits no more, and may not be in this tab's
  // history yet. Only what failed can be discarded, so all else that is gone was
  // sent.
  #unsent() {
    const waiting = this.sender.waiting(), keys = new Set(waiting.map((w) => w.key));
    const sent = [...this.#waited.values()].filter((w) => !w.error && !keys.has(w.key)).map((w) => ({ ...w, sent: true }));
    const all = unsent(this.history, [...sent, ...waiting]);
    this.#waited = new Map(all.map((w) => [w.key, w]));
    return all;
  }

  // entries are what is shown: what has arrived, then what still waits.
  entries() {
    const arrived = ordered(this.history);
    return [
      ...arrived.map((m) => ({
        id: m.user_is_author && m.client_id ? m.client_id : `#${m.id}`, mine: m.user_is_author, at: m.created_at, seq: m.seq,
        text: m.text, html: m.content, files: m.attachments ?? [], automatic: m.automatic_answer, name: m.name,
        status: m.user_is_author ? m.status : "", error: m.error,
      })),
      ...this.#unsent().map((w) => ({
        id: w.key, mine: true, at: w.at, text: w.text, files: w.files ?? [], forceNew: w.forceNew,
        status: w.error ? "failed" : w.sent ? "queued" : "waiting", error: w.error, local: true,
      })),
    ];
  }

  get read() {
    return Math.max(this.history.read, this.memory.recall("read") ?? 0);
  }

  get unread() {
    return unread(this.history, this.read);
  }

  // see is told the seq of a message that is on the screen.
  see(seq) {
    if (seq <= Math.max(this.read, this.seeing ?? 0)) return;
    this.seeing = seq;
    clearTimeout(this.reading);
    this.reading = setTimeout(() => {
      this.memory.remember("read", this.seeing);
      this.#tell("read", { seq: this.seeing });
      this.changed();
    }, readAfter);
  }

  // --- the user's own rights

  // copy gives everything that the bridge has of this device, or the code of
  // what went wrong.
  async copy() {
    const { status, body } = await this.line.ask(this.line.chat(this.language(), "export"), { within: longWithin });
    return status === 200 && body ? { document: body, code: "" } : { code: body?.code ?? "other" };
  }

  // erase has everything erased, there and here, what was not sent yet too. It
  // gives "", or the code of what went wrong; the next try has the same key.
  async erase() {
    this.sender.clear();
    this.#waited.clear();
    const key = this.memory.recall("erasing") ?? randomID();
    this.memory.remember("erasing", key);
    const { status, body } = await this.sender.alone(() =>
      this.line.ask(this.line.chat(this.language()), { method: "DELETE", headers: { "Idempotency-Key": key } }));
    const none = status === 404 && body?.code === "chat_not_found";
    if (!none && (status !== 202 || !body?.receipt)) return body?.code ?? "other";
    this.stop();
    this.memory.forget();
    this.#known.remember("erasure", none ? null : { receipt: body.receipt, state: "pending" });
    if (this.#own) this.#known.remember("device", randomID());
    return "";
  }

  // isFormer says whether another tab has erased this device.
  get isFormer() {
    return this.#own && this.#known.recall("device") !== this.device;
  }

  // erasure is the last one of this browser: its receipt, and how far it is.
  get erasure() {
    return this.#known.recall("erasure");
  }

  // follow asks how far it is. Receipts are forgotten after a month.
  async follow() {
    const known = this.erasure;
    if (!known) return;
    const { status, body } = await this.line.ask(this.line.address(this.line.region, "erasures", known.receipt));
    if (body?.code === "receipt_not_found") this.#known.remember("erasure", null);
    else if (status === 200 && body?.state) this.#known.remember("erasure", { ...known, state: body.state });
  }

  // type is told when the user writes something.
  type() {
    if (this.history.messages.size === 0 || performance.now() - this.#typed < typingEvery) return;
    this.#typed = performance.now();
    this.#tell("typing", { active: true });
  }

  // A server without such an address is not asked again.
  async #tell(what, document) {
    if (this.#silent.has(what)) return;
    const answer = await this.line.post(this.line.chat(this.language(), what), document);
    if ([404, 405].includes(answer.status)) this.#silent.add(what);
  }
}
