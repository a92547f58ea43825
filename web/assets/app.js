// Progressive enhancement only: every page works without this file.
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// Theme: the server knows it from a cookie and sets data-theme; here it changes without a reload.
const setTheme = (theme) => {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const b of $$('[name="theme"]')) b.setAttribute('aria-pressed', String(b.value === theme));
};
const stored = document.cookie.match(/(?:^|; )theme=(light|dark)/)?.[1];
if (stored) setTheme(stored);
for (const b of $$('[name="theme"]')) b.addEventListener('click', (e) => {
  e.preventDefault();
  document.cookie = `theme=${b.value}; path=/; max-age=31536000; samesite=lax`;
  setTheme(b.value);
});

// Exact times are the viewer's own; the server only knows UTC.
const localTimes = (root) => {
  for (const t of $$('time[datetime]', root)) t.title = new Date(t.dateTime).toLocaleString();
};
localTimes(document);

// Tables that become cards on a phone keep their roles.
const ROLES = { TABLE: 'table', THEAD: 'rowgroup', TBODY: 'rowgroup', TR: 'row', TD: 'cell' };
for (const el of $$('.table, .table :is(thead, tbody, tr, td, th)')) {
  const role = el.tagName === 'TH' ? (el.scope === 'row' ? 'rowheader' : 'columnheader') : ROLES[el.tagName];
  el.setAttribute('role', role);
}

// Save bar: counts what differs from what was sent; leaving with changes asks.
const changed = (el) => el.name && !el.disabled && el.tagName !== 'BUTTON' && (
  el.type === 'checkbox' || el.type === 'radio' ? el.checked !== el.defaultChecked
  : el.tagName === 'SELECT' ? !(el.selectedOptions[0]?.defaultSelected ?? true) && [...el.options].some((o) => o.defaultSelected)
  : el.value !== el.defaultValue);
for (const form of $$('form:has(.savebar)')) {
  const bar = form.querySelector('.savebar');
  const before = Number(bar.dataset.changes ?? 0); // changes that the server already knows of
  const [said, discard] = [bar.querySelector('p'), bar.querySelector('#discard')];
  const atFirst = said.textContent;
  let leaving = false;
  const count = () => {
    const names = new Set([...form.elements].filter(changed).map((el) => el.name));
    const n = before + names.size;
    bar.hidden = n === 0 && !('stays' in bar.dataset);
    discard.hidden = n === 0;
    said.textContent = names.size === 0 ? atFirst : n === 1 ? '1 change' : `${n} changes`;
    return n;
  };
  form.addEventListener('input', count);
  form.addEventListener('reset', () => setTimeout(count));
  form.addEventListener('submit', () => { leaving = true; });
  // Who discards has been asked enough.
  if ('discards' in discard.dataset) discard.addEventListener('click', () => { leaving = true; });
  addEventListener('beforeunload', (e) => { if (!leaving && count()) e.preventDefault(); });
  count();
}

// Picker: the search narrows the list as one types; Down goes from the search into the list.
for (const picker of $$('.picker')) {
  const search = picker.querySelector('[type="search"]');
  const options = $$('.options label', picker);
  const status = picker.querySelector('[role="status"]');
  search?.addEventListener('input', () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const o of options) {
      const text = o.textContent.toLowerCase();
      o.hidden = !words.every((w) => text.includes(w));
      n += o.hidden ? 0 : 1;
    }
    if (status) status.textContent = n === 1 ? '1 property' : `${n} properties`;
  });
  search?.addEventListener('keydown', (e) => {
    if (e.key === 'Enter') e.preventDefault();
    if (e.key !== 'ArrowDown') return;
    e.preventDefault();
    options.find((o) => !o.hidden && !o.querySelector('input').disabled)?.querySelector('input').focus();
  });
}

// Fields that take a property suggest what fits as one types: the page of all properties knows.
for (const input of $$('[data-properties][list]')) {
  let waits;
  const suggest = async () => {
    try {
      const answer = await fetch(`${input.dataset.properties}?q=${encodeURIComponent(input.value)}`, { redirect: 'error' });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      input.list.replaceChildren(...$$('[data-property]', page).map((row) => new Option(row.dataset.label, row.dataset.property)));
    } catch { /* Any name can be typed. */ }
  };
  for (const event of ['focus', 'input']) {
    input.addEventListener(event, () => {
      clearTimeout(waits);
      waits = setTimeout(suggest, 150);
    });
  }
}

// Typed confirmation: says at once what does not match; the server checks again.
for (const input of $$('[data-must-equal]')) {
  const check = () => input.setCustomValidity(input.value.trim() === input.dataset.mustEqual ? '' : `Type “${input.dataset.mustEqual}” to go on.`);
  input.addEventListener('input', check);
  check();
}

// Copy buttons exist only where there is script to serve them.
for (const b of $$('[data-copy]')) {
  b.hidden = false;
  b.addEventListener('click', async () => {
    await navigator.clipboard.writeText(document.getElementById(b.dataset.copy).textContent.trim());
    b.textContent = 'Copied';
  });
}

// After a failed save the summary has the focus.
document.querySelector('[data-focus]')?.focus();

// Live pages: the page is asked for again, and what changed is put in. One that is not looked at does
// not ask, and what somebody is using is left alone.
const live = document.querySelector('[data-live]');
if (live) {
  const every = 2000;
  const follow = async () => {
    if (document.hidden) return setTimeout(follow, every);
    try {
      const answer = await fetch(location.pathname, { headers: { accept: 'text/html' }, redirect: 'error' });
      if (answer.ok) {
        const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
        for (const id of ['state', 'content']) {
          const [now, then] = [document.getElementById(id), next.getElementById(id)];
          if (!now || !then) continue;
          localTimes(then);
          if (now.innerHTML !== then.innerHTML && !now.contains(document.activeElement)) now.replaceWith(then);
        }
        if (!next.querySelector('[data-live]')) return location.reload();
      }
    } catch { /* The next try comes. */ }
    setTimeout(follow, every);
  };
  setTimeout(follow, every);
}

// Navigation as a fold on narrow screens: Escape and a click elsewhere close it.
const fold = document.querySelector('.side details');
document.addEventListener('keydown', (e) => {
  if (e.key !== 'Escape' || !fold?.open) return;
  fold.open = false;
  fold.querySelector('summary').focus();
});
document.addEventListener('click', (e) => { if (fold?.open && !fold.contains(e.target)) fold.open = false; });
