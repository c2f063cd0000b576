import { call, Refusal, useToken } from './api.js';
import { attachment, render } from './body.js';
import { language, speak, stateName, t } from './texts.js';

const $ = (id) => document.getElementById(id);
const pollEvery = 1500; // milliseconds

const desk = { me: null, groups: [], tickets: [], open: null, articles: [], shown: {} };

function say(text) { $('status').textContent = text; }

function complain(error) {
  const text = error instanceof Refusal
    ? error.status === 0 ? t('offline') : error.status === 401 ? t('badToken') : t('refused', { text: error.message })
    : typeof error === 'string' ? error : String(error);
  $('error').textContent = text;
  $('error').hidden = false;
}

function calm() { $('error').hidden = true; }

// doing runs one act of the agent, shows what went wrong and looks again at once.
async function doing(act, done) {
  calm();
  try {
    await act();
    if (done) say(done);
  } catch (error) {
    complain(error);
  }
  await look();
}

// ---- sign in

async function signIn(token) {
  useToken(token);
  try {
    await meet();
  } catch (error) {
    signOut();
    complain(error);
    return;
  }
  sessionStorage.setItem('desk-token', token);
  calm();
  fillGroups();
  $('sign-in').hidden = true;
  $('main').hidden = false;
  $('sign-out').hidden = false;
  greet();
  await look();
}

// meet asks who the token belongs to. The full answer names the agent's groups and roles,
// which an agent could not list.
async function meet() {
  const { id, assets } = await call('GET', '/users/me?full=true');
  const me = assets.User[id];
  me.admin = me.role_ids.some((role) => assets.Role[role].name === 'Admin');
  desk.groups = Object.keys(me.group_ids).map((group) => ({ id: group, name: assets.Group[group].name }));
  desk.me = me;
}

const greet = () => { $('who').textContent = t('signedIn', { name: `${desk.me.firstname} ${desk.me.lastname}`.trim() }); };

function fillGroups() {
  const wanted = desk.wantedGroup || $('group').value;
  fill($('group'), desk.groups.map((g) => [g.name, g.name]), wanted);
  fill($('move-group'), desk.groups.map((g) => [g.name, g.name]), $('move-group').value);
}

function signOut() {
  sessionStorage.removeItem('desk-token');
  useToken('');
  Object.assign(desk, { me: null, tickets: [], open: null, articles: [], shown: {} });
  $('main').hidden = true;
  $('sign-out').hidden = true;
  $('who').textContent = '';
  $('sign-in').hidden = false;
  $('token').value = '';
  $('token').focus();
}

// ---- looking: the list and the open ticket, again and again

let busy = 0;
let last = Promise.resolve();

// look asks once more, after whatever is being asked already.
function look() {
  busy += 1;
  last = last.then(lookOnce).finally(() => { busy -= 1; });
  return last;
}

async function lookOnce() {
  if (!desk.me) return;
  try {
    desk.tickets = await call('POST', '/tickets/search', {
      condition: groupCondition(), sort_by: 'updated_at', order_by: 'desc', limit: 100, expand: true,
    });
    if (desk.open) await lookAtTicket();
    if (desk.lost) { desk.lost = false; calm(); }
  } catch (error) {
    desk.lost = error.status === 0;
    if (error.status === 401) signOut();
    complain(error);
  }
  showAll();
}

function groupCondition() {
  const g = desk.groups.find((x) => x.name === $('group').value);
  return { 'ticket.group_id': { operator: 'is', value: [g ? g.id : '0'] } };
}

async function lookAtTicket() {
  const id = desk.open.id;
  try {
    const ticket = await call('GET', `/tickets/${id}?expand=true`);
    const articles = await call('GET', `/ticket_articles/by_ticket/${id}`);
    if (desk.open && desk.open.id === id) Object.assign(desk, { open: ticket, articles });
  } catch (error) {
    if (error.status !== 404 && error.status !== 403) throw error;
    desk.open = null;
    say(t(error.status === 404 ? 'gone' : 'outOfSight'));
  }
}

// ---- showing: only what changed is built anew, and the focus stays where it was

function showAll() {
  if (!desk.me) return;
  change('tickets', [desk.tickets, $('show-closed').checked, desk.open && desk.open.id], showTickets);
  change('articles', [desk.open, desk.articles, desk.tickets.map((x) => x.number)], showTicket);
}

