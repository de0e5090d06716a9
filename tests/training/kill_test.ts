/** Runs that are killed with SIGKILL at random moments and resumed. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { DeviceName } from "../../core/backend.ts";
import { philox, randomKey, unitInterval } from "../../core/random.ts";
import { readCheckpoint } from "../../training/checkpoint.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { openTestDevices } from "../helpers.ts";
import { assertSameEnd, withFolder } from "./tiny.ts";

const CHILD = new URL("kill_child.ts", import.meta.url);
const STEPS = 60;
const LIVES = 5;
const SEED = Number(Deno.env.get("CODEBOOK_KILL_SEED") ?? 1);

/** When a process is killed: so long after it told of so many steps (0: after it was started). */
interface Moment {
  readonly steps: number;
  readonly milliseconds: number;
}

/** The first life ends on the way to the first step, the others up to 20 ms after one of the next six steps. */
function randomMoment(device: DeviceName, life: number, startup: number): Moment {
  const words = new Uint32Array(4);
  philox(randomKey(SEED, `kill ${device}`, life), 0, 0, words);
  const [first, second] = [...words].map(unitInterval);
  return life === 0
    ? { steps: 0, milliseconds: first * startup }
    : { steps: 1 + Math.floor(first * 6), milliseconds: second * 20 };
}

/** What a process trains, and where. */
interface Run {
  readonly device: DeviceName;
  readonly objective: "reconstruction" | "adversarial";
}

/** What became of a process. */
interface Life {
  /** The steps that it told of. */
  readonly steps: readonly number[];
  /** Milliseconds until it told of the first. */
  readonly startup: number;
  readonly killed: boolean;
}

/** Runs the child until it ends or is killed. */
async function live({ device, objective }: Run, path: string, end?: Moment): Promise<Life> {
  const started = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", fileURLToPath(CHILD), device, path, objective],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let output = "", startup = 0, killed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = (text: string) => {
    output += text;
    const told = output.split("\n").length - 1;
    if (told > 0 && startup === 0) startup = performance.now() - started;
    if (end === undefined || timer !== undefined || told < end.steps) return;
    timer = setTimeout(() => {
      killed = true;
      child.kill("SIGKILL");
    }, end.milliseconds);
  };
  heard("");
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) heard(text);
  clearTimeout(timer);
  const { success } = await child.status;
  assert.ok(success || killed, `the child must end well or be killed, got ${await stderr}`);
  const steps = [...output.matchAll(/^step (\d+)$/gm)].map(([, step]) => Number(step));
  return { steps, startup, killed: !success };
}

/** The step of the last checkpoint, which must load; 0 if there is none yet. */
async function checkpointStep(path: string): Promise<number> {
  const last = new RunFolder(path).checkpoint("last");
  const there = await Deno.stat(last).then(() => true, () => false);
  return there ? (await readCheckpoint(last)).state.get("step")!.values[0] : 0;
}

async function metrics(path: string): Promise<string> {
  return await Deno.readTextFile(`${path}/metrics.jsonl`);
}

const DEVICES = (await openTestDevices()).map(({ name }) => name);
const RUNS: readonly Run[] = [
  ...DEVICES.filter((device) => device !== "reference")
    .map((device): Run => ({ device, objective: "reconstruction" })),
  ...DEVICES.filter((device) => device === "cpu")
    .map((device): Run => ({ device, objective: "adversarial" })),
];

for (const run of RUNS) {
  const { device, objective } = run;
  Deno.test(`a run with ${objective} killed at random moments and resumed ends like an uninterrupted one, on ${device}`, () =>
    withFolder((whole) =>
      withFolder(async (path) => {
        const { steps, startup } = await live(run, whole);
        assert.equal(steps.at(-1), STEPS);
        let kills = 0;
        for (let life = 0; life < LIVES; life++) {
          const moment = randomMoment(device, life, startup);
          const from = await checkpointStep(path);
          const { steps, killed } = await live(run, path, moment);
          const saved = await checkpointStep(path);
          console.log(
            `seed ${SEED}, life ${life + 1}: from step ${from} to ${
              steps.at(-1) ?? from
            }, killed ` +
              `${moment.milliseconds.toFixed(1)} ms after telling ${moment.steps}, saved ${saved}`,
          );
          if (steps.length > 0) assert.equal(steps[0], from + 1, "a life goes on where one ended");
          assert.ok(saved >= from, "a checkpoint must not go back");
          if (!killed) break;
          kills++;
        }
        assert.ok(kills > 1, `the run must be killed more than once, got ${kills}`);
        await live(run, path);
        await assertSameEnd(path, whole);
        assert.equal(await metrics(path), await metrics(whole));
      })
    ));
}
