import assert from "node:assert/strict";
import { drawStudy } from "../../../training/study/page.ts";
import type { StudyRun } from "../../../training/study/records.ts";
import type { Study } from "../../../training/study/study.ts";

const study: Study = {
  name: "sizes",
  about: "Is K > 8 better?",
  axes: [{ path: "quantizer.codebookSize", values: [8, 32, 128] }],
};

const finished = (size: number, seed: number, usage: number, mse: number): StudyRun => ({
  ...{ point: { "quantizer.codebookSize": size }, seed, hash: `${size}-${seed}`, folder: "" },
  ...{ state: "finished", failure: null, steps: 3, device: "cpu", protocol: "aa" },
  measured: { usage, perplexity: 2, mse, psnr: 12, secondsPerStep: 0.1 },
});

const failed: StudyRun = {
  ...finished(128, 2, 0, 0),
  ...{ state: "failed", failure: "<it> broke", protocol: null, measured: null },
};

const runs = [
  finished(8, 1, 0.2, 0.3),
  finished(8, 2, 0.4, 0.3),
  finished(32, 1, 0.6, 0.2),
  finished(128, 1, 1, 0.1),
  failed,
];
const records = [1, 2].map((step) => ({ kind: "step", step, loss: 1 / step }));
const text = drawStudy(study, runs, () => records);

Deno.test("a blob is a combination: right where more codes are used, down where the error is less, by its size", () => {
  const blobs = [...text.matchAll(/<circle cx="(\S+)" cy="(\S+)" r="(\S+)" fill-opacity/g)]
    .map(([, ...numbers]) => numbers.map(Number));
  assert.equal(blobs.length, 3);
  const [small, middle, large] = blobs;
  for (const at of [0, 2]) assert.ok(small[at] < middle[at] && middle[at] < large[at]);
  assert.ok(small[1] < middle[1] && middle[1] < large[1], "down is better");
  assert.equal(middle[2], (small[2] + large[2]) / 2, "32 lies halfway from 8 to 128");
  assert.match(text, /<td>8<\/td><td class="value">30\.0 ± 14\.1<\/td>/);
});

Deno.test("the page has each run's curves, names what failed, and loads nothing", () => {
  assert.equal(text.match(/<details>/g)?.length, 3);
  assert.equal(text.match(/<polyline/g)?.length, 4);
  assert.match(text, /codebookSize 128, seed 2: <code>&lt;it&gt; broke<\/code>/);
  assert.match(text, /Is K &gt; 8 better\?/);
  assert.doesNotMatch(text, /(src|href)="(?!data:)|url\(|<script/);
  assert.equal(text, drawStudy(study, runs, () => records));
});
