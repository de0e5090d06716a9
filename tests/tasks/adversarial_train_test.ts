/** Adversarial training by the command line. */
import assert from "node:assert/strict";
import { withFolder } from "../training/tiny.ts";
import { lastLine, runTask } from "./child.ts";

const OBJECTIVE = [
  ...["--objective.type", "adversarial", "--objective.perceptual", "none"],
  ...["--objective.discLayers", "2", "--objective.discChannels", "4", "--objective.discStart", "1"],
];
const MODEL = [
  ...["--model.type", "vqgan", "--model.ch", "4", "--model.chMult", "1,2,2", "--model.groups", "4"],
  ...["--model.resolution", "28", "--model.attnResolutions", "7", "--model.numResBlocks", "1"],
  ...["--quantizer.codebookSize", "8", "--quantizer.codebookDim", "4"],
];
const RUN = ["--device", "cpu", "--training.maxSteps", "3", "--training.batchSize", "4"];

Deno.test("a VQGAN is trained, reported with both networks, and resumed", () =>
  withFolder(async (folder) => {
    const out = ["--out", `${folder}/run`];
    const trained = await runTask("train", [...OBJECTIVE, ...MODEL, ...RUN, ...out, "--json"]);
    assert.equal(trained.code, 0, trained.stderr);
    assert.equal(lastLine(trained.stdout).steps, 3);
    const measured = await runTask("evaluate", [`${folder}/run`, "--limit", "8"]);
    assert.equal(measured.code, 0, measured.stderr);
    const report = await Deno.readTextFile(`${folder}/run/report.html`);
    for (const title of ["Generator and discriminator", "Logits", "Adaptive weight"]) {
      assert.ok(report.includes(title), title);
    }
    const longer = ["--training.maxSteps", "5", "--training.recompute", "--resume"];
    const again = await runTask("train", [...out, ...longer]);
    assert.equal(again.code, 0, again.stderr);
  }));

Deno.test("invalid settings are rejected before anything is written", () =>
  withFolder(async (folder) => {
    const cases = [
      [["--objective.perceptual", "vgg"], /--objective\.weights must name the folder of LPIPS's/],
      [["--model.attnResolutions", "8"], /attnResolutions must be among .* 28, 14, 7, got 8$/m],
      [["--model.chMult", "1,2,2,2"], /resolution must be divisible by 8 for 4 levels, got 28$/m],
      [["--objective.discLayers", "4"], /the images' sides must be at least 48, got 28×28/],
    ] as const;
    for (const [flags, message] of cases) {
      const out = ["--out", `${folder}/run`];
      const { code, stderr } = await runTask("train", [
        ...OBJECTIVE,
        ...MODEL,
        ...RUN,
        ...flags,
        ...out,
      ]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
      await assert.rejects(Deno.stat(`${folder}/run`), Deno.errors.NotFound);
    }
  }));
