/** Numbers that JSON has no word for. */
import assert from "node:assert/strict";
import {
  fromJsonNumber,
  jsonNumbers,
  readyForJson,
  toJsonNumber,
} from "../../files/json_number.ts";

Deno.test("every number survives JSON unchanged", () => {
  for (const value of [0, 2.5, -1e-300, Infinity, -Infinity, NaN]) {
    const back = fromJsonNumber(JSON.parse(JSON.stringify(toJsonNumber(value))));
    assert.ok(Object.is(back, value), `${value} came back as ${back}`);
  }
});

Deno.test("a value keeps all that JSON keeps, and infinities too", () => {
  const value = {
    psnr: Infinity,
    rows: [1, -Infinity, null],
    name: "Infinity",
    inside: { x: NaN },
  };
  const kept = {
    psnr: "Infinity",
    rows: [1, "-Infinity", null],
    name: "Infinity",
    inside: { x: "NaN" },
  };
  assert.deepEqual(readyForJson(value), kept);
  assert.equal(JSON.stringify(value, jsonNumbers), JSON.stringify(kept));
});
