/** What a run's files may hold. */
import assert from "node:assert/strict";
import { readRecords, readSummary } from "../../training/run_files.ts";
import { DamagedFileError } from "../../training/read_back.ts";

const OLD = {
  steps: 3,
  device: "cpu",
  test: { images: 4, mse: 0.5, psnr: 9, usage: 1, perplexity: 2, protocol: "aa" },
  imagesPerSecond: 5,
  protocols: {
    aa: {
      dataset: "digits",
      split: "test",
      images: 4,
      imageShape: [28, 28, 1],
      valueRange: [-1, 1],
      metrics: { mse: "m", psnr: "p", usage: "u", perplexity: "p" },
    },
  },
};

async function summaryOf(content: unknown) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/summary.json`, JSON.stringify(content));
    return await readSummary(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const withTest = (test: object) => ({ ...OLD, test: { ...OLD.test, ...test } });

Deno.test("a ratio in a summary is a number, the text Infinity, or null", async () => {
  const psnrOf = async (psnr: unknown) => (await summaryOf(withTest({ psnr })))?.test.psnr;
  assert.equal(await psnrOf(9), 9);
  assert.equal(await psnrOf("Infinity"), Infinity);
  assert.equal(await psnrOf(null), null);
  for (const wrong of ["infinite", "9", true, {}]) {
    await assert.rejects(psnrOf(wrong), DamagedFileError);
  }
});

Deno.test("a summary without a precision opens, and one with a precision keeps it", async () => {
  assert.deepEqual((await summaryOf(OLD))?.protocols.aa, OLD.protocols.aa);
  const aa = {
    ...OLD.protocols.aa,
    precision: "mixed",
    metrics: { ...OLD.protocols.aa.metrics, psnrOfMse: "q" },
  };
  assert.deepEqual((await summaryOf({ ...OLD, protocols: { aa } }))?.protocols.aa, aa);
  const wrong = { ...OLD, protocols: { aa: { ...aa, precision: "half" } } };
  await assert.rejects(summaryOf(wrong), DamagedFileError);
});

Deno.test("records open with an infinite ratio", async () => {
  const path = await Deno.makeTempFile();
  try {
    const record = { kind: "epoch", step: 3, test: { psnr: "Infinity", protocol: "aa" } };
    await Deno.writeTextFile(path, `${JSON.stringify(record)}\n`);
    assert.deepEqual(await readRecords(path), [record]);
  } finally {
    await Deno.remove(path);
  }
});
