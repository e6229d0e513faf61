// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { ago, clock, local, measured, span, utc } from "../src/lib/time";

test("spans and clocks", () => {
  assert.deepEqual([0, 59_000, 61_000, 3_660_000, 90_000_000].map(span), ["0 s", "59 s", "1 m 1 s", "1 h 1 m", "1 d 1 h"]);
  assert.deepEqual([-5, 500, 65_000, 3_600_000].map(clock), ["0:00", "0:01", "1:05", "1:00:00"]);
  assert.deepEqual([0, 30_000, 120_000, 7_200_000, 200_000_000].map(ago), ["now", "30 s ago", "2 min ago", "2 h ago", "2 d ago"]);
  assert.deepEqual([850, 1200, 45_000, 3_400_000, 120_000_000].map(measured), ["850 µs", "1.2 ms", "45 ms", "3.4 s", "2 m 0 s"]);
});

test("the viewer's zone, and UTC beside", () => {
  const now = new Date("2026-11-26T12:00:00Z");
  assert.equal(local("2026-11-26T09:04:22.988Z", now, "Europe/Berlin"), "10:04:22");
  assert.equal(local("2026-11-25T23:30:00Z", now, "Asia/Tokyo"), "08:30:00");
  assert.equal(local("2026-11-25T09:00:00Z", now, "UTC"), "2026-11-25 09:00:00");
  assert.equal(utc("2026-11-26T09:04:22.988Z"), "2026-11-26 09:04:22 UTC");
  assert.equal(local("not a time"), "not a time");
  assert.equal(utc("not a time"), "not a time");
});
