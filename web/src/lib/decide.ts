// SPDX-License-Identifier: Apache-2.0
// Who may decide a request, as the keeper judges it; here only to say so before somebody tries.

export interface Me {
  user: string;
  issuer: string;
  groups: string[];
  may: string[];
}
export interface Asked {
  state: string;
  user: string;
  by: string;
  decisions: unknown[];
  may_decide?: boolean; // what the gateway itself says
  may_not?: string;
}

export function mayNot(r: Asked, me: Me): string | undefined {
  if (r.state !== "waiting") return `It is ${r.state}.`;
  if (r.may_decide === true) return undefined;
  if (r.may_not !== undefined && r.may_not !== "") return r.may_not;
  if (r.user === me.user) return "You asked for this yourself: somebody else has to decide.";
  if (!me.may.includes("approve")) return "You are no approver of this gateway.";
  if (r.by !== "" && !me.groups.includes(r.by)) return `Only members of “${r.by}” decide this. You are in: ${me.groups.join(", ") || "no group"}.`;
  const voted = r.decisions.some((d) => typeof d === "object" && d !== null && "user" in d && d.user === me.user);
  return voted ? "You have decided. It waits for others." : undefined;
}
