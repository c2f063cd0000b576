// What a client must get right, without a page, a network or a clock: every
// function here is pure, and is held against the vectors in api/vectors.

// A history is what this device knows: the messages by id, the cursor to go on
// from, the state of the chat, and up to where it has been read.
export const emptyHistory = () => ({ seq: 0, messages: new Map(), chat: {}, read: 0, typing: "" });

// applyFrame gives the history after one frame of a stream. A frame may come
// twice and changes nothing then; of an unknown type only the seq counts.
export function applyFrame(history, frame) {
  if (frame.type === "reset") return { ...emptyHistory(), chat: history.chat };
  const next = { ...history, seq: Math.max(history.seq, frame.seq ?? 0) };
  if (frame.type === "message") {
    next.messages = withMessages(history.messages, [frame.message]);
    if (!frame.message.user_is_author) next.typing = history.chat.typing ? "agent" : "";
  } else if (frame.type === "status") {
    const known = history.messages.get(frame.status.id);
    if (known) next.messages = withMessages(history.messages, [{ ...known, error: undefined, ...frame.status, seq: frame.seq }]);
  } else if (frame.type === "chat") {
    next.chat = frame.chat;
    next.typing = frame.chat.typing ? "agent" : history.typing === "agent" ? "" : history.typing;
  } else if (frame.type === "read") {
    next.read = Math.max(history.read, frame.read);
  } else if (frame.type === "typing") {
    next.typing = frame.typing.active ? frame.typing.who : "";
  }
  return next;
}

// applyState gives the history after an answer to GET or POST. since is what the
// question was asked with: an answer that is older than it comes from a history
// that began anew on the server, of which nothing former may stay. One that was
// overtaken knows of the chat only what it was before.
export function applyState(history, since, state) {
  let from = history;
  if (state.seq < since) {
    if (history.seq < since) return history; // another way has told it before
    from = emptyHistory();
  }
  const next = { ...from, messages: withMessages(from.messages, state.messages), read: Math.max(from.read, state.read ?? 0) };
  if (state.seq < from.seq) return next;
  return { ...next, seq: state.seq, chat: state.chat ?? {}, typing: state.chat?.typing ? "agent" : state.chatbot_typing ? "bot" : "" };
}

// Answers and frames may overtake each other, so of two versions of a message
// the one with the greater seq counts. What is retracted stays known, so that
// an older version does not bring it back.
function withMessages(known, came) {
  const messages = new Map(known);
  for (const message of came) {
    if (message.seq >= (messages.get(message.id)?.seq ?? 0)) messages.set(message.id, message);
  }
  return messages;
}

// ordered gives the messages to show, in their order. The clock of the client
// has no part in it.
export function ordered(history) {
  return [...history.messages.values()].filter((m) => !m.retracted)
    .sort((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at) || a.id - b.id);
}

// unsent gives those of the waiting messages that are not in the history yet, in
// the order in which they were written. They stand after all that has arrived.
export function unsent(history, waiting) {
  const arrived = new Set([...history.messages.values()].map((m) => m.client_id));
  return waiting.filter((w) => !arrived.has(w.key));
}

// unread counts what others have written since it was read.
export const unread = (history, read) => ordered(history).filter((m) => !m.user_is_author && m.seq > read).length;

const firstWait = 1_000; // milliseconds
const longestWait = 60_000;
const longestOrder = 600_000; // a server that asks for more is asked after ten minutes

// pause gives the milliseconds before the next try. retryAfter is the header's
// text or null, failures those in a row before this one, random from 0 to 1.
// What the server asks for is never cut short.
export function pause(failures, retryAfter, random) {
  if (/^\d+$/.test(retryAfter ?? "")) return Math.min(Number(retryAfter) * 1000 + random * 1000, longestOrder);
  return Math.min(firstWait * 2 ** Math.min(failures, 16), longestWait) * (1 - random / 2);
}

// These mean the same again at each try, whoever says so.
const finalWithoutCode = new Set([413, 414, 431]);

// verdict says what an answer means for a message: "stored", "retry" with the
// same key, "authorize" (get a new token, then retry), or "failed". An answer
// with neither a state nor a code is not the bridge's (a proxy, the page of a
// hotel's network): it says nothing about the message. status 0 is no answer.
export function verdict(status, body, hasToken) {
  if (status === 200) return Array.isArray(body?.messages) && Number.isInteger(body.seq) ? "stored" : "retry";
  if (status === 401 && hasToken) return "authorize";
  if (!body?.code) return finalWithoutCode.has(status) ? "failed" : "retry";
  return body.retryable ? "retry" : "failed";
}

// readEvents takes whole events out of the text of a stream (text/event-stream)
// and gives their frames, the wait that the server names, and the rest.
export function readEvents(text) {
  const events = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = events.pop();
  const out = { frames: [], retry: null, rest };
  for (const event of events) {
    const data = [];
    for (const line of event.split("\n")) {
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (name === "data") data.push(value);
      if (name === "retry" && /^\d+$/.test(value)) out.retry = Number(value);
    }
    const frame = data.length > 0 && parsed(data.join("\n"));
    if (frame?.type) out.frames.push(frame);
  }
  return out;
}

export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
