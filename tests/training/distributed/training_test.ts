/** Runs that a real mpirun starts. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { philox, randomKey } from "../../../core/random.ts";
import { ReadOnlyRunFolder } from "../../../training/read_only_run_folder.ts";
import { RunFolder } from "../../../training/run_folder.ts";
import { openRanks } from "../../../tasks/ranks.ts";
import { UsageError } from "../../../tasks/fail.ts";
import { TINY } from "../../tasks/child.ts";
import { assertSameEnd, withFolder } from "../tiny.ts";
import { type Ended, findTestMpis, launch, type Launched, processOf, start } from "./launch.ts";

const mpis = await findTestMpis();
const mpi = mpis.find(({ name }) => name === "Open MPI");
const mpich = mpis.find(({ name }) => name === "MPICH");
const TRAIN = "../../../tasks/train.ts";
/** How often a rank is killed, at random moments after the first step that a life tells of. */
const KILLS = Number(Deno.env.get("CODEBOOK_MPI_KILLS") ?? 1);
const STEPS = 80 + 40 * KILLS;
const SEED = Number(Deno.env.get("CODEBOOK_KILL_SEED") ?? 1);
/** Milliseconds, at most, between that step and the kill. */
const PAUSE = 60;
/** Milliseconds within which a run ends of which a rank died; the time-out is much longer. */
const SOON = 120_000;

const argsFor = (out: string, steps = STEPS) => [
  ...TINY,
  ...["--quantizer.type", "vanilla"], // Few messages a step: ranks wait for each other on a busy machine.
  ...[
    "--out",
    out,
    "--distributed",
    "mpi",
    "--cpu.threads",
    "1",
    "--training.maxSteps",
    `${steps}`,
  ],
  ...["--training.checkpointEverySteps", "10", "--training.logEverySteps", "1"],
];

