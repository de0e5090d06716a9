/** A slice of the fuzzer, with fixed seeds, and the small files that once took gigabytes or minutes. */
import assert from "node:assert/strict";
import { FuzzReader } from "./fuzz/reader.ts";
import { Campaign } from "./fuzz/campaign.ts";
import { targetModule, TARGETS } from "./fuzz/target.ts";

const folder = Deno.makeTempDirSync({ prefix: "codebook-fuzz-" });
Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));

/** Inputs of each format; `deno task fuzz` has no such limit. */
const INPUTS = 60;
/** Milliseconds after which a reading hangs, on however busy a machine. */
const PATIENCE = 120_000;

for (const name of TARGETS) {
  Deno.test(`${INPUTS} malformed inputs of ${name} stay within the memory limit and fail only with documented errors`, async () => {
    const options = { findings: `${folder}/findings`, folder, patience: PATIENCE, timed: false };
    const campaign = await Campaign.open(targetModule(name), options);
    for (let seed = 0; seed < INPUTS; seed++) await campaign.read(seed);
    await campaign.close();
    assert.deepEqual(campaign.findings, []);
    assert.equal(campaign.inputs, INPUTS);
    assert.ok(campaign.refused > 0 && campaign.accepted > 0, `${campaign}`);
  });
}

Deno.test("a reader that hangs or ends the process is reported as a finding", async () => {
  const module = (read: string) =>
    `data:text/javascript,${
      encodeURIComponent(`export default {
  name: "bad",
  sample: () => new Uint8Array(1),
  make: () => new Uint8Array(1),
  read(bytes, path) { if (globalThis.told) { ${read} } else globalThis.told = true; },
};`)
    }`;
  for (
    const [read, words] of [
      ["for (;;);", /^no answer after \d+ ms$/],
      ["Deno.exit(7)", /^the process ended with 7$/],
    ] as const
  ) {
    const reader = new FuzzReader(module(read), folder, 3000);
    const reading = await reader.read(0);
    assert.ok("ended" in reading);
    assert.match(reading.ended, words);
    await reader.close();
  }
});
