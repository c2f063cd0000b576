// The line to the bridge: addresses, tokens, and answers as plain values.
import { parsed } from "./logic.js";

const answerWithin = 15_000; // milliseconds
export const longWithin = 300_000; // where files are sent, or everything is fetched

export class Line {
  // authorize gives a bearer token, or is nothing where none is needed; secret
  // gives the chat token, if there is one.
  constructor({ server, region, device, authorize, secret }) {
    Object.assign(this, { server: server.replace(/\/+$/, ""), region, device, authorize, secret, token: null });
  }

  address(...parts) {
    return `${this.server}/api/v3/${parts.map(encodeURIComponent).join("/")}/`;
  }

  chat(language, ...parts) {
    return this.address(this.region, language, "chat", this.device, ...parts);
  }

  // ask gives {status, body, tag, retryAfter}. Status 0 means that there was no
  // answer, and the body is null where it is no JSON.
  async ask(url, options = {}) {
    const { within = options.body instanceof FormData ? longWithin : answerWithin } = options;
    try {
      const answer = await this.open(url, { ...options, signal: endOf(within) });
      const body = parsed(await answer.text());
      return { status: answer.status, body, tag: answer.headers.get("ETag") ?? "", retryAfter: answer.headers.get("Retry-After") };
    } catch {
      return { status: 0, body: null, tag: "", retryAfter: null };
    }
  }

  // post sends a small document whose answer nobody waits for.
  post(url, document) {
    return this.ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(document) });
  }

  // open gives the response itself. A token that is refused is renewed once.
  async open(url, options = {}) {
    const response = await this.#fetch(url, options);
    if (response.status !== 401 || !this.authorize()) return response;
    this.token = null;
    return this.#fetch(url, options);
  }

  async #fetch(url, options) {
    const authorize = this.authorize();
    if (authorize) this.token ??= await authorize();
    const secret = this.secret();
    const headers = { ...(secret && { "X-Chat-Token": secret }), ...options.headers, ...(this.token && { Authorization: `Bearer ${this.token}` }) };
    return fetch(url, { cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", ...options, headers });
  }
}

// endOf is AbortSignal.timeout, which phones of 2021 do not have.
export function endOf(milliseconds) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), milliseconds);
  return controller.signal;
}

// A rest ends after a while, or sooner when something wakes it, also if that
// came just before; what the server ordered is not cut short.
export class Rest {
  #woken = false;
  #end = null; // of the running rest

  // for gives whether it was woken.
  for(milliseconds, ordered = false) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#end(false), milliseconds);
      this.#end = (woken) => {
        clearTimeout(timer);
        this.#end = null;
        this.#woken = false;
        resolve(woken);
      };
      this.ordered = ordered;
      if (this.#woken) this.wake();
    });
  }

  wake() {
    this.#woken = true;
    if (!this.ordered) this.#end?.(true);
  }

  end() {
    this.#end?.(false);
  }
}
