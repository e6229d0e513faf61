// SPDX-License-Identifier: Apache-2.0
// The address is the state: which page, and what is chosen on it.
import { useEffect, useState } from "preact/hooks";

export interface Place {
  path: string[]; // ["sessions", "1aja4…"]
  query: URLSearchParams;
}

const here = (): Place => ({ path: location.pathname.split("/").filter((p) => p !== ""), query: new URLSearchParams(location.search) });
const moved = "sallyport:moved";

export function go(to: string, replace = false): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  dispatchEvent(new Event(moved));
  if (!replace) scrollTo(0, 0);
}

export function usePlace(): Place {
  const [place, set] = useState(here);
  useEffect(() => {
    const take = () => set(here());
    addEventListener("popstate", take);
    addEventListener(moved, take);
    return () => {
      removeEventListener("popstate", take);
      removeEventListener(moved, take);
    };
  }, []);
  return place;
}

// Plain clicks on our own links stay in this page.
export function followLinks(): void {
  document.addEventListener("click", (e) => {
    const a = e.target instanceof Element ? e.target.closest("a") : null;
    if (a === null || a.origin !== location.origin || a.target !== "" || a.hasAttribute("download") || a.dataset["out"] !== undefined) return;
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    if (a.href !== location.href) go(a.pathname + a.search);
  });
}
