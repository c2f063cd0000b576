// The page's words. Both languages have the same keys.
const en = {
  skip: 'Skip to the tickets', title: 'Desk', language: 'Language', signOut: 'Sign out',
  signInTitle: 'Sign in as an agent', token: 'Access token', signIn: 'Sign in',
  tokenHelp: 'The token of an agent of the simulated Zammad. It stays in this tab.',
  tickets: 'Tickets', group: 'Group', showClosed: 'Show closed ones', noTickets: 'There are no tickets here yet. New ones appear by themselves.',
  noTicket: 'Choose a ticket to read and answer it.', state: 'State', customer: 'Customer', noArticles: 'This ticket has no articles yet.',
  answer: 'Your answer', replyHelp: 'Ctrl and Enter sends.', public: 'Public', send: 'Send', sendAndClose: 'Send and close',
  kindPublic: 'Public: the app user will read this.', kindInternal: 'Internal: only agents will read this.',
  actions: 'Actions', close: 'Close', reopen: 'Reopen', moveTo: 'Move to', move: 'Move', mergeInto: 'Merge into', merge: 'Merge',
  delete: 'Delete ticket', cancel: 'Cancel', confirm: 'Yes, do it',
  makeInternal: 'Make internal', makePublic: 'Make public', deleteNote: 'Delete note',
  isPublic: 'public', isInternal: 'internal', fromCustomer: 'Customer', fromAgent: 'Agent', fromSystem: 'System', attachment: 'Attachment {name}, {size} bytes',
  signedIn: 'Signed in as {name}', sent: 'Sent.', saved: 'Saved.', deleted: 'Deleted.', merged: 'Merged into ticket {number}.', moved: 'Moved to {group}.',
  askDelete: 'Delete ticket {number} with all its articles? This cannot be undone.', askNote: 'Delete this note?',
  askMerge: 'Merge ticket {number} into {target}? Its articles move there.',
  emptyReply: 'Write something first.', noTarget: 'Choose a ticket to merge into.', noGroup: 'Choose another group.', gone: 'This ticket was deleted.', outOfSight: 'You may no longer see this ticket.',
  states: {},
  badToken: 'This token is not accepted.', offline: 'No connection to Zammad. Trying again.', refused: 'Zammad refused: {text}',
};
const de = {
  skip: 'Zu den Tickets springen', title: 'Schreibtisch', language: 'Sprache', signOut: 'Abmelden',
  signInTitle: 'Als Agent anmelden', token: 'Zugangstoken', signIn: 'Anmelden',
  tokenHelp: 'Das Token eines Agenten des simulierten Zammad. Es bleibt in diesem Tab.',
  tickets: 'Tickets', group: 'Gruppe', showClosed: 'Geschlossene zeigen', noTickets: 'Hier gibt es noch keine Tickets. Neue erscheinen von selbst.',
  noTicket: 'Wählen Sie ein Ticket, um es zu lesen und zu beantworten.', state: 'Status', customer: 'Kunde', noArticles: 'Dieses Ticket hat noch keine Artikel.',
  answer: 'Ihre Antwort', replyHelp: 'Strg und Eingabe sendet.', public: 'Öffentlich', send: 'Senden', sendAndClose: 'Senden und schließen',
  kindPublic: 'Öffentlich: Die Person in der App liest das.', kindInternal: 'Intern: Nur Agenten lesen das.',
  actions: 'Aktionen', close: 'Schließen', reopen: 'Wieder öffnen', moveTo: 'Verschieben nach', move: 'Verschieben', mergeInto: 'Zusammenführen mit', merge: 'Zusammenführen',
  delete: 'Ticket löschen', cancel: 'Abbrechen', confirm: 'Ja, ausführen',
  makeInternal: 'Intern machen', makePublic: 'Öffentlich machen', deleteNote: 'Notiz löschen',
  isPublic: 'öffentlich', isInternal: 'intern', fromCustomer: 'Kunde', fromAgent: 'Agent', fromSystem: 'System', attachment: 'Anhang {name}, {size} Bytes',
  signedIn: 'Angemeldet als {name}', sent: 'Gesendet.', saved: 'Gespeichert.', deleted: 'Gelöscht.', merged: 'Mit Ticket {number} zusammengeführt.', moved: 'Nach {group} verschoben.',
  askDelete: 'Ticket {number} mit allen Artikeln löschen? Das lässt sich nicht rückgängig machen.', askNote: 'Diese Notiz löschen?',
  askMerge: 'Ticket {number} mit {target} zusammenführen? Seine Artikel ziehen dorthin um.',
  emptyReply: 'Schreiben Sie zuerst etwas.', noTarget: 'Wählen Sie ein Ticket zum Zusammenführen.', noGroup: 'Wählen Sie eine andere Gruppe.', gone: 'Dieses Ticket wurde gelöscht.', outOfSight: 'Sie dürfen dieses Ticket nicht mehr sehen.',
  states: { new: 'neu', open: 'offen', closed: 'geschlossen', merged: 'zusammengeführt', 'pending reminder': 'warten auf Erinnerung', 'pending close': 'warten auf Schließen' },
  badToken: 'Dieses Token wird nicht angenommen.', offline: 'Keine Verbindung zu Zammad. Neuer Versuch läuft.', refused: 'Zammad lehnt ab: {text}',
};
const all = { en, de };

let current = all[localStorage.getItem('desk-language')] ? localStorage.getItem('desk-language')
  : (navigator.language || 'en').toLowerCase().startsWith('de') ? 'de' : 'en';

export const language = () => current;

// t returns the words for a key, with {name} filled in.
export const t = (key, values = {}) =>
  all[current][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));

// stateName translates the state names of a new Zammad; others stay as the admin named them.
export const stateName = (state) => all[current].states[state] || state;

// speak chooses a language and writes it into the page.
export function speak(lang) {
  current = all[lang] ? lang : 'en';
  localStorage.setItem('desk-language', current);
  document.documentElement.lang = current;
  document.title = t('title');
  for (const e of document.querySelectorAll('[data-i18n]')) e.textContent = t(e.dataset.i18n);
}
