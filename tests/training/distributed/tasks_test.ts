/** The tasks `sample` and `evaluate` over two ranks: the files and numbers of one process, told once. */
import assert from "node:assert/strict";
import config from "../../../deno.json" with { type: "json" };
import { main as evaluate } from "../../../tasks/evaluate.ts";
import { UsageError } from "../../../tasks/fail.ts";
import { main as sample } from "../../../tasks/sample.ts";
import { main as train } from "../../../tasks/train.ts";
import { snapshot, TINY } from "../../tasks/child.ts";
import { withFolder } from "../tiny.ts";
import { findTestMpis, launch } from "./launch.ts";

const mpi = (await findTestMpis()).find(({ name }) => name === "Open MPI");
/** Devices whose sums do not depend on the number of images, unlike those of libraries. */
const CPU = ["--device", "cpu", "--cpu.blas", "off", "--cpu.dnn", "off"];
const REFERENCE = ["--device", "reference"];
/** Without classes, so that no classifier is trained to judge them. */
const SHAPES = ["--data.name", "shapes", "--data.size", "12", "--data.trainImages", "64"];
const SHORT = ["--training.maxSteps", "2", "--training.batchSize", "16"];
const GENERATORS = {
  gpt: ["--preset", "gpt", "--model.width", "16", "--model.layers", "1"],
  ldm: [
    ...["--preset", "ldm", "--objective.components", "none", "--model.width", "32"],
    ...["--model.multipliers", "1", "--model.attentionAt", "1"],
  ],
};

/** Runs a task in this process, without its output. */
async function alone(task: typeof sample, args: readonly string[]): Promise<void> {
  const { log } = console;
  console.log = () => {};
  try {
    assert.equal(await task(args), 0);
  } finally {
    console.log = log;
  }
}

/** The permissions that `deno task` gives a task. */
function permissionsOf(task: "sample" | "evaluate"): string[] {
  const found = config.tasks[task].matchAll(/--allow-(?:env|sys|ffi|net|read)(?:=\S+)?/g);
  return [...found].map(([flag]) => flag);
}

if (mpi !== undefined) {
  Deno.test("two ranks sample and evaluate as one process does", () =>
    withFolder(async (folder) => {
      const together = async (task: "sample" | "evaluate", ...args: readonly string[]) => {
        const permissions = [...permissionsOf(task), `--allow-write=${folder}`];
        const flags = [...args, "--distributed", "mpi"];
        const program = `../../../tasks/${task}.ts`;
        const { success, stdout, stderr } = await launch(mpi, 2, program, flags, permissions);
        assert.ok(success, `${stdout}\n${stderr}`);
        return stdout;
      };
      /** Evaluates a run by one process and by two, and returns the device of the two. */
      const sameEvaluation = async (run: string, flags: readonly string[]): Promise<string> => {
        const evaluation = async () => {
          const text = await Deno.readTextFile(`${run}/evaluation.json`);
          const { device, secondsPerSample = 1, ...numbers } = JSON.parse(text);
          assert.ok(secondsPerSample > 0);
          return { device, numbers };
        };
        await alone(evaluate, [run, ...flags]);
        const whole = await evaluation();
        await Deno.remove(`${run}/evaluation.json`);
        await together("evaluate", run, ...flags);
        const { device, numbers } = await evaluation();
        assert.deepEqual(numbers, whole.numbers, run);
        return device;
      };
      const stage1 = `${folder}/stage1`;
      await alone(train, [...TINY, ...SHAPES, ...CPU, "--out", stage1]);
      await sameEvaluation(stage1, [...CPU, "--metrics", "ssim,sharpness"]);
      for (const [name, flags] of Object.entries(GENERATORS)) {
        const run = `${folder}/${name}`, over = [...SHAPES, ...CPU, "--stage1", stage1];
        await alone(train, [...flags, ...SHORT, ...over, "--out", run]);
        const steps = name === "ldm" ? ["--steps", "3"] : [];

        const asked = [run, ...REFERENCE, ...steps, "--count", "7", "--batch", "4", "--save-codes"];
        await alone(sample, [...asked, "--trace", "--out", `${run}-one`]);
        const told = await together("sample", ...asked, "--trace", "--out", `${run}-two`);
        assert.equal(told.match(/^images {7}7 in /gm)?.length, 1, "one rank speaks");
        const [one, two] = ["one", "two"].map((out) =>
          snapshot(`${run}-${out}`).map((file) => file.replace(`${run}-${out}/`, ""))
        );
        assert.equal(one.length, 10);
        assert.deepEqual(two, one, name);

        assert.match(await sameEvaluation(run, [...CPU, ...steps, "--count", "9"]), /, 2 ranks$/);
      }
    }));
}

Deno.test("evaluate --images rejects several ranks", () =>
  assert.rejects(
    evaluate(["--images", "a", "b", "--distributed", "mpi"]),
    new UsageError(
      "Cannot evaluate: --distributed mpi must be given with a run, got two folders of images",
    ),
  ));
