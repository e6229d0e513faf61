// SPDX-License-Identifier: Apache-2.0
// Who one is, by which identity to say so.
import { get } from "../lib/api";
import { useAsk } from "../lib/use";
import { Loading, Shown, Trouble } from "../ui/parts";

export function SignIn({ ended }: { ended: boolean }) {
  const asked = useAsk((signal) => get("/api/v1/identities", { signal }), "identities");
  const here = location.pathname === "/" ? "/home" : location.pathname;
  const back = `?return=${encodeURIComponent(here)}`;
  return (
    <div class="lone">
      <main class="card">
        <div class="brand"><img src="/icon.svg" alt="" width="36" height="36" /><span>Sallyport</span></div>
        <h1>{ended ? "Your sign-in has ended" : "Sign in"}</h1>
        <p class="soft">{ended ? "Nothing is lost: sign in again and you are back where you were." : "You go to your provider and come back. This gateway never sees your password."}</p>
        {asked.problem !== undefined && <Trouble problem={asked.problem} again={asked.again} />}
        {asked.data === undefined && asked.problem === undefined && <Loading rows={2} />}
        {asked.data !== undefined && asked.data.identities.length === 0 && (
          <p class="note">No identity of this gateway can be signed in with in a browser. An <code>identity</code> with <code>oidc client=</code> or <code>saml</code> in its configuration makes a way.</p>
        )}
        <nav class="choices" aria-label="Ways to sign in">
          {asked.data?.identities.map((i) => (
            <a key={i.name} class="button" data-out="" href={`/signin/with/${encodeURIComponent(i.name)}${back}`}>Continue with <b><Shown text={i.name} /></b><span class="kind">{i.kind === "saml" ? "SAML" : "OpenID Connect"}</span></a>
          ))}
        </nav>
      </main>
      <footer class="soft">{location.host}</footer>
    </div>
  );
}
