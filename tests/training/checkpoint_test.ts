import assert from "node:assert/strict";
import { writeSafetensors } from "../../files/safetensors.ts";
import { checkIdentity, readCheckpoint, saveCheckpoint } from "../../training/checkpoint.ts";
import { withFolder } from "./tiny.ts";

const STATE = new Map([
  ["weight", { shape: [2, 2], values: Float32Array.of(1, -2, 3, -4) }],
  ["step", { shape: [], values: Int32Array.of(70) }],
]);
const HEADER = { identity: { seed: 7, "model.hidden": 8 }, carried: { steps: 3 } };

Deno.test("a checkpoint survives a round trip, and equal states give equal bytes", () =>
  withFolder(async (path) => {
    const [one, other] = [`${path}/one.safetensors`, `${path}/other.safetensors`];
    await saveCheckpoint(one, STATE, HEADER);
    await saveCheckpoint(other, new Map([...STATE].reverse()), HEADER);
    assert.deepEqual(await Deno.readFile(one), await Deno.readFile(other));
    const { state, identity, carried } = await readCheckpoint(one);
    assert.deepEqual(new Map([...state].sort()), new Map([...STATE].sort()));
    assert.deepEqual({ identity, carried }, HEADER);
  }));

Deno.test("a checkpoint truncated anywhere is rejected", () =>
  withFolder(async (path) => {
    const file = `${path}/last.safetensors`;
    await saveCheckpoint(file, STATE, HEADER);
    const bytes = await Deno.readFile(file);
    for (let length = 0; length < bytes.length; length++) {
      await Deno.writeFile(file, bytes.subarray(0, length));
      await assert.rejects(readCheckpoint(file), { name: "RangeError", message: /^Cannot read / });
    }
  }));

Deno.test("a missing file, and files of other kinds, are rejected", () =>
  withFolder(async (path) => {
    const file = `${path}/last.safetensors`;
    await assert.rejects(readCheckpoint(file), /^Error: Cannot read .*: the file must exist/);
    await Deno.writeTextFile(file, "This is no checkpoint but a text of some length.");
    await assert.rejects(readCheckpoint(file), { name: "RangeError", message: /another kind/ });
    await writeSafetensors(file, STATE);
    await assert.rejects(readCheckpoint(file), {
      name: "RangeError",
      message:
        `Cannot load ${file}: it must be a "codebook checkpoint 1", got a safetensors file whose format is not named`,
    });
    await writeSafetensors(file, STATE, new Map([["format", "pt"]]));
    await assert.rejects(readCheckpoint(file), /whose format is pt$/);
    for (const broken of [new Map<string, string>(), new Map([["carried", "{"]])]) {
      const format: [string, string] = ["format", "codebook checkpoint 1"];
      await writeSafetensors(file, STATE, new Map([format, ["identity", "{}"], ...broken]));
      await assert.rejects(readCheckpoint(file), {
        name: "RangeError",
        message: /^Cannot load .*: its carried must be JSON, got /,
      });
    }
  }));

Deno.test("a checkpoint of another configuration is rejected with the setting that differs", () => {
  const check = (saved: Record<string, unknown>, wanted: Record<string, unknown>) => () =>
    checkIdentity("last", saved, wanted);
  check({ seed: 7, list: [1, 2] }, { list: [1, 2], seed: 7 })();
  const cases: [Record<string, unknown>, Record<string, unknown>, string][] = [
    [{ seed: 7 }, { seed: 8 }, "seed must be what the checkpoint was made with, 7, got 8"],
    [{ seed: 7 }, {}, "seed must be what the checkpoint was made with, 7, got nothing"],
    [{}, { seed: 7 }, "seed must be what the checkpoint was made with, not set, got 7"],
  ];
  for (const [saved, wanted, message] of cases) {
    assert.throws(check(saved, wanted), {
      name: "RangeError",
      message: `Cannot load last: ${message}`,
    });
  }
});