/** The step that a run tells of first; none where it has only to be measured. */
async function firstStep({ lines }: Launched): Promise<number | undefined> {
  for await (const line of lines) {
    const step = line.match(/^step (\d+)\//);
    if (step !== null) return Number(step[1]);
  }
}

/** Sends a signal to a rank of a run that has taken some steps. */
async function disturb(run: Launched, rank: number, signal: Deno.Signal): Promise<Ended> {
  const victim = await processOf(run, rank).catch(() => undefined);
  if (victim === undefined) return await run.ended; // It was faster.
  const sent = performance.now();
  Deno.kill(victim, signal);
  const ended = await run.ended;
  assert.ok(performance.now() - sent < SOON, ended.stderr);
  return ended;
}

if (mpi !== undefined) {
  Deno.test("over two ranks every objective has the same losses and numbers as on one process", () =>
    withFolder(async (folder) => {
      const { success, stdout, stderr } = await launch(mpi, 2, "training_ranks.ts", [folder]);
      assert.ok(success, `${stdout}\n${stderr}`);
      assert.equal(stdout.match(/^rank \d of 2: \d+ runs agree$/gm)?.length, 2);
    }));

  Deno.test("a run over two ranks, stopped by SIGTERM and then by SIGKILL to one rank, ends like an uninterrupted one", () =>
    withFolder(async (folder) => {
      const [path, whole] = [`${folder}/run`, `${folder}/whole`];
      const again = () => start(mpi, 2, TRAIN, [...argsFor(path), "--resume"]);
      const undisturbed = await launch(mpi, 2, TRAIN, argsFor(whole));
      assert.ok(undisturbed.success, undisturbed.stderr);
      assert.match(
        undisturbed.stdout,
        /^training on cpu: .* on 1 thread.*, Open MPI .*, 2 ranks into/m,
      );
      assert.equal(undisturbed.stdout.match(/^the run is in /gm)?.length, 1, "one rank speaks");

      const stopped = start(mpi, 2, TRAIN, argsFor(path));
      assert.equal(await firstStep(stopped), 1);
      const { code, stdout, stderr } = await disturb(stopped, 1, "SIGTERM");
      assert.equal(code, 130, stderr);
      const at = Number(stdout.match(/^stopped after step (\d+) of \d+; continue with /m)?.[1]);
      assert.ok(at >= 1 && at < STEPS, `${stdout}\n${stderr}`);

      let kills = 0, from = at;
      for (let life = 0; life < KILLS; life++) {
        const words = new Uint32Array(4);
        philox(randomKey(SEED, "kill", life), 0, 0, words);
        const killed = again(), step = await firstStep(killed);
        if (step === undefined) break;
        assert.ok(step > from, `a life goes on where one ended: after step ${from}, got ${step}`);
        from = step - 1;
        await delay(words[0] % PAUSE);
        const rank = words[1] % 2;
        const { success, stdout } = await disturb(killed, rank, "SIGKILL");
        const last = stdout.match(/^step (\d+)\//gm)?.at(-1);
        console.log(`seed ${SEED}, life ${life + 1}: rank ${rank}, from step ${step} to ${last}`);
        if (success) break;
        kills++;
      }
      assert.ok(kills > 0, "the run must be killed once at least");

      const { success, ...last } = await again().ended;
      assert.ok(success, `${last.stdout}\n${last.stderr}`);
      await assertSameEnd(path, whole);
      const [metrics, expected] = await Promise.all(
        [path, whole].map((run) => Deno.readTextFile(`${run}/metrics.jsonl`)),
      );
      assert.equal(metrics, expected);
    }));

  Deno.test("settings that several ranks do not support are reported once, before anything is written", () =>
    withFolder(async (folder) => {
      const args = [...argsFor(`${folder}/run`), "--training.batchSize", "15"];
      const { code, stderr } = await launch(mpi, 2, TRAIN, args);
      assert.equal(code, 2, stderr);
      assert.deepEqual(stderr.match(/^Cannot .*$/gm), [
        "Cannot train over 2 processes: training.batchSize must be a multiple of their number, got 15",
      ]);
      assert.deepEqual([...Deno.readDirSync(folder)], []);
    }));
}

if (mpich !== undefined) {
  Deno.test("MPICH's mpirun starts a run over two ranks", () =>
    withFolder(async (folder) => {
      const args = argsFor(`${folder}/run`, 4);
      const { success, stdout, stderr } = await launch(mpich, 2, TRAIN, args);
      assert.ok(success, `${stdout}\n${stderr}`);
      assert.match(stdout, /^training on cpu: .*, MPICH .*, 2 ranks into/m);
      assert.equal(stdout.match(/^the run is in /gm)?.length, 1, "one rank speaks");
    }));
}

Deno.test("invalid MPI flags are rejected", () => {
  const mpi = { "mpi.timeout": 1, "mpi.library": "auto" };
  assert.throws(
    () => openRanks({ distributed: "mpi", ...mpi }, {}),
    new UsageError(
      "Cannot start MPI: mpirun must start the processes, as in `mpirun -n 4 deno task train …`, got one that was started by itself",
    ),
  );
  assert.throws(
    () => openRanks({ distributed: "none", ...mpi }, { "mpi.timeout": 1 }),
    new UsageError(
      "Cannot read the command line: --mpi.timeout must be given with --distributed mpi, got it alone",
    ),
  );
  assert.equal(openRanks({ distributed: "none", ...mpi }, { json: true }).size, 1);
});

Deno.test("a read-only run folder drops all writes", () => {
  const methods = ({ prototype }: { readonly prototype: object }) =>
    Object.getOwnPropertyNames(prototype);
  const writing = methods(RunFolder)
    .filter((name) => /^(?:begin|clear|lock|log|save|sync|write)/.test(name));
  assert.deepEqual(
    methods(ReadOnlyRunFolder).filter((name) => name !== "constructor").sort(),
    writing.sort(),
  );
});
