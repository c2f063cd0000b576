// Shows article bodies without trusting them: known elements are built anew, nothing is
// inserted as markup. Pictures are fetched with the token, which an <img> could not send.
import { file } from './api.js';

const known = new Set(['A', 'B', 'BLOCKQUOTE', 'BR', 'CODE', 'DIV', 'EM', 'H1', 'H2', 'H3', 'H4', 'HR', 'I', 'LI', 'OL', 'P', 'PRE', 'S', 'SPAN',
  'STRONG', 'SUB', 'SUP', 'TABLE', 'TBODY', 'TD', 'TH', 'THEAD', 'TR', 'U', 'UL']);

export function render(article) {
  const box = document.createElement('div');
  box.className = 'body';
  box.dir = 'auto';
  if (!article.content_type.includes('html')) {
    box.classList.add('plain');
    box.textContent = article.body;
    return box;
  }
  copy(new DOMParser().parseFromString(article.body, 'text/html').body, box);
  return box;
}

function copy(from, to) {
  for (const n of from.childNodes) {
    if (n.nodeType === Node.TEXT_NODE) to.append(n.textContent);
    if (n.nodeType !== Node.ELEMENT_NODE) continue;
    if (n.tagName === 'IMG') { picture(n, to); continue; }
    if (!known.has(n.tagName)) { copy(n, to); continue; }
    const e = document.createElement(n.tagName);
    if (n.dir) e.dir = n.dir;
    if (n.tagName === 'A' && /^(https?|mailto|tel):/i.test(n.getAttribute('href') || '')) {
      e.href = n.getAttribute('href');
      e.rel = 'nofollow noreferrer noopener';
      e.target = '_blank';
    }
    copy(n, e);
    to.append(e);
  }
}

async function picture(n, to) {
  const path = (n.getAttribute('src') || '').replace(/^\/api\/v1/, '');
  if (!path.startsWith('/ticket_attachment/')) return;
  const img = document.createElement('img');
  img.alt = n.alt || '';
  to.append(img);
  try { img.src = URL.createObjectURL(await file(path)); } catch { img.remove(); }
}

// attachment is a button that downloads: a plain link could not send the token.
export function attachment(article, a, label) {
  const b = document.createElement('button');
  b.type = 'button';
  b.textContent = label;
  b.addEventListener('click', async () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await file(`/ticket_attachment/${article.ticket_id}/${article.id}/${a.id}?disposition=attachment`));
    link.download = a.filename;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  return b;
}
