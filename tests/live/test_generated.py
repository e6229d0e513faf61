#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Statements that nobody thought of, each run straight and through the gateway: MK1, MK2, MK3, MK4, MK6, MK7.

    generated.py makes the cases;  GENERATED=20000 their number, SEED=7 their seed, CASE=123 only that one, with all that was said;  WAY=w_trigger only those

A case fails when 6 characters of a canary come through, when what is made of a tagged column comes as it is, when anything
else differs from the server's own answer (but for what the oracle knows as over-masked, which is counted by its reason), when a
plain column of an untagged table is masked, when a denied statement has changed something, or when messages come in other order.
"""

from generated import *
from generated_judge import *
from harness import *

NUMBER = int(os.environ.get("GENERATED", "500"))
SEED = os.environ.get("SEED", "1")
ONLY = os.environ.get("CASE")
SOME = ONLY or os.environ.get("WAY")

# The policies as shipped, each a chunk of its own; rates and the time of day are not this test's business, and what waits for an approval is denied.
SHIPPED = "\n".join("do\n" + re.sub(r"approve\s*=\s*\{[^}]*\}", 'deny = "This waits for a person."', p.read_text()) + "\nend" for p in sorted((TOP / "conf" / "policies").glob("*.lua"))
                    if not p.name.endswith("_test.lua") and p.name not in ("hours.lua", "rate.lua"))


def shrunk(sides, taken, cards):
    """The same failure by fewer and smaller choices, and what it says."""
    def fails(choices):
        try:
            sides.run(make_case(Choices(given=choices)), Judge(cards))
        except Wrong as e:
            return str(e)
        return None
    best, said = list(taken), None
    tries = 120
    for at in range(len(best) - 1, 0, -1):
        if tries == 0:
            break
        for smaller in (best[:at], best[:at] + [0] + best[at + 1:]):
            if smaller == best or tries == 0:
                continue
            tries -= 1
            got = fails(smaller)
            if got is not None and got.split(":")[0] == (said or got).split(":")[0]:
                best, said = smaller, got
                break
        if at > len(best):
            at = len(best)
    return make_case(Choices(given=best)), said


def run_all(w, user, what, cards=False):
    sides, judge, wrong = Sides(w, user), Judge(cards), []
    numbers = [int(ONLY)] if ONLY else range(NUMBER)
    for n in numbers:
        if n and n % 1000 == 0:
            print(f"        {what}: {n} cases, {len(wrong)} wrong", flush=True)
        choices = Choices(f"{SEED}/{n}")
        case = make_case(choices)
        try:
            direct, through = sides.run(case, judge)
            if ONLY:
                print(case, *(f"{side}: {step}" for side, all_of in (("direct", direct), ("through", through)) for step in all_of), sep="\n")
        except Wrong as e:
            simple, said = shrunk(sides, choices.taken, cards) if len(wrong) < 5 else (None, None)
            wrong.append(f"SEED={SEED} CASE={n}: {e}" + (f"\n   shrunk: {said}\n   {simple}" if said else ""))
            if NUMBER > 1000:
                print(f"        {wrong[-1]}", flush=True)
            if len(wrong) >= 40:
                break
    print(f"        {what}: seed {SEED}, {len(numbers)} cases: {judge.rows} rows, {judge.values} values, {judge.masked} masked, {judge.errors} errors stripped, "
          f"{judge.shown} answers with a canary straight, {sum(judge.denied.values())} denied")
    print(f"        denied: {dict(judge.denied.most_common(8))}\n        over-masked: {dict(judge.over.most_common(12))}", flush=True)
    for why, example in judge.examples.items():
        if "-v" in sys.argv:
            print(f"          {why}: {example[:400]}")
    assert not wrong, f"{len(wrong)} of {len(numbers)} cases:\n" + "\n".join(wrong)
    assert SOME or judge.shown > len(numbers) // 10, f"only {judge.shown} answers would tell a canary"
    assert SOME or judge.masked > len(numbers) // 10 and judge.values > judge.masked * 2


@test
def masks_hold(w):
    run_all(w, {"user": "ann", "groups": "dev"}, "masks alone")


@test
def the_shipped_policies_hold(w):
    w.gateway.policy = policy_with("redact", SHIPPED)
    w.gateway.write()
    done = w.gateway.reload()
    assert done.code == 0, repr(done)
    run_all(w, {"user": "eve", "groups": "dev,service,export"}, "all shipped policies", cards=True)


main(sql=SCHEMA, policy=policy_with("null"), pg_conf="autovacuum = off\n")
