// Keeps the page up to date while somebody looks at it: fetches it again and swaps the parts marked
// data-live whose HTML changed. Without this script the page is complete, and reloads itself.
(() => {
  'use strict';
  const EVERY = 5000;
  const PATIENCE = 10000;
  const lost = document.getElementById('lost');
  const own = (doc) => ['style', 'script'].map((tag) => doc.querySelector(tag)?.textContent).join();

  // What the server sent last, by id: the document itself also changes when somebody opens a <details>.
  const shown = new Map();
  for (const piece of document.querySelectorAll('[data-live]')) shown.set(piece.id, piece.innerHTML);
  let seen = document.querySelector('#clock time')?.textContent ?? '';
  let busy = false;

  // Text that is being selected is about to be copied, and must not go away.
  const selected = (piece) => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(piece, true);
  };

  // Puts the new content in, with everything open, scrolled and focused as it was.
  const swap = (piece, fresh) => {
    const focus = piece.contains(document.activeElement) ? document.activeElement.id : '';
    const scrolled = [...piece.querySelectorAll('[tabindex][id]')]
      .map(({ id, scrollLeft, scrollTop }) => ({ id, scrollLeft, scrollTop }));
    const [x, y] = [scrollX, scrollY];
    for (const details of fresh.querySelectorAll('details[id]')) {
      const before = document.getElementById(details.id);
      if (before) details.open = before.open;
    }
    piece.replaceChildren(...fresh.childNodes);
    for (const { id, scrollLeft, scrollTop } of scrolled) {
      const region = document.getElementById(id);
      if (region) Object.assign(region, { scrollLeft, scrollTop });
    }
    if (!focus) return;
    document.getElementById(focus)?.focus({ preventScroll: true });
    scrollTo(x, y);
  };

  const update = (next) => {
    if (!next.getElementById('main')) throw new Error('not the status page');
    // Another version answers: its parts need its own style and script.
    if (own(next) !== own(document)) return location.reload();
    if (document.title !== next.title) document.title = next.title;
    const [icon, now] = [document, next].map((doc) => doc.querySelector('link[rel="icon"]'));
    if (icon.href !== now.href) icon.href = now.href;
    seen = next.querySelector('#clock time')?.textContent ?? seen;
    for (const fresh of next.querySelectorAll('[data-live]')) {
      const html = fresh.innerHTML;
      const piece = document.getElementById(fresh.id);
      if (!piece || shown.get(fresh.id) === html || selected(piece)) continue;
      swap(piece, fresh);
      shown.set(fresh.id, html);
    }
  };

  // A live region is read out when its text changes, so the same text is not set again.
  const say = (text) => {
    if (lost.textContent !== text) lost.textContent = text;
  };

  const refresh = async () => {
    if (busy || document.visibilityState !== 'visible') return;
    busy = true;
    try {
      const answer = await fetch(location.pathname, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(String(answer.status));
      update(new DOMParser().parseFromString(await answer.text(), 'text/html'));
      say('');
    } catch {
      say(`rosterd does not answer; last seen ${seen}`);
    } finally {
      busy = false;
    }
  };

  setInterval(refresh, EVERY);
  document.addEventListener('visibilitychange', refresh);
})();
