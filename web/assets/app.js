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

// Tables that become cards on a phone keep their roles.
const ROLES = { TABLE: 'table', THEAD: 'rowgroup', TBODY: 'rowgroup', TR: 'row', TD: 'cell' };
const tables = (root) => {
  for (const el of $$('.table, .table :is(thead, tbody, tr, td, th)', root)) {
    const role = el.tagName === 'TH' ? (el.scope === 'row' ? 'rowheader' : 'columnheader') : ROLES[el.tagName];
    el.setAttribute('role', role);
  }
};

// Save bar: counts what differs from what was sent; leaving with changes asks. What is looked for is no change.
const changed = (el) => el.name && !el.disabled && el.tagName !== 'BUTTON' && el.type !== 'search' && (
  el.type === 'checkbox' || el.type === 'radio' ? el.checked !== el.defaultChecked
  : el.tagName === 'SELECT' ? !(el.selectedOptions[0]?.defaultSelected ?? true) && [...el.options].some((o) => o.defaultSelected)
  : el.value !== el.defaultValue);
let unsaved = () => 0;
let leaving = false;
addEventListener('beforeunload', (e) => { if (!leaving && unsaved()) e.preventDefault(); });
const saveBars = (root) => {
  for (const form of $$('form:has(.savebar)', root)) {
    const bar = form.querySelector('.savebar');
    const before = Number(bar.dataset.changes ?? 0); // changes that the server already knows of
    const [said, discard] = [bar.querySelector('p'), bar.querySelector('#discard')];
    const atFirst = said.textContent;
    const count = () => {
      if (!form.isConnected) return 0;
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
    unsaved = count;
    count();
  }
};

// Steps: a form goes on without being saved. It is sent as without script, and what answers is put in.
const answerTo = async (form, step, signal) => {
  const fields = new URLSearchParams(new FormData(form));
  fields.set('step', step);
  const answer = await fetch(form.action, { method: 'POST', body: fields, redirect: 'error', signal });
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), 'text/html');
};
document.addEventListener('submit', async (e) => {
  const [form, button] = [e.target, e.submitter];
  if (button?.name !== 'step' || form.dataset.plain) return;
  e.preventDefault();
  leaving = false;
  const [to, had] = [new URL(button.formAction).hash.slice(1), document.activeElement.id];
  const unfolded = $$('.unfold :checked', document).map((box) => box.id);
  try {
    const next = (await answerTo(form, button.value)).getElementById('content');
    document.getElementById('content').replaceWith(next);
    setUp(next);
    for (const box of $$('.unfold input', next)) box.checked = unfolded.includes(box.id);
    // On to where one would go: the search of what opened, the button that opened it, or the rows.
    const opened = next.querySelector('.picker [type="search"]');
    const place = opened ?? document.getElementById(to) ?? document.getElementById(had);
    if (place && !place.matches('a, button, input, select')) place.tabIndex = -1;
    place?.focus();
  } catch {
    // As without script.
    form.dataset.plain = 'plain';
    leaving = true;
    form.requestSubmit(button);
  }
});

// Picker: what fits is found as one types; Down goes from the search into the list.
const pickers = (root) => {
  for (const picker of $$('.picker', root)) {
    const search = picker.querySelector('[type="search"]');
    let waits, asked;
    search.addEventListener('input', () => {
      clearTimeout(waits);
      waits = setTimeout(async () => {
        asked?.abort();
        asked = new AbortController();
        try {
          const next = await answerTo(search.form, search.dataset.find, asked.signal);
          for (const part of ['.options', '[role="status"]']) {
            picker.querySelector(part).replaceChildren(...next.querySelector(`.picker ${part}`).childNodes);
          }
        } catch { /* The button asks again. */ }
      }, 120);
    });
    search.addEventListener('keydown', (e) => {
      if (e.key === 'Enter') e.preventDefault();
      if (e.key !== 'ArrowDown') return;
      e.preventDefault();
      picker.querySelector('.options input:enabled')?.focus();
    });
    picker.addEventListener('keydown', (e) => {
      if (e.key !== 'Escape') return;
      e.preventDefault();
      picker.querySelector('[value^="close "]').click();
    });
  }
};

// What a page, or a piece that was put in, needs.
const setUp = (root) => {
  localTimes(root);
  tables(root);
  saveBars(root);
  pickers(root);
};
setUp(document);

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

// Live pages: pieces come as they change, the same as in the first render. What somebody is using is left
// alone until it is not any more, and what is heard changes at most every 5 s; the last one is always shown.
const live = document.querySelector('[data-live]');
if (live) {
  const [source, every, politely] = [live.dataset.live, 2000, 5000];
  const waiting = new Map();
  let spoken = 0;
  const put = () => {
    for (const [id, html] of waiting) {
      const el = document.getElementById(id);
      if (!el || el.contains(document.activeElement)) continue;
      if (id === 'said') {
        const wait = spoken + politely - Date.now();
        if (wait > 0) {
          setTimeout(put, wait);
          continue;
        }
        if (el.textContent !== html) {
          spoken = Date.now();
          el.textContent = html;
        }
      } else if (el.innerHTML !== html) {
        el.innerHTML = html;
        localTimes(el);
        tables(el);
      }
      waiting.delete(id);
    }
  };
  document.addEventListener('focusout', () => setTimeout(put));
  // Where there is no stream to be had, the page is asked for now and then.
  const ask = async () => {
    if (document.hidden) return setTimeout(ask, every);
    try {
      const answer = await fetch(location.pathname, { headers: { accept: 'text/html' }, redirect: 'error' });
      if (answer.ok) {
        const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
        for (const id of ['state', 'content']) waiting.set(id, next.getElementById(id)?.innerHTML ?? '');
        waiting.set('said', next.getElementById('said')?.textContent ?? '');
        if (!next.querySelector('[data-live]')) return location.reload();
        put();
      }
    } catch { /* The next try comes. */ }
    setTimeout(ask, every);
  };
  let events, asks;
  const follow = () => {
    events = new EventSource(source);
    events.addEventListener('fragment', ({ data }) => {
      const { id, html } = JSON.parse(data);
      waiting.set(id, html);
      put();
    });
    events.addEventListener('over', () => {
      events.close();
      location.reload();
    });
    events.addEventListener('error', () => {
      if (events.readyState !== EventSource.CLOSED || asks) return;
      asks = true;
      ask();
    });
  };
  // One that is not looked at does not follow.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) events?.close();
    else if (events?.readyState === EventSource.CLOSED && !asks) follow();
  });
  if (!document.hidden) follow();
  else document.addEventListener('visibilitychange', () => follow(), { once: true });
}

// Navigation as a fold on narrow screens: Escape and a click elsewhere close it.
const fold = document.querySelector('.side details');
document.addEventListener('keydown', (e) => {
  if (e.key !== 'Escape' || !fold?.open) return;
  fold.open = false;
  fold.querySelector('summary').focus();
});
document.addEventListener('click', (e) => { if (fold?.open && !fold.contains(e.target)) fold.open = false; });
