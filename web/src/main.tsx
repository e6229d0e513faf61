// SPDX-License-Identifier: Apache-2.0
// The console: who is asking, then the page that the address names.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "./style.css";
import { expired, Problem, whoami, type Whoami } from "./lib/api";
import { mayNot } from "./lib/decide";
import { connect, disconnect } from "./lib/live";
import { followLinks, go, usePlace } from "./lib/route";
import { Approvals, useRequests } from "./pages/approvals";
import { Audit } from "./pages/audit";
import { Home } from "./pages/home";
import { OpenLink } from "./pages/link";
import { Overview } from "./pages/overview";
import { Policies } from "./pages/policies";
import { OneSession } from "./pages/session";
import { Sessions } from "./pages/sessions";
import { SignIn } from "./pages/signin";
import { Empty, Trouble } from "./ui/parts";
import { Shell } from "./ui/shell";

function Page({ me }: { me: Whoami }) {
  const place = usePlace();
  const requests = useRequests();
  const now = place.path[0] === "requests" ? "approvals" : (place.path[0] ?? "");
  const mine = requests.data?.requests.filter((r) => mayNot(r, me) === undefined).length ?? 0;
  useEffect(() => {
    if (now === "") go(me.may.includes("approve") && mine > 0 ? "/approvals" : "/home", true);
  }, [now, requests.data]);
  useEffect(() => {
    document.title = `${mine > 0 ? `(${mine}) ` : ""}${now === "" ? "" : `${now[0]!.toUpperCase()}${now.slice(1)} · `}Sallyport`;
  }, [now, mine]);
  const page = {
    home: () => <Home me={me} />,
    approvals: () => <Approvals me={me} place={place} requests={requests} />,
    sessions: () => (place.path[1] === undefined ? <Sessions me={me} place={place} /> : <OneSession key={place.path[1]} id={place.path[1]} me={me} place={place} />),
    policies: () => <Policies me={me} place={place} />,
    audit: () => <Audit place={place} />,
    overview: () => <Overview />,
  }[now];
  return <Shell me={me} now={now} waiting={mine}>{page !== undefined ? page() : now !== "" && <Empty icon="search" title="There is no such page"><a href="/home">To the targets</a></Empty>}</Shell>;
}

function App() {
  const [me, setMe] = useState<Whoami>();
  const [ended, setEnded] = useState(false);
  const [out, setOut] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const ask = () => {
    setProblem(undefined);
    whoami().then((who) => { setMe(who); setOut(false); connect(); }, (e: unknown) => (e instanceof Problem && e.status === 401 ? setOut(true) : setProblem(e instanceof Problem ? e : new Problem(-1, String(e)))));
  };
  useEffect(() => {
    expired(() => { setOut(true); setEnded(true); disconnect(); });
    ask();
  }, []);
  if (out) return <SignIn ended={ended && me !== undefined} />;
  if (problem !== undefined) return <div class="lone"><main class="card"><Trouble problem={problem} again={ask} /></main></div>;
  return me === undefined ? <div class="lone" role="status" aria-label="Loading" /> : <Page me={me} />;
}

followLinks();
render(location.pathname === "/signin/link" ? <OpenLink /> : <App />, document.getElementById("console")!);