function change(part, data, show) {
  const key = language() + JSON.stringify(data);
  if (desk.shown[part] === key) return;
  desk.shown[part] = key;
  const focused = document.activeElement && document.activeElement.dataset.key;
  show();
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k === 'onclick') e.addEventListener('click', v);
    else if (v !== false) e.setAttribute(k, v);
  }
  e.append(...children);
  return e;
}

const isDone = (x) => x.state === 'closed' || x.state === 'merged';

function showTickets() {
  const visible = desk.tickets.filter((x) => $('show-closed').checked || !isDone(x));
  $('tickets').replaceChildren(...visible.map((x) => make('li', {},
    make('button', {
      type: 'button', class: 'row', 'data-test': 'ticket-row', 'data-ticket-id': x.id, 'data-key': 'ticket-' + x.id, 'data-state': x.state,
      'aria-current': String(Boolean(desk.open && desk.open.id === x.id)), onclick: () => choose(x),
    }, make('strong', { dir: 'auto' }, x.title), ' ', make('span', { class: 'badge' }, stateName(x.state)), make('br', {}),
    make('span', { class: 'quiet' }, `#${x.number} · ${when(x.updated_at)}`)))));
  $('no-tickets').hidden = visible.length > 0;
}

const when = (iso) => new Date(iso).toLocaleString(language());

async function choose(ticket) {
  if (!desk.open || desk.open.id !== ticket.id) Object.assign(desk, { open: ticket, articles: [] });
  calm();
  await look();
  $('ticket-title').focus();
}

function showTicket() {
  const x = desk.open;
  $('ticket').hidden = !x;
  $('no-ticket').hidden = Boolean(x);
  if (!x) return;
  $('ticket').dataset.ticketId = x.id;
  $('ticket-title').textContent = x.title;
  $('ticket-number').textContent = '#' + x.number;
  $('ticket-state').textContent = stateName(x.state);
  $('ticket-state').dataset.state = x.state;
  $('ticket-customer').textContent = x.customer;
  $('close').hidden = isDone(x);
  $('reopen').hidden = !isDone(x);
  $('delete').hidden = !desk.me.admin;
  fill($('merge-target'), [['', '–'], ...desk.tickets.filter((o) => o.id !== x.id && o.state !== 'merged')
    .map((o) => [o.number, `#${o.number} ${o.title}`])], $('merge-target').value);
  showArticles();
}

function fill(select, options, value) {
  select.replaceChildren(...options.map(([v, text]) => make('option', { value: v }, text)));
  if (options.some(([v]) => v === value)) select.value = value;
}

// showArticles keeps what is on the page already, so that only new articles are read aloud.
function showArticles() {
  const list = $('articles');
  const old = new Map([...list.children].map((e) => [e.dataset.version, e]));
  const now = desk.articles.map((a) => {
    const version = `${language()} ${a.ticket_id} ${a.id} ${a.updated_at}`;
    return old.get(version) || showArticle(a, version);
  });
  for (const e of old.values()) if (!now.includes(e)) e.remove();
  now.forEach((e, i) => { if (list.children[i] !== e) list.insertBefore(e, list.children[i] || null); });
  $('no-articles').hidden = now.length > 0;
}

function showArticle(a, version) {
  const sender = t('from' + a.sender);
  const kind = a.internal ? 'internal' : 'public';
  const tools = make('p', { class: 'tools' },
    make('button', {
      type: 'button', 'data-test': 'article-toggle', 'data-key': 'toggle-' + a.id,
      onclick: () => doing(() => call('PUT', `/ticket_articles/${a.id}`, { internal: !a.internal }), t('saved')),
    }, t(a.internal ? 'makePublic' : 'makeInternal')));
  if (a.created_by_id === desk.me.id && a.type === 'note') {
    tools.append(' ', make('button', {
      type: 'button', class: 'danger', 'data-test': 'article-delete', 'data-key': 'remove-' + a.id,
      onclick: async () => { if (await sure(t('askNote'))) { await doing(() => call('DELETE', `/ticket_articles/${a.id}`), t('deleted')); $('reply-text').focus(); } },
    }, t('deleteNote')));
  }
  return make('li', {
    class: `article ${kind} ${a.sender.toLowerCase()}`, 'data-test': 'article', 'data-article-id': a.id, 'data-internal': String(a.internal),
    'data-version': version,
  }, make('header', {}, make('strong', {}, `${a.from || a.origin_by || sender}`), make('span', {}, `${sender} · ${a.type} · ${when(a.created_at)}`),
    make('span', { class: 'badge' }, t(a.internal ? 'isInternal' : 'isPublic'))),
  render(a), ...a.attachments.filter((f) => !f.preferences['Content-ID']).map((f) => attachment(a, f, t('attachment', { name: f.filename, size: f.size }))), tools);
}

