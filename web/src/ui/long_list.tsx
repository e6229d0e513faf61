// SPDX-License-Identifier: Apache-2.0
// A list of any length: only the rows in sight are in the document.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { rowsInSight } from "../lib/window";

interface Props<T> {
  rows: T[];
  height: number;
  label: string;
  row: (value: T) => ComponentChildren;
  end: () => void; // the last rows come into sight
}

export function LongList<T extends { id: string }>({ rows, height, label, row, end }: Props<T>) {
  const at = useRef<HTMLDivElement>(null);
  const [seen, see] = useState({ scrolled: 0, sight: 800 });
  useEffect(() => {
    const el = at.current!;
    let frame = 0;
    const look = () => {
      frame = 0;
      const scrolled = el.scrollTop - (el.scrollTop % (height * 6)); // of twelve rows around, six are left: most frames draw nothing anew
      const sight = el.clientHeight + height * 6;
      see((s) => (s.scrolled === scrolled && s.sight === sight ? s : { scrolled, sight }));
    };
    const soon = () => { frame = frame || requestAnimationFrame(look); };
    const size = new ResizeObserver(soon);
    el.addEventListener("scroll", soon, { passive: true });
    size.observe(el);
    look();
    return () => {
      el.removeEventListener("scroll", soon);
      size.disconnect();
      cancelAnimationFrame(frame);
    };
  }, [height]);
  const w = rowsInSight(rows.length, height, seen.scrolled, seen.sight);
  const near = w.to >= rows.length - 20;
  useEffect(() => {
    if (near) end();
  }, [near, rows.length]);
  return (
    <div ref={at} class="long" role="list" aria-label={label} tabIndex={0}>
      <div role="presentation" style={{ height: `${w.above}px` }} />
      {rows.slice(w.from, w.to).map((r, i) => <div key={r.id} role="listitem" aria-posinset={w.from + i + 1} aria-setsize={rows.length}>{row(r)}</div>)}
      <div role="presentation" style={{ height: `${w.below}px` }} />
    </div>
  );
}
