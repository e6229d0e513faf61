// SPDX-License-Identifier: Apache-2.0
// Calls of /api/v1, with the types of the OpenAPI document; what goes wrong becomes a Problem.
import type { components, paths } from "../openapi";

export type Schema<N extends keyof components["schemas"]> = components["schemas"][N];
type Json<R> = R extends { 200: { content: { "application/json": infer A } } } ? A : never;
type Get<P extends keyof paths> = paths[P] extends { get: { responses: infer R } } ? Json<R> : never;
type Post<P extends keyof paths> = paths[P] extends { post: { responses: infer R } } ? Json<R> : never;
type Query<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? NonNullable<Q> : never;
type Body<P extends keyof paths> = paths[P] extends { post: { requestBody?: { content: { "application/json": infer B } } } } ? B : Record<string, never>;

export type Whoami = Get<"/api/v1/whoami">;
export type Session = Schema<"session">;
export type Request = Schema<"request">;
export type RequestWhole = Get<"/api/v1/requests/{id}">;
export type Target = Schema<"target">;
export type Grant = Schema<"grant">;
export type Policy = Schema<"policy">;
export type Rule = Schema<"rule">;
export type Explained = Post<"/api/v1/policies/explain">;
export type Made = Post<"/api/v1/tickets">;
export type Verified = Get<"/api/v1/sessions/{id}/verify">;
export type Status = Get<"/api/v1/status">;
export type Identity = Schema<"identity">;

// status 0: the gateway was not reached.
export class Problem extends Error {
  constructor(readonly status: number, message: string, readonly wait = 0) {
    super(message);
  }
}

let csrf = "";
let onExpired: () => void = () => undefined;
export function expired(then: () => void): void {
  onExpired = then;
}

async function problemOf(r: Response): Promise<Problem> {
  let said = "";
  try {
    const o: unknown = await r.json();
    said = typeof o === "object" && o !== null && "error" in o ? String(o.error) : "";
  } catch {
    // not JSON: a proxy's page, or cut off
  }
  return new Problem(r.status, said || `The gateway answered ${r.status}.`, Number(r.headers.get("retry-after") ?? 0));
}

async function call(path: string, how: RequestInit): Promise<Response> {
  let r: Response;
  try {
    r = await fetch(path, { credentials: "same-origin", ...how, cache: "no-store" });
  } catch (why) {
    if (why instanceof DOMException && why.name === "AbortError") throw why;
    throw new Problem(0, "The gateway was not reached.");
  }
  if (r.ok) return r;
  if (r.status === 401) onExpired();
  throw await problemOf(r);
}

export function address(path: string, id?: string, query: Record<string, unknown> = {}): string {
  const words = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== "" && v !== false) words.set(k, String(v));
  const tail = words.toString();
  return path.replace("{id}", encodeURIComponent(id ?? "")) + (tail === "" ? "" : `?${tail}`);
}

export async function get<P extends keyof paths>(path: P, of: { id?: string; query?: Query<P>; signal?: AbortSignal } = {}): Promise<Get<P>> {
  const r = await call(address(path, of.id, of.query as Record<string, unknown>), { signal: of.signal ?? null });
  return (await r.json()) as Get<P>;
}

export async function post<P extends keyof paths>(path: P, body: Body<P>, id?: string): Promise<Post<P>> {
  const r = await call(address(path, id), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Sallyport-CSRF": csrf },
    body: JSON.stringify(body),
  });
  return (await r.json()) as Post<P>;
}

export async function text(path: string): Promise<string> {
  return (await call(path, {})).text();
}

// What comes, line by line; no faster than it is taken.
export async function* textLines(path: string, signal: AbortSignal): AsyncGenerator<string> {
  const r = await call(path, { signal });
  const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const parts = (rest + (value ?? "")).split("\n");
    rest = done ? "" : parts.pop()!;
    yield* parts;
    if (done) return;
  }
}

// JSON objects, a line each, as they come.
export async function lines(path: string, each: (o: Record<string, unknown>) => void, signal: AbortSignal): Promise<void> {
  for await (const line of textLines(path, signal)) if (line !== "") each(JSON.parse(line) as Record<string, unknown>);
}

export async function whoami(): Promise<Whoami> {
  const who = await get("/api/v1/whoami");
  csrf = "csrf" in who ? String(who.csrf) : "";
  return who;
}

// Whose link it is that one was given; nobody's cookie goes with it.
export async function linkOwner(link: string): Promise<string> {
  if (link === "") return "";
  const r = await call("/api/v1/signin/link", { method: "POST", credentials: "omit", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ link, look: true }) });
  return ((await r.json()) as { user: string }).user;
}
