// The way from the desk: a stream of events, and questions where there is none.
// The stream is read with fetch and not with EventSource, because that shows
// neither what the server answers nor how long it has been silent.
import { applyFrame, applyState, emptyHistory, pause, readEvents } from "./logic.js";
import { Rest } from "./line.js";

const silentAfter = 60_000; // milliseconds without a byte: the connection is dead
const firstWithin = 15_000; // a stream of which nothing comes is held back by a proxy
const steadyAfter = 10_000; // a stream that held so long was a good one
const streamlessFor = 300_000; // a server or network without streams is asked again
const hiddenAfter = 60_000; // a page that nobody looks at lets its stream go
const pollBusy = 3_000; // between two questions while something is going on,
const pollQuiet = 15_000; // else,
const pollHidden = 60_000; // and while nobody looks
const busyFor = 120_000;

export class Reader {
  trouble = "";
  #rest = new Rest();
  #stopped = false;
  #attended = true; // somebody looks
  #failures = 0;
  #streamFailures = 0;
  #streamless = 0; // until when
  #tag = { url: "", tag: "" };
  #busy = performance.now(); // since when nothing is going on
  #end = () => {}; // of the running stream

  constructor(talk) {
    this.talk = talk;
  }

  async run() {
    while (!this.#stopped) {
      const wait = await this.#round();
      if (!this.#stopped) await this.#rest.for(wait.milliseconds, wait.ordered);
    }
  }

  // attend says whether somebody looks at the chat.
  attend(yes) {
    if (this.#attended === yes) return;
    this.#attended = yes;
    clearTimeout(this.letGo);
    if (yes) this.#rest.wake();
    else this.letGo = setTimeout(() => this.#end(), hiddenAfter);
  }

  // wake looks for news at once: something was written, the network is back.
  wake() {
    this.#busy = performance.now();
    this.#rest.wake();
  }

  // offline ends a stream that cannot live any more, long before it is silent for too long.
  offline() {
    this.#end();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.letGo);
    this.#end();
    this.#rest.end();
  }

  async #round() {
    if (!this.talk.region) await this.talk.learnRegion();
    if (this.#attended && navigator.onLine && performance.now() >= this.#streamless) {
      const wait = await this.#stream();
      if (wait) return wait;
    }
    return this.#stopped ? { milliseconds: 0 } : this.#poll();
  }

  // stream reads until the stream ends. It gives the wait before the next one,
  // or null where a question should tell what is wrong.
  async #stream() {
    const controller = new AbortController();
    this.#end = () => controller.abort();
    const listen = (milliseconds) => {
      clearTimeout(this.watch);
      this.watch = setTimeout(this.#end, milliseconds);
    };
    listen(firstWithin);
    const heard = { since: null, retry: 0, bye: null };
    try {
      const url = `${this.talk.line.chat(this.talk.language(), "events")}?since=${this.talk.history.seq}`;
      const response = await this.talk.line.open(url, { headers: { Accept: "text/event-stream" }, signal: controller.signal });
      const streams = response.status === 200 && response.headers.get("Content-Type")?.startsWith("text/event-stream");
      if (!streams) return await this.#refused(response);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; heard.bye === null;) {
        const { done, value } = await reader.read();
        if (done) break;
        listen(silentAfter);
        if (heard.since === null) this.#opened();
        heard.since ??= performance.now();
        const events = readEvents(rest + value);
        rest = events.rest;
        heard.retry = events.retry ?? heard.retry;
        this.#take(events.frames, heard);
      }
    } catch {
      // Cut, or ended by #end: what follows is the same.
    } finally {
      clearTimeout(this.watch);
      controller.abort();
      this.#end = () => {};
    }
    return this.#ended(heard);
  }

  #ended({ since, retry, bye }) {
    if (bye !== null) return { milliseconds: bye, ordered: true };
    if (!navigator.onLine) return null;
    if (since === null) {
      // Questions are answered and streams never begin: this network has none.
      if (++this.#streamFailures % 3 === 0 && this.trouble === "") this.#streamless = performance.now() + streamlessFor;
      return null;
    }
    if (performance.now() - since > steadyAfter) this.#streamFailures = 0;
    return { milliseconds: Math.max(retry, pause(this.#streamFailures++, null, Math.random())) };
  }

  #opened() {
    this.#failures = 0;
    this.talk.history = { ...this.talk.history, typing: "" }; // a stream tells only who is typing
    this.talk.connected();
    this.#told("");
  }

  #told(trouble) {
    if (this.trouble === trouble) return;
    this.trouble = trouble;
    this.talk.changed();
  }

  #take(frames, heard) {
    let history = this.talk.history;
    for (const frame of frames) {
      if (frame.type === "bye") heard.bye = Number(frame.retry_ms) || 0;
      else history = applyFrame(history, frame);
      if (frame.type === "message") this.#busy = performance.now();
    }
    this.talk.take(history, frames.some((f) => f.type === "reset"));
  }

  async #refused(response) {
    const retryAfter = response.headers.get("Retry-After");
    const code = await response.json().then((body) => body.code, () => "");
    // A device without a chat gets its stream when it has one.
    if (response.status === 404 && code !== "chat_not_found") this.#streamless = performance.now() + streamlessFor;
    // Too many streams, or no room for one: questions still have theirs.
    if ([429, 503].includes(response.status)) this.#streamless = performance.now() + Math.max(pollHidden, pause(0, retryAfter, Math.random()));
    return null;
  }

  async #poll() {
    const { line, history } = this.talk, since = history.seq;
    const url = `${line.chat(this.talk.language())}?since=${since}`;
    const answer = await line.ask(url, { headers: this.#tag.url === url ? { "If-None-Match": this.#tag.tag } : {} });
    const none = answer.status === 404 && answer.body?.code === "chat_not_found";
    const state = answer.status === 200 && Array.isArray(answer.body?.messages);
    if (!state && !none && answer.status !== 304) return this.#failed(answer);
    if (state) {
      if (answer.body.messages.length > 0) this.#busy = performance.now();
      this.#tag = { url, tag: answer.tag };
      this.talk.take(applyState(this.talk.history, since, answer.body));
    } else if (none && this.talk.history.seq === since) {
      this.talk.take(emptyHistory());
    }
    if (this.#failures > 0) this.talk.connected();
    this.#failures = 0;
    this.#told("");
    return { milliseconds: this.#interval() };
  }

  #failed(answer) {
    this.#told(answer.body?.code ?? "offline");
    const milliseconds = pause(this.#failures++, answer.retryAfter, Math.random());
    return { milliseconds, ordered: answer.retryAfter !== null };
  }

  #interval() {
    if (!this.#attended) return pollHidden;
    return performance.now() - this.#busy < busyFor ? pollBusy : pollQuiet;
  }
}