// ---- acting

const asHTML = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/\n/g, '<br>');

async function answer(close) {
  const text = $('reply-text').value;
  if (!text.trim()) { complain(t('emptyReply')); $('reply-text').focus(); return; }
  const article = { type: 'note', internal: !$('reply-public').checked, content_type: 'text/html', body: asHTML(text) };
  const id = desk.open.id;
  $('reply-send').disabled = $('reply-close').disabled = true;
  await doing(async () => {
    if (close) await call('PUT', `/tickets/${id}`, { state: 'closed', article });
    else await call('POST', '/ticket_articles', { ticket_id: id, ...article });
    $('reply-text').value = '';
  }, t('sent'));
  $('reply-send').disabled = $('reply-close').disabled = false;
  $('reply-text').focus();
}

function sure(question) {
  $('confirm-text').textContent = question;
  $('confirm').returnValue = 'no';
  $('confirm').showModal();
  return new Promise((resolve) => {
    $('confirm').addEventListener('close', () => resolve($('confirm').returnValue === 'yes'), { once: true });
  });
}

const put = (changes, done) => doing(() => call('PUT', `/tickets/${desk.open.id}`, changes), done);

async function merge() {
  const target = $('merge-target').value;
  if (!target) { complain(t('noTarget')); return; }
  if (!await sure(t('askMerge', { number: desk.open.number, target }))) return;
  await doing(async () => {
    const result = await call('PUT', `/ticket_merge/${desk.open.id}/${target}`);
    if (result.result !== 'success') throw new Refusal(422, result.message);
  }, t('merged', { number: target }));
}

async function move() {
  const group = $('move-group').value;
  if (!group || group === desk.open.group) { complain(t('noGroup')); return; }
  await put({ group }, t('moved', { group }));
}

async function remove() {
  if (!await sure(t('askDelete', { number: desk.open.number }))) return;
  await doing(async () => { await call('DELETE', `/tickets/${desk.open.id}`); desk.open = null; }, t('deleted'));
  if (!desk.open) $('group').focus();
}

function showKind() {
  const open = $('reply-public').checked;
  $('reply').classList.toggle('internal', !open);
  $('reply-kind').textContent = t(open ? 'kindPublic' : 'kindInternal');
}

function translate(lang) {
  speak(lang);
  $('language').value = language();
  showKind();
  if (desk.me) greet();
  showAll();
}

function listen() {
  $('language').addEventListener('change', (e) => translate(e.target.value));
  $('sign-in').addEventListener('submit', (e) => { e.preventDefault(); signIn($('token').value.trim()); });
  $('sign-out').addEventListener('click', signOut);
  $('group').addEventListener('change', () => { desk.wantedGroup = ''; desk.open = null; look(); });
  $('show-closed').addEventListener('change', showAll);
  $('reply').addEventListener('submit', (e) => { e.preventDefault(); answer(false); });
  $('reply-close').addEventListener('click', () => answer(true));
  $('reply-text').addEventListener('keydown', (e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); answer(false); } });
  $('reply-public').addEventListener('change', showKind);
  $('close').addEventListener('click', () => put({ state: 'closed' }, t('saved')));
  $('reopen').addEventListener('click', () => put({ state: 'open' }, t('saved')));
  $('merge').addEventListener('click', merge);
  $('move').addEventListener('click', move);
  $('delete').addEventListener('click', remove);
  setInterval(() => { if (!document.hidden && !busy) look(); }, pollEvery);
}

listen();
addEventListener('hashchange', () => location.reload()); // another link was opened in this tab
translate(language());
const given = new URLSearchParams(location.hash.slice(1));
desk.wantedGroup = given.get('group') || '';
const token = given.get('token') || sessionStorage.getItem('desk-token');
if (given.has('token')) history.replaceState(null, '', location.pathname); // a token does not belong into the history
if (token) signIn(token); else { $('sign-in').hidden = false; $('token').focus(); }
