// Holds the widget's own logic against the vectors for client authors. Each
// check gives what came out and what was expected, for Go to compare.
import * as logic from "/src/logic.js";
import { Sender } from "/src/sender.js";

const shown = (history) => logic.ordered(history).map(({ id, status }) => ({ id, status }));
const after = (frames, from = logic.emptyHistory()) => frames.reduce(logic.applyFrame, from);

const screen = (h) => ({ seq: h.seq, read: h.read, typing: h.typing, chat: h.chat.state ?? "", messages: shown(h) });

const checks = {
  frames({ frames }) {
    return screen(after(frames));
  },
  cursor({ before, since, answer }) {
    return screen(logic.applyState(after(before), since, answer));
  },
  order({ messages, waiting }) {
    const history = after(messages.map((message) => ({ type: "message", seq: message.seq, message })));
    return [...logic.ordered(history).map((m) => String(m.id)), ...logic.unsent(history, waiting).map((w) => w.key)];
  },
  verdicts: ({ status, body, token }) => logic.verdict(status, body, token),
  pauses: ({ failures, retry_after, random }) => logic.pause(failures, retry_after, random),
  stream({ chunks }) {
    let rest = "";
    const out = { frames: [], retry: null };
    for (const chunk of chunks) {
      const events = logic.readEvents(rest + chunk);
      rest = events.rest;
      out.frames.push(...events.frames);
      out.retry = events.retry ?? out.retry;
    }
    return out;
  },
  keys,
};

// keys lets the widget's sender talk to a server that answers as the vector says.
async function keys({ steps, answers }) {
  const requests = [], names = [], kept = new Map();
  let wake = () => {}, settled;
  const numbered = (key) => (names.includes(key) ? names : (names.push(key), names)).indexOf(key) + 1;
  const talk = {
    history: logic.emptyHistory(), region: {}, languageFor: (code) => code, changed: () => wake(), take: (history) => (talk.history = history),
    memory: { prefix: `vectors ${crypto.randomUUID()} `, recall: (name) => kept.get(name), remember: (name, value) => kept.set(name, value) },
    line: {
      authorize: () => null, chat: () => "/",
      async ask(url, { headers, body }) {
        const text = JSON.parse(body).message, key = headers["Idempotency-Key"];
        const answer = answers[requests.length];
        requests.push({ text, key: numbered(key) });
        if (!answer) await new Promise(() => {}); // one request too many: it shows in the result
        const state = { messages: [{ id: requests.length, seq: requests.length, client_id: key, text }], seq: requests.length };
        return { retryAfter: null, tag: "", body: answer.status === 200 ? state : answer.body ?? null, status: answer.status };
      },
    },
  };
  let sender = new Sender(talk);
  const until = (condition) => new Promise((resolve) => {
    settled = () => condition() && resolve();
    wake = settled;
    settled();
  });
  const quiet = () => until(() => !sender.waiting().some((w) => !w.error));
  for (const step of steps) {
    if (step.tap) sender.write(step.tap, "en", false);
    if (step.again) {
      await quiet();
      const { key, text } = sender.waiting().find((w) => w.text === step.again);
      await sender.again({ id: key, text, local: true, files: [] }, "en");
    }
    if (step.reopen) {
      await until(() => requests.length > 0 && sender.trouble !== "");
      sender.stop();
      sender = new Sender(talk);
      sender.run();
    }
  }
  await quiet();
  return { requests, waiting: sender.waiting().map(({ text, error }) => ({ text, error })) };
}

const wanted = {
  stream: ({ expect, retry_ms }) => ({ frames: expect, retry: retry_ms }),
  keys: ({ expect, waiting }) => ({ requests: expect, waiting }),
  pauses: ({ wait_ms }) => wait_ms,
};

export async function check(name) {
  const { cases } = await (await fetch(`/vectors/${name}.json`)).json();
  const out = [];
  for (const vector of cases) {
    const got = await checks[name](vector);
    out.push({ name: vector.name, got: JSON.stringify(sorted(got)), want: JSON.stringify(sorted(wanted[name]?.(vector) ?? vector.expect)) });
  }
  return out;
}

// sorted gives objects an order of keys, so that they can be compared as text.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}
