// SPDX-License-Identifier: Apache-2.0
// What is around every page: where one can go, who one is, whether one is connected.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { post, type Whoami } from "../lib/api";
import { disconnect, useLive } from "../lib/live";
import { useStored } from "../lib/use";
import { Icon, Shown } from "./parts";

interface Page {
  name: string;
  href: string;
  icon: string;
  label: string;
  may?: string[];
}

const pages: Page[] = [
  { name: "home", href: "/home", icon: "home", label: "Home" },
  { name: "approvals", href: "/approvals", icon: "inbox", label: "Approvals" },
  { name: "sessions", href: "/sessions", icon: "sessions", label: "Sessions" },
  { name: "policies", href: "/policies", icon: "policy", label: "Policies" },
  { name: "audit", href: "/audit", icon: "audit", label: "Audit", may: ["audit"] },
  { name: "overview", href: "/overview", icon: "chart", label: "Overview", may: ["audit", "operate"] },
];

async function leave(): Promise<void> {
  disconnect();
  let to = "/";
  try {
    const { location: provider } = await post("/api/v1/logout", {});
    if (provider.startsWith("https://")) to = provider;
  } catch {
    // it had ended already
  }
  location.assign(to);
}

function Theme() {
  const [theme, set] = useStored("theme", "auto");
  const dark = theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  return <button class="quiet small" aria-label={dark ? "Light theme" : "Dark theme"} title={dark ? "Light theme" : "Dark theme"} onClick={() => set(dark ? "light" : "dark")}><Icon name={dark ? "sun" : "moon"} /></button>;
}

function useOnline(): boolean {
  const [on, set] = useState(navigator.onLine);
  useEffect(() => {
    const take = () => set(navigator.onLine);
    addEventListener("online", take);
    addEventListener("offline", take);
    return () => {
      removeEventListener("online", take);
      removeEventListener("offline", take);
    };
  }, []);
  return on;
}

function Connection() {
  const live = useLive([], () => undefined);
  const online = useOnline();
  if (!online) return <div class="banner bad" role="status"><Icon name="cloud" /> You are offline. What you see may be old; nothing can be decided until you are back.</div>;
  if (live === "lost") return <div class="banner warn" role="status"><Icon name="bolt" /> Live updates dropped. Connecting again; until then this page asks every few seconds.</div>;
  return null;
}

export function Shell({ me, now, waiting, children }: { me: Whoami; now: string; waiting: number; children: ComponentChildren }) {
  const mine = pages.filter((p) => p.may === undefined || p.may.some((m) => me.may.includes(m)));
  return (
    <div class="shell">
      <a class="skip" href="#main" data-out="">To the content</a>
      <aside>
        <a class="brand" href="/home"><img src="/icon.svg" alt="" width="26" height="26" /><span>Sallyport</span></a>
        <nav aria-label="Pages" class="pages">
          {mine.map((p) => (
            <a key={p.name} href={p.href} aria-current={p.name === now ? "page" : undefined}>
              <Icon name={p.icon} /><span>{p.label}</span>
              {p.name === "approvals" && waiting > 0 && <b class="badge" aria-label={`${waiting} waiting`}>{waiting}</b>}
            </a>
          ))}
        </nav>
        <div class="who">
          <div class="who-name" title={`${me.user} · ${me.groups.join(", ")}`}><strong><Shown text={me.name || me.user} /></strong><span class="soft"><Shown text={me.identity} /></span></div>
          <Theme />
          <button class="quiet small" aria-label="Sign out" title="Sign out" onClick={leave}><Icon name="out" /></button>
        </div>
      </aside>
      <div class="page">
        <Connection />
        <main id="main" tabIndex={-1}>{children}</main>
      </div>
    </div>
  );
}
