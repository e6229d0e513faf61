// SPDX-License-Identifier: Apache-2.0
// Where `sallyport console` leads: what stands behind the # signs in, once, when its owner says so.
import { useEffect, useState } from "preact/hooks";
import { linkOwner } from "../lib/api";
import { useAsk } from "../lib/use";
import { Shown } from "../ui/parts";

// Taken out of the address at once: it is not for the history.
function take(): string {
  const link = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  return link;
}

export function OpenLink() {
  const [link] = useState(take);
  const [busy, setBusy] = useState(false);
  const owner = useAsk(() => linkOwner(link), link);
  useEffect(() => { // another link in the same tab changes but what stands behind the #
    const anew = () => location.hash !== "" && location.reload();
    addEventListener("hashchange", anew);
    return () => removeEventListener("hashchange", anew);
  }, []);
  return (
    <div class="lone">
      <main class="card">
        <div class="brand"><img src="/icon.svg" alt="" width="36" height="36" /><span>Sallyport</span></div>
        <h1>Open the console</h1>
        {link === "" || owner.problem !== undefined ? (
          <p class="note">{owner.problem !== undefined ? <Shown text={owner.problem.message} /> : <>This link was used, or is not whole. <code>sallyport console --open</code> makes another.</>}</p>
        ) : (
          <>
            <p>You will be <b class="link-owner"><Shown text={owner.data ?? "…"} /></b>.</p>
            <p class="soft">The account that made this link on the gateway's machine, for an hour. It works once. If you did not ask for it, close this page.</p>
            <form class="choices" method="post" action="/signin/link" onSubmit={() => setBusy(true)}>
              <input type="hidden" name="link" value={link} />
              <button disabled={busy || owner.data === undefined} autofocus>Open</button>
            </form>
          </>
        )}
      </main>
      <footer class="soft">{location.host}</footer>
    </div>
  );
}
