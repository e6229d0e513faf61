// SPDX-License-Identifier: Apache-2.0
// Which rows of a long list are drawn: those in sight and a few around.
export interface Window {
  from: number;
  to: number; // behind the last
  above: number; // px of what is not drawn
  below: number;
}

export function rowsInSight(total: number, height: number, scrolled: number, sight: number, around = 12): Window {
  const from = Math.max(0, Math.min(total, Math.floor(scrolled / height) - around));
  const to = Math.max(from, Math.min(total, Math.ceil((scrolled + sight) / height) + around));
  return { from, to, above: from * height, below: (total - to) * height };
}

// Pages of a list, joined: what comes again replaces what was there; order is the server's, newest first.
export function merged<T extends { id: string }>(have: T[], fresh: T[]): T[] {
  const at = new Map(fresh.map((x) => [x.id, x]));
  const known = new Set(have.map((x) => x.id));
  return [...fresh.filter((x) => !known.has(x.id)), ...have.map((x) => at.get(x.id) ?? x)];
}
