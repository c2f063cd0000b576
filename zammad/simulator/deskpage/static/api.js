// The public REST API, called with the agent's token and nothing else.
let token = '';

export const useToken = (value) => { token = value; };

export class Refusal extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function send(method, path, body) {
  let answer;
  try {
    answer = await fetch('/api/v1' + path, {
      method,
      headers: { Accept: 'application/json', Authorization: 'Token token=' + token, ...(body && { 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Refusal(0, '');
  }
  if (answer.ok) return answer;
  let text = String(answer.status);
  try { text = (await answer.json()).error || text; } catch { /* no JSON: the status has to do */ }
  throw new Refusal(answer.status, text);
}

export async function call(method, path, body) {
  const text = await (await send(method, path, body)).text();
  return text ? JSON.parse(text) : null;
}

export const file = async (path) => (await send('GET', path)).blob();
